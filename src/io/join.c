#include "io/join.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "io/posix.h"

/* Microseconds; together some five seconds. Caches of names last a second (FUSE) to half a minute
 * (NFS), but NFS asks the server when a folder is opened. */
static const useconds_t waits[] = {0, 10000, 50000, 200000, 500000, 1000000, 1000000, 2000000};

#define UNSURE_MAX 6 /* some two seconds */

/* The folder of a path; opening it makes a client ask the server how it is now. */
static int folder_open(const char *path)
{
    struct err ignored = ERR_INIT;
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *folder = slash ? mem_printf(&ignored, "%.*s", (int)(slash - path) + 1, path)
                                   : mem_strdup(".", &ignored);
    return folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

void join_look(const char *path)
{
    int fd = folder_open(path);
    if (fd >= 0)
        close(fd);
}

bool join_again(struct join *j, const char *path, int no)
{
    if ((no != ENOENT && no != ESTALE) || j->n == ARRAY_LEN(waits))
        return false;
    TRACE(join_again, path, j->n, no);
    join_look(path);
    usleep(waits[j->n++]);
    return true;
}

/* Do all machines see the same inode numbers? With these file systems it depends. */
static bool shares_inodes(int fd)
{
    static const uint32_t own[] = {FUSE_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                   V9FS_MAGIC};
    struct statfs s;
    if (fstatfs(fd, &s))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if ((uint32_t)s.f_type == own[i])
            return false;
    return true;
}

static bool is_nfs(int fd)
{
    struct statfs s;
    return fd >= 0 && !fstatfs(fd, &s) && (uint32_t)s.f_type == NFS_SUPER_MAGIC;
}

bool join_is_nfs(const struct file *f)
{
    return f->inode && is_nfs(posix_of((struct file *)f)->fd);
}

bool join_is_on_nfs(const char *path)
{
    int fd = folder_open(path);
    bool is = is_nfs(fd);
    if (fd >= 0)
        close(fd);
    return is;
}

enum join_verdict join_compare(const struct file *f, uint64_t inode)
{
    if (!inode || !f->inode || f->inode == inode)
        return JOIN_SAME;
    return shares_inodes(posix_of((struct file *)f)->fd) ? JOIN_OTHER : JOIN_UNSURE;
}

bool join_is_enough(const struct join *j, enum join_verdict v)
{
    return v == JOIN_UNSURE && j->n >= UNSURE_MAX;
}

int join_other(const char *path, struct err *e)
{
    return err_set(
        e, ESTALE,
        "'%s' is another file on this host than on that of rank 0: is the folder shared?", path);
}

int join_open(const char *path, uint64_t inode, const struct file_options *o, struct file **out,
              struct err *e)
{
    struct join j = {0};
    enum join_verdict verdict = JOIN_SAME;
    do {
        file_cleanup(out);
        err_clear(e);
        if (file_open_path(path, o, out, e) < 0)
            continue;
        verdict = join_compare(*out, inode);
        if (verdict == JOIN_SAME || join_is_enough(&j, verdict))
            return 0;
    } while (join_again(&j, path, *out ? ESTALE : e->no));
    if (!*out)
        return -1;
    file_cleanup(out);
    return join_other(path, e);
}
