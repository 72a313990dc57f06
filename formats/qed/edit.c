/*
 * Changing a QED in place.
 *
 * Clusters and tables are appended, and nothing is ever given free: whatever was written when a
 * stop comes, the tables on storage are consistent. Other programs may think otherwise of an image
 * that was not closed, so the mark that a check is due is set before the first entry changes.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qed/qed.h"

#define REPAIR_MEMORY (256 * MIB)

/* ---- entries and marks ----------------------------------------------------------------------- */

static int qed_reserve(struct image *img, uint64_t end, struct err *e)
{
    struct qed *q = img->state;
    (void)e;
    q->limit = num_max(q->limit, end);
    return 0;
}

static int mark_set(struct image *img, bool set, struct err *e)
{
    struct qed *q = img->state;
    struct qed_header h = q->header;
    h.features = set ? h.features | QED_NEED_CHECK : h.features & ~QED_NEED_CHECK;
    if (h.features == q->header.features)
        return 0;
    if (qed_header_update(img->file, &h, e))
        return -1;
    q->header.features = h.features; /* all else is being read by the map */
    return 0;
}

static int qed_count(struct image *img, struct err *e)
{
    const struct qed *q = img->state;
    return table_changed(q->map) ? mark_set(img, true, e) : 0;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void say_nothing(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* A writer did not come to its end: entries that lead nowhere are dropped first. */
static int repair(struct image *img, struct err *e)
{
    struct qed *q = img->state;
    const struct check_sink quiet = {.line = say_nothing, .memory = REPAIR_MEMORY};
    struct check_result result = {0};
    if (!(q->header.features & QED_NEED_CHECK))
        return 0;
    if (qed_check(img, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS,
                  img->flags.repairs ? img->flags.repairs : &quiet, &result, e))
        return -1;
    return qed_map_open(img, q, e);
}

static int qed_edit_begin(struct image *img, struct err *e)
{
    struct qed *q = img->state;
    if (repair(img, e))
        return -1;
    q->edit = (struct table_edit){
        .table = q->map,
        .end = num_up(file_size(img->file), q->header.cluster_size),
        .align = q->header.cluster_size,
        .entry_max = INT64_MAX,
        .reserve = qed_reserve,
        .count = qed_count,
    };
    table_edit_begin(img);
    return 0;
}

static int qed_edit_end(struct image *img, struct err *e)
{
    const struct qed *q = img->state;
    if (!(q->header.features & QED_NEED_CHECK))
        return 0;
    return mark_set(img, false, e) ? -1 : file_sync(img->file, e);
}

/* ---- the header ------------------------------------------------------------------------------ */

static int resize_check(const struct image *img, const struct qed_header *h, uint64_t size,
                        enum edit_prealloc prealloc, struct err *e)
{
    static const char *const names[] = {"off", "metadata", "falloc", "full"};
    if (prealloc != EDIT_PREALLOC_OFF)
        return err_set(e, ENOTSUP, "Unsupported preallocation mode '%s'", names[prealloc]);
    if (size % 512 || size > qed_size_max(h))
        return err_set(e, EINVAL, "Invalid image size specified");
    if (size < h->size)
        return err_set(e, ENOTSUP, "Shrinking images is currently not supported");
    /* what is new would show what the backing image has there */
    if (img->backing && size > h->size && img->backing->size > h->size)
        return err_set(e, ENOTSUP, "Block driver does not support requested flags");
    return 0;
}

static int qed_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    struct qed *q = img->state;
    struct qed_header h = q->header;
    if (resize_check(img, &h, size, prealloc, e))
        return -1;
    h.size = size;
    if (qed_header_update(img->file, &h, e) || file_sync(img->file, e))
        return -1;
    q->header = h;
    img->size = size;
    return qed_map_open(img, q, e);
}

/* Where a name can stand in the header's clusters beside the old one, which counts until the header
 * is written; where there is no room beside it, in its place. */
static int name_place(const struct qed_header *h, size_t length, uint32_t *at, struct err *e)
{
    uint64_t room = num_min(qed_header_bytes(h), UINT32_MAX);
    uint64_t old_end = (uint64_t)h->backing_offset + h->backing_length;
    bool has_old = (h->features & QED_BACKING) && h->backing_length;
    *at = QED_HEADER;
    if (QED_HEADER + length > room || length > QED_MAX_BACKING)
        return err_set(e, ENOSPC, "The backing file's name has no room in the header");
    if (has_old && QED_HEADER + length > h->backing_offset && old_end + length <= room)
        *at = (uint32_t)num_max(old_end, QED_HEADER);
    return 0;
}

static int backing_take(struct image *img, const char *name, const char *format, struct err *e)
{
    AUTO_FREE char *copy = name ? mem_strdup(name, e) : NULL;
    AUTO_FREE char *type = name && format && !strcmp(format, "raw") ? mem_strdup("raw", e) : NULL;
    if (name && !copy)
        return -1;
    free(img->backing_name);
    free(img->backing_format);
    img->backing_name = MEM_TAKE(copy);
    img->backing_format = MEM_TAKE(type);
    return 0;
}

static int qed_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
    struct qed *q = img->state;
    struct qed_header h = q->header;
    size_t length = name ? strlen(name) : 0;
    name = length ? name : NULL;
    h.features &= ~(QED_BACKING | QED_BACKING_RAW);
    h.backing_length = (uint32_t)length;
    if (name) {
        h.features |= QED_BACKING;
        h.features |= format && !strcmp(format, "raw") ? QED_BACKING_RAW : 0;
        if (name_place(&q->header, length, &h.backing_offset, e) ||
            file_write(img->file, name, length, h.backing_offset, e) || file_sync(img->file, e))
            return -1;
    }
    if (qed_header_update(img->file, &h, e) || file_sync(img->file, e))
        return -1;
    q->header = h;
    return backing_take(img, name, format, e);
}

const struct edit_ops qed_edit = {
    .begin = qed_edit_begin,
    .end = qed_edit_end,
    .unit = table_edit_unit,
    .place = table_edit_place,
    .link = table_edit_link,
    .zero = table_edit_zero,
    .flush = table_edit_flush,
    .resize = qed_resize,
    .set_backing = qed_set_backing,
};
