#include <errno.h>
#include <unistd.h>

#include "base/num.h"
#include "io/posix.h"

/* Linux moves at most 2 GiB - 4 KiB at a time */
#define CALL_MAX GIB

int buffered_read(int fd, void *buf, size_t len, uint64_t off, size_t *got, struct err *e)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, num_min(len - done, CALL_MAX), off + done);
        if (n < 0 && errno != EINTR)
            return file_fail(e, errno);
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    *got = done;
    return 0;
}

int buffered_write(int fd, const void *buf, size_t len, uint64_t off, struct err *e)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)buf + done, num_min(len - done, CALL_MAX), off + done);
        if (n < 0 && errno != EINTR)
            return file_fail(e, errno);
        if (n == 0)
            return file_fail(e, ENOSPC);
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}
