/* What a file system can be asked for while a file is new and empty. */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "io/posix.h"

static int set_nocow(int fd)
{
    int flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
        return errno;
    flags |= FS_NOCOW_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) ? errno : 0;
}

static int set_extent_size(int fd, uint32_t bytes)
{
    struct fsxattr attr;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attr))
        return errno;
    attr.fsx_xflags |= FS_XFLAG_EXTSIZE;
    attr.fsx_extsize = bytes;
    return ioctl(fd, FS_IOC_FSSETXATTR, &attr) ? errno : 0;
}

int hints_set(struct file *f, enum file_hint hint, uint32_t value)
{
    int fd = posix_of(f)->fd;
    if (!f->regular)
        return EOPNOTSUPP;
    return hint == FILE_HINT_NOCOW ? set_nocow(fd) : set_extent_size(fd, value);
}
