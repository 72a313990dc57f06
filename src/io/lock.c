/*
 * Locks that QEMU understands.
 *
 * Byte 100+i read-locked says "I use permission i", byte 200+i "others may not use permission i".
 * Nobody takes a write lock: own bytes are locked first, then the opposite bytes of what is needed
 * are tested. Of two that start at once both may so fail, but never both go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/num.h"
#include "io/posix.h"

enum { READ = 1 << 0, WRITE = 1 << 1, RESIZE = 1 << 3, PERMISSIONS = 4 };

#define BYTE_USES   100
#define BYTE_DENIES 200

static const char *const permission_names[PERMISSIONS] = {"consistent read", "write",
                                                          "write unchanged", "resize"};

struct claim {
    unsigned uses, denies;
};

static const struct claim claims[] = {
    [FILE_LOCK_NONE] = {0, 0},
    [FILE_LOCK_READER] = {READ, WRITE | RESIZE},
    [FILE_LOCK_SHARED] = {READ, 0},
    [FILE_LOCK_WRITER] = {READ | WRITE | RESIZE, WRITE | RESIZE},
};

/* Locks that belong to the open file (Linux 3.15) where the kernel has them, else to the process.
 */
static int set_command = F_OFD_SETLK, get_command = F_OFD_GETLK;

static void choose_commands(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) && errno == EINVAL) {
        set_command = F_SETLK;
        get_command = F_GETLK;
    }
    if (fd >= 0)
        close(fd);
}

static int byte_command(int fd, int command, short type, off_t byte, short *found)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int r = TEMP_FAILURE_RETRY(fcntl(fd, command, &l));
    if (found)
        *found = l.l_type;
    return r;
}

/* 0, or errno; the failed one's bit in *bad */
static int set_bytes(int fd, short type, off_t base, unsigned bits, unsigned *bad)
{
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        if ((bits >> i & 1) && byte_command(fd, set_command, type, base + i, NULL)) {
            *bad = i;
            return errno;
        }
    }
    return 0;
}

static int test_bytes(int fd, off_t base, unsigned bits, unsigned *bad)
{
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        short found = F_UNLCK;
        if (!(bits >> i & 1))
            continue;
        *bad = i;
        if (byte_command(fd, get_command, F_WRLCK, base + i, &found))
            return errno;
        if (found != F_UNLCK)
            return EAGAIN;
    }
    return 0;
}

/* 0, or errno with the message's parts */
static int take(int fd, struct claim add, struct claim all, const char **shared, unsigned *bad)
{
    int no = set_bytes(fd, F_RDLCK, BYTE_USES, add.uses, bad);
    *shared = "";
    if (!no && !(no = set_bytes(fd, F_RDLCK, BYTE_DENIES, add.denies, bad)))
        no = test_bytes(fd, BYTE_DENIES, all.uses, bad);
    if (no)
        return no;
    *shared = "shared ";
    return test_bytes(fd, BYTE_USES, all.denies, bad);
}

static void drop(int fd, struct claim c)
{
    unsigned bad;
    set_bytes(fd, F_UNLCK, BYTE_USES, c.uses, &bad);
    set_bytes(fd, F_UNLCK, BYTE_DENIES, c.denies, &bad);
}

static bool is_conflict(int no)
{
    return no == EAGAIN || no == EACCES;
}

/* NFS without a lock daemon, FUSE file systems, very old kernels */
static bool is_unsupported(int no)
{
    return no == ENOLCK || no == EOPNOTSUPP || no == ENOSYS || no == EINVAL;
}

int lock_change(int fd, const char *name, enum lock_strict strict, enum file_lock from,
                enum file_lock to, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_commands);
    struct claim old = claims[from], new = claims[to];
    struct claim add = {new.uses & ~old.uses, new.denies & ~old.denies};
    const char *shared;
    unsigned bad = 0;
    int no = take(fd, add, new, &shared, &bad);
    if (!no) {
        drop(fd, (struct claim){old.uses & ~new.uses, old.denies & ~new.denies});
        return 0;
    }
    drop(fd, add);
    if (strict == LOCK_AUTO && is_unsupported(no))
        return 0;
    if (!is_conflict(no))
        return err_errno(e, no, "Failed to get %s\"%s\" lock", shared, permission_names[bad]);
    err_set(e, no, "Failed to get %s\"%s\" lock", shared, permission_names[bad]);
    return err_hint(e, "Is another process using the image [%s]?", name);
}
