#include "fleet/listing.h"

#include <errno.h>
#include <fnmatch.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/num.h"

struct listing {
    FILE *out;
    const char *from, *to, *pattern, *extension;
    struct stat target; /* the folder `to`, if it is there */
    size_t n;
};

const char *listing_extension(const char *format)
{
    static const char *const others[][2] = {{"vpc", "vhd"}, {"parallels", "hdd"}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(format, others[i][0]) == 0)
            return others[i][1];
    return format;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* The path below `from`. */
static const char *below(const struct listing *l, const FTSENT *f)
{
    const char *path = f->fts_path + strlen(l->from);
    return path + strspn(path, "/");
}

static bool is_ours(const char *name)
{
    static const char *const ends[] = {".mpi-img-part", ".mpi-img-journal", ".results"};
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (n > strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static bool matches(const struct listing *l, const FTSENT *f)
{
    bool whole = strchr(l->pattern, '/');
    return !is_ours(f->fts_name) &&
           fnmatch(l->pattern, whole ? below(l, f) : f->fts_name, FNM_PATHNAME | FNM_PERIOD) == 0;
}

static bool is_target_folder(const struct listing *l, const FTSENT *f)
{
    const struct stat *st = f->fts_statp;
    return f->fts_level > 0 && st->st_ino == l->target.st_ino && st->st_dev == l->target.st_dev;
}

static char *target_of(const struct listing *l, const FTSENT *f, struct err *e)
{
    const char *path = below(l, f), *dot = strrchr(f->fts_name, '.');
    size_t n = strlen(path) - (dot && dot != f->fts_name ? strlen(dot) : 0);
    return mem_printf(e, "%s/%.*s.%s", l->to, (int)n, path, l->extension);
}

static int write_file(struct listing *l, const FTSENT *f, struct err *e)
{
    AUTO_FREE char *target = target_of(l, f, e);
    if (!target)
        return -1;
    json_t *record = json_pack("{s:s, s:s}", "source", f->fts_path, "target", target);
    if (!record)
        return err_set(e, EILSEQ, "The name of '%s' is not UTF-8", f->fts_path);
    int status = json_dumpf(record, l->out, JSON_COMPACT);
    json_decref(record);
    l->n++;
    return status || fputc('\n', l->out) == EOF ? err_errno(e, errno, "The list of files") : 0;
}

static int walk(struct listing *l, FTS *tree, struct err *e)
{
    FTSENT *f;
    while (errno = 0, (f = fts_read(tree))) {
        bool hidden = f->fts_level > 0 && f->fts_name[0] == '.';
        if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS)
            return err_errno(e, f->fts_errno, "Could not read '%s'", f->fts_path);
        if (f->fts_info == FTS_D && (hidden || is_target_folder(l, f)))
            fts_set(tree, f, FTS_SKIP);
        /* a link is followed to a file, not to a folder: that may lead in circles */
        if (f->fts_info == FTS_SL)
            fts_set(tree, f, FTS_FOLLOW);
        if (f->fts_info == FTS_D && f->fts_level > 0 && f->fts_instr == FTS_FOLLOW)
            fts_set(tree, f, FTS_SKIP);
        if (f->fts_info == FTS_F && matches(l, f) && write_file(l, f, e))
            return -1;
    }
    return errno ? err_errno(e, errno, "Could not read '%s'", l->from) : 0;
}

int listing_write(FILE *out, const char *from, const char *to, const char *pattern,
                  const char *format, struct err *e)
{
    struct listing l = {.out = out,
                        .from = from,
                        .to = to,
                        .pattern = pattern ? pattern : "*",
                        .extension = listing_extension(format)};
    char *const roots[] = {(char *)from, NULL};
    if (stat(to, &l.target))
        memset(&l.target, 0, sizeof l.target);
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (!tree)
        return err_errno(e, errno, "Could not read '%s'", from);
    int status = walk(&l, tree, e);
    fts_close(tree);
    if (!status && !l.n)
        return err_set(e, ENOENT, "No file in '%s' matches '%s'", from, l.pattern);
    return status;
}
