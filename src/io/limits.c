#include "io/limits.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "io/file_ops.h"

/* A number of the device's queue, as the kernel shows it; 0 where it does not. A partition's queue
 * is that of its disk. */
static uint64_t queue_number(dev_t device, const char *what)
{
    static const char *const places[] = {"queue", "../queue"};
    for (unsigned i = 0; i < 2; i++) {
        char path[128];
        uint64_t n = 0;
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/%s", major(device), minor(device),
                 places[i], what);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        bool found = fscanf(f, "%" SCNu64, &n) == 1;
        fclose(f);
        return found ? n : 0;
    }
    return 0;
}

static void device_limits(dev_t device, struct file_limits *out)
{
    out->max_hw_transfer = queue_number(device, "max_sectors_kb") * 1024;
    out->max_hw_iov = (uint32_t)queue_number(device, "max_segments");
    out->opt_transfer = queue_number(device, "optimal_io_size");
    out->max_discard = queue_number(device, "discard_max_bytes");
    out->discard_alignment = queue_number(device, "discard_granularity");
    out->max_write_zeroes = queue_number(device, "write_zeroes_max_bytes");
}

void file_limits(const struct file *f, struct file_limits *out)
{
    struct stat st;
    *out = (struct file_limits){
        .alignment = file_alignment(f),
        .memory_alignment = file_alignment(f),
        .memory_optimal = (uint32_t)sysconf(_SC_PAGESIZE),
        .max_iov = IOV_MAX,
    };
    if (out->memory_optimal < out->memory_alignment)
        out->memory_optimal = out->memory_alignment;
    if (strcmp(f->ops->protocol, "host_device") == 0 && !stat(f->name, &st) && S_ISBLK(st.st_mode))
        device_limits(st.st_rdev, out);
}
