/*
 * Stands in for Lustre where there is none: the functions of liblustreapi that are used, which
 * write down what they are asked for (into the file LUSTRE_LOG) and create an ordinary file.
 * Preloaded, it also makes every folder whose path has "lustre" in it one on Lustre.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

struct llapi_layout {
    uint64_t count, size;
};

struct llapi_layout *llapi_layout_alloc(void);
void llapi_layout_free(struct llapi_layout *layout);
int llapi_layout_stripe_count_set(struct llapi_layout *layout, uint64_t count);
int llapi_layout_stripe_size_set(struct llapi_layout *layout, uint64_t size);
int llapi_layout_file_open(const char *path, int flags, mode_t mode,
                           const struct llapi_layout *layout);

struct llapi_layout *llapi_layout_alloc(void)
{
    return calloc(1, sizeof(struct llapi_layout));
}

void llapi_layout_free(struct llapi_layout *layout)
{
    free(layout);
}

int llapi_layout_stripe_count_set(struct llapi_layout *layout, uint64_t count)
{
    layout->count = count;
    return 0;
}

int llapi_layout_stripe_size_set(struct llapi_layout *layout, uint64_t size)
{
    layout->size = size;
    return 0;
}

/* LUSTRE_FAIL: a number of errno. */
int llapi_layout_file_open(const char *path, int flags, mode_t mode,
                           const struct llapi_layout *layout)
{
    const char *log = getenv("LUSTRE_LOG"), *no = getenv("LUSTRE_FAIL");
    FILE *f = log ? fopen(log, "a") : NULL;
    if (f) {
        fprintf(f, "%s: count %" PRIx64 " size %" PRIu64 "%s%s\n", path, layout->count,
                layout->size, flags & O_CREAT ? " create" : "", flags & O_EXCL ? " alone" : "");
        fclose(f);
    }
    if (!no)
        return open(path, flags, mode);
    errno = atoi(no);
    return -1;
}

int statfs(const char *path, struct statfs *out)
{
    char real[PATH_MAX];
    int r = (int)syscall(SYS_statfs, path, out);
    if (r == 0 && realpath(path, real) && strstr(real, "/lustre"))
        out->f_type = 0x0bd00bd0;
    return r;
}
