/*
 * Holes made, zeros, space reserved. What a file system cannot do is remembered, so that it is
 * asked once and not for every block.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/num.h"
#include "io/posix.h"

#define SECTOR 512u

static bool is_unsupported(int no)
{
    return no == EOPNOTSUPP || no == ENOSYS || no == ENOTTY || no == ENODEV || no == EPERM;
}

/* One way of making zeros: true when it worked. *no stays 0 where the way is not open. */
static bool try_fallocate(struct posix *p, atomic_bool *missing, int mode, uint64_t off,
                          uint64_t len, int *no)
{
    if (*missing)
        return false;
    if (!TEMP_FAILURE_RETRY(fallocate(p->fd, mode, off, len))) {
        holes_changed(p);
        return true;
    }
    if (is_unsupported(errno))
        *missing = true;
    else if (errno != EINVAL) /* EINVAL: not at this offset; or a device, off its sectors */
        *no = errno;
    return false;
}

static bool try_zero_out(struct posix *p, uint64_t off, uint64_t len, int *no)
{
    uint64_t range[2] = {off, len};
    if (p->no_zero_out)
        return false;
    if (!TEMP_FAILURE_RETRY(ioctl(p->fd, BLKZEROOUT, range)))
        return true;
    if (is_unsupported(errno))
        p->no_zero_out = true;
    else if (errno != EINVAL)
        *no = errno;
    return false;
}

/* Holes do not make a file longer. A byte at the end does, whatever others append meanwhile;
 * ftruncate could cut off what they wrote. */
static int grow_to(struct posix *p, uint64_t end, struct err *e)
{
    if (file_size(&p->file) >= end)
        return 0;
    return buffered_write(p->fd, "", 1, end - 1, e);
}

static int zero_regular(struct posix *p, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                        struct err *e)
{
    int no = 0;
    if (how == FILE_ZERO_UNMAP)
        *done = try_fallocate(p, &p->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len,
                              &no);
    if (*done)
        return grow_to(p, off + len, e);
    if (!no)
        *done = try_fallocate(p, &p->no_zero_range, FALLOC_FL_ZERO_RANGE, off, len, &no);
    return no ? file_fail(e, no) : 0;
}

/* Whole sectors, at most. BLKDISCARD is no way: nothing says what is read there afterwards. */
static int zero_block(struct posix *p, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                      struct err *e)
{
    int no = 0;
    if (off % SECTOR || len % SECTOR)
        return 0;
    if (how == FILE_ZERO_UNMAP)
        *done = try_fallocate(p, &p->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len,
                              &no);
    if (!*done && !no)
        *done = try_fallocate(p, &p->no_zero_range, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off,
                              len, &no);
    if (!*done && !no)
        *done = try_zero_out(p, off, len, &no);
    return no ? file_fail(e, no) : 0;
}

int space_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
               struct err *e)
{
    struct posix *p = posix_of(f);
    int r = 0;
    if (f->regular)
        r = zero_regular(p, off, len, how, done, e);
    else if (p->is_block)
        r = zero_block(p, off, len, how, done, e);
    return r || !*done || !f->opt.cache.writethrough ? r : posix_sync(f, e);
}

/* Punching makes the kernel hand the whole of it to the device, or say that the device cannot. A
 * regular file may have its space reserved on purpose. */
int space_zero_fast(struct file *f, uint64_t off, uint64_t len, bool *done, struct err *e)
{
    struct posix *p = posix_of(f);
    int no = 0;
    if (!p->is_block || off % SECTOR || len % SECTOR)
        return 0;
    *done =
        try_fallocate(p, &p->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len, &no);
    return no ? file_fail(e, no) : 0;
}

/* A punched hole never makes a file longer. A device hands the sectors back, or cannot. */
void space_discard(struct file *f, uint64_t off, uint64_t len)
{
    struct posix *p = posix_of(f);
    int ignored = 0;
    if (f->regular || p->is_block)
        try_fallocate(p, &p->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len,
                      &ignored);
}

int space_truncate(struct file *f, uint64_t size, struct err *e)
{
    struct posix *p = posix_of(f);
    if (!f->regular)
        return size <= p->device_size ? 0 : err_set(e, EINVAL, "Cannot grow device files");
    if (TEMP_FAILURE_RETRY(ftruncate(p->fd, size)))
        return file_fail(e, errno);
    holes_changed(p);
    return 0;
}

int space_preallocate(struct file *f, uint64_t off, uint64_t len, struct err *e)
{
    struct posix *p = posix_of(f);
    int no;
    if (!f->regular)
        return space_truncate(f, off + len, e);
    do {
        no = posix_fallocate(p->fd, off, len);
    } while (no == EINTR);
    return no ? file_fail(e, no) : 0;
}
