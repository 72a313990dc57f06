/* convert -l: which internal snapshot is meant. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/format.h"
#include "formats/options.h"
#include "image/image.h"
#include "image/inspect.h"

static int load(struct image *img, const char *id, const char *name, struct err *e)
{
    err_clear(e);
    return img->format->load_snapshot(img, id, name, e);
}

static bool is_by_key(const char *param)
{
    return !strncmp(param, "snapshot.", 9);
}

/* "snapshot.id=1,snapshot.name=x"; NULL with the error set. */
static struct options *parse(const char *param, struct err *e)
{
    static const struct option_def table[] = {
        {"snapshot.id", OPTION_STR, "", NULL}, {"snapshot.name", OPTION_STR, "", NULL}, {0}};
    static const struct option_def *const tables[] = {table, NULL};
    struct options *o = options_new(tables, e);
    if (!o || !options_parse(o, param, NULL, e))
        return o;
    options_free(o);
    return NULL;
}

int image_snapshot_check(const char *param, struct err *e)
{
    if (!is_by_key(param))
        return 0;
    AUTO(options_cleanup) struct options *o = parse(param, e);
    if (o)
        return 0;
    AUTO_FREE char *said = mem_strdup(e->text, e);
    return said ? err_set(e, EINVAL, "%s\nFailed in parsing snapshot param '%s'", said, param) : -1;
}

static int load_by_param(struct image *img, const char *param, struct err *e)
{
    AUTO(options_cleanup) struct options *o = NULL;
    if (is_by_key(param) && !(o = parse(param, e)))
        return -1;
    if (!img->format->load_snapshot)
        return err_set(e, ENOTSUP,
                       "Block format '%s' used by device '' does not support temporarily loading "
                       "internal snapshots",
                       img->format->name);
    if (o)
        return load(img, options_str(o, "snapshot.id", NULL), options_str(o, "snapshot.name", NULL),
                    e);
    int rc = load(img, param, NULL, e);
    return rc && e->no == ENOENT ? load(img, NULL, param, e) : rc;
}

int image_load_snapshot(struct image *img, const char *param, struct err *e)
{
    /* its disk may have been larger than it is now */
    return load_by_param(img, param, e) ? -1 : inspect_size(&img->flags.safety, img->size, e);
}
