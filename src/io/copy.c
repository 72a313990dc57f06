#include <errno.h>
#include <unistd.h>

#include "base/num.h"
#include "io/posix.h"

/* A call is not interrupted by signals before it is done: keep it in the order of a second. */
#define CALL_MAX (256 * MIB)

/* These say that the data cannot be stored, by whatever means; all others that we should read and
 * write it ourselves. */
static bool is_real(int no)
{
    return no == EIO || no == ENOSPC || no == EDQUOT || no == EFBIG || no == ESTALE;
}

int copy_range(struct file *src, uint64_t src_off, struct file *dst, uint64_t dst_off, uint64_t len,
               uint64_t *copied, struct err *e)
{
    while (*copied < len) {
        loff_t from = src_off + *copied, to = dst_off + *copied;
        size_t want = num_min(len - *copied, CALL_MAX);
        ssize_t n = copy_file_range(posix_of(src)->fd, &from, posix_of(dst)->fd, &to, want, 0);
        if (n < 0 && is_real(errno))
            return file_fail(e, errno);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        *copied += n > 0 ? (uint64_t)n : 0;
    }
    return *copied && dst->opt.cache.writethrough ? posix_sync(dst, e) : 0;
}
