#include "flow/snapshot.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "base/mem.h"
#include "formats/edit.h"
#include "formats/format.h"

#define NAME_MAX_BYTES 255 /* longer names are cut */

/* ---- the list -------------------------------------------------------------------------------- */

static void json_release(json_t **v)
{
    json_decref(*v);
}

json_t *snapshot_list(struct image *img, struct err *e)
{
    struct format_info info = {0};
    if (img->format->info && img->format->info(img, &info, e))
        return NULL;
    json_decref(info.specific);
    json_t *list = info.snapshots ? info.snapshots : json_array();
    if (!list)
        err_nomem(e);
    return list;
}

static const char *text_of(const json_t *snapshot, const char *key)
{
    return json_string_value(json_object_get(snapshot, key));
}

/* The first whose `key` is `text`; NULL: there is none. Borrowed from the list. */
static const json_t *list_find(const json_t *list, const char *key, const char *text)
{
    size_t i;
    const json_t *snapshot;
    json_array_foreach(list, i,
                       snapshot) if (strcmp(text_of(snapshot, key), text) == 0) return snapshot;
    return NULL;
}

/* ---- changes --------------------------------------------------------------------------------- */

int snapshot_create(struct image *img, const char *name, struct err *e)
{
    const struct edit_ops *edit = img->format->edit;
    struct timeval now;
    if (!edit || !edit->snapshot_create)
        return err_set(e, ENOTSUP, "%s", strerror(ENOTSUP));
    AUTO_FREE char *cut = mem_printf(e, "%.*s", NAME_MAX_BYTES, name);
    if (!cut)
        return -1;
    gettimeofday(&now, NULL);
    return edit->snapshot_create(img, cut, (uint64_t)now.tv_sec, (uint32_t)now.tv_usec * 1000, e);
}

/* What the bitmaps say would not be true of another state. */
static int apply_check(struct image *img, struct err *e)
{
    struct bitmap *bitmaps = NULL;
    size_t n = 0;
    if (!img->format->bitmap_list)
        return 0;
    if (img->format->bitmap_list(img, &bitmaps, &n, e))
        return -1;
    bitmap_list_free(bitmaps, n);
    return n ? err_set(e, EINVAL, "Device has active dirty bitmaps") : 0;
}

int snapshot_apply(struct image *img, const char *id_or_name, struct err *e)
{
    const struct edit_ops *edit = img->format->edit;
    if (!edit || !edit->snapshot_apply)
        return err_set(e, ENOTSUP, "Block driver does not support snapshots");
    AUTO(json_release) json_t *list = snapshot_list(img, e);
    if (!list || apply_check(img, e))
        return -1;
    const json_t *found = list_find(list, "id", id_or_name);
    if (!found)
        found = list_find(list, "name", id_or_name);
    /* the driver says what is wrong with one that is not there */
    if (!edit->snapshot_apply(img, found ? text_of(found, "id") : id_or_name, e))
        return 0;
    if (!found && e->no == ENOENT)
        err_set(e, ENOENT, "%s", strerror(ENOENT));
    return err_prefix(e, "Failed to load snapshot: ");
}

int snapshot_delete(struct image *img, const char *name, struct err *e)
{
    const struct edit_ops *edit = img->format->edit;
    AUTO(json_release) json_t *list = snapshot_list(img, e);
    if (!list)
        return -1;
    const json_t *found = list_find(list, "name", name);
    if (!found)
        return err_set(e, ENOENT, "snapshot not found");
    if (!edit || !edit->snapshot_delete)
        return err_set(e, ENOTSUP, "%s", strerror(ENOTSUP));
    return edit->snapshot_delete(img, text_of(found, "id"), name, e);
}
