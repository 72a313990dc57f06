#include "fleet/state.h"

#include <stdbool.h>
#include <sys/stat.h>

static bool is_file(const char *path, struct stat *st)
{
    return stat(path, st) == 0 && (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode));
}

json_t *fleet_state(const char *path)
{
    struct stat st;
    if (!is_file(path, &st))
        return json_null();
    json_int_t ns = (json_int_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return json_pack("{s:I, s:I, s:I}", "size", (json_int_t)st.st_size, "mtime", ns, "inode",
                     (json_int_t)st.st_ino);
}

uint64_t fleet_allocated(const char *path)
{
    struct stat st;
    return is_file(path, &st) ? (uint64_t)st.st_blocks * 512 : 0;
}
