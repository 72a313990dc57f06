#include "formats/table_edit.h"

#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/slices.h"

#define RUN_MAX      (2 * MIB)  /* bytes that get a place at once */
#define PIECE        (64 * KIB) /* of a table that is scanned */
#define TABLES_LEAST 4u         /* slices that may always wait for a flush */

uint64_t table_edit_unit(struct image *img)
{
    const struct table_edit *d = img->state;
    return table_params_of(d->table)->block_size;
}

void table_edit_begin(struct image *img)
{
    struct table_edit *d = img->state;
    const struct table_params *p = table_params_of(d->table);
    uint64_t budget = p->budget ? p->budget : SLICES_DEFAULT_BUDGET;
    d->zero_from = num_up(file_size(p->file), 512);
    d->most = num_max(budget / 2, TABLES_LEAST * SLICES_SIZE);
    d->linked_end = 0;
}

/* ---- space in the file ----------------------------------------------------------------------- */

static int no_space(struct err *e)
{
    return err_set(e, EFBIG, "The image has reached the largest size of its file");
}

/* The file has [at, end), and no reader takes it for cut off. */
static int space_use(struct image *img, uint64_t end, struct err *e)
{
    struct table_edit *d = img->state;
    struct file *f = table_params_of(d->table)->file;
    if (d->reserve && d->reserve(img, end, e))
        return -1;
    if (file_size(f) < end && file_truncate(f, end, e))
        return -1;
    d->end = end;
    return 0;
}

/* Where the next `bytes` are to stand. */
static int space_find(const struct table_edit *d, uint64_t bytes, uint64_t *host, struct err *e)
{
    const struct table_params *p = table_params_of(d->table);
    uint64_t units = num_div_up(d->end - p->base, d->align), at, end;
    if (num_mul(units, d->align, &at) && num_add(at, p->base, host) &&
        num_add(*host, bytes, &end) && end <= INT64_MAX)
        return 0;
    return no_space(e);
}

/* Does it read as zeros, unwritten as it is? */
static bool is_zero(const struct table_edit *d, uint64_t host)
{
    return host >= d->zero_from && file_grows_zero(table_params_of(d->table)->file);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static uint64_t entry_of(const struct table_params *p, uint64_t host)
{
    return table_encode(p->format, host - p->lead, p->base);
}

static int block_take(struct image *img, uint64_t n, struct edit_place *out, struct err *e)
{
    struct table_edit *d = img->state;
    const struct table_params *p = table_params_of(d->table);
    uint64_t free = d->reuse ? d->reuse(img) : 0;
    if (free) {
        out->host = free;
        out->length = p->block_size;
        return 0;
    }
    uint64_t stride = (uint64_t)p->lead + p->block_size, host;
    if (space_find(d, n * stride, &host, e))
        return -1;
    out->host = host + p->lead;
    out->length = n * p->block_size;
    out->is_zero = is_zero(d, out->host);
    if (entry_of(p, out->host + out->length - p->block_size) > d->entry_max)
        return no_space(e);
    return space_use(img, host + n * stride, e);
}

int table_edit_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                     struct err *e)
{
    struct table_edit *d = img->state;
    const struct table_params *p = table_params_of(d->table);
    struct extent x = {0};
    if (table_map(d->table, guest, length, &x, e))
        return -1;
    out->file = p->data_file;
    out->fresh = x.kind != EXTENT_DATA;
    out->host = x.host;
    out->length = x.length;
    if (!out->fresh)
        return 0;
    uint64_t n = p->lead ? 1 : num_max(num_min(x.length, RUN_MAX) / p->block_size, 1);
    return block_take(img, n, out, e);
}

/* A second-level table, of zeros. */
static int second_take(struct image *img, uint64_t block, struct err *e)
{
    struct table_edit *d = img->state;
    const struct table_params *p = table_params_of(d->table);
    uint64_t bytes = p->table_entries * p->format->entry_size, host;
    if (space_find(d, bytes, &host, e) || space_use(img, host + bytes, e) ||
        (!is_zero(d, host) && file_zero(p->file, host, bytes, FILE_ZERO_KEEP, e)))
        return -1;
    return table_add(d->table, block, host, e);
}

static int entry_put(struct image *img, uint64_t block, uint64_t raw, struct err *e)
{
    struct table_edit *d = img->state;
    if (table_lacks(d->table, block) && second_take(img, block, e))
        return -1;
    if (table_set(d->table, block, raw, e))
        return -1;
    return table_changed(d->table) < d->most ? 0 : table_edit_flush(img, e);
}

int table_edit_link(struct image *img, const struct edit_place *place, struct err *e)
{
    struct table_edit *d = img->state;
    const struct table_params *p = table_params_of(d->table);
    d->linked_end = num_max(d->linked_end, place->host + place->length);
    for (uint64_t done = 0; done < place->length; done += p->block_size)
        if (entry_put(img, (place->guest + done) / p->block_size, entry_of(p, place->host + done),
                      e))
            return -1;
    return 0;
}

/* ---- zeros ----------------------------------------------------------------------------------- */

/* Bytes from `guest` on, up to length, behind which no other image has anything. */
static uint64_t bottom(const struct image *img, uint64_t guest, uint64_t length)
{
    if (img->backing_changes)
        return 0;
    if (img->backing)
        return guest >= img->backing->size ? length : 0;
    return img->backing_name ? 0 : length;
}

/* All blocks of the run get this entry. */
static int mark(struct image *img, const struct extent *x, uint64_t guest, uint64_t raw,
                struct err *e)
{
    struct table_edit *d = img->state;
    uint32_t size = table_params_of(d->table)->block_size;
    for (uint64_t done = 0; done < x->length; done += size)
        if (entry_put(img, (guest + done) / size, raw, e))
            return -1;
    return 0;
}

/* Blocks of one kind; *done as in edit_ops.zero. */
static int zero_run(struct image *img, const struct extent *x, uint64_t guest, enum edit_zero how,
                    uint64_t *done, struct err *e)
{
    struct table_edit *d = img->state;
    const struct table_format *f = table_params_of(d->table)->format;
    bool is_bottom = bottom(img, guest, x->length);
    bool keep = d->keeps_space || how == EDIT_ZERO_KEEP;
    *done = x->length;
    if (x->kind == EXTENT_ZERO || (x->kind == EXTENT_HOLE && is_bottom))
        return 0;
    if (x->kind == EXTENT_DATA && !img->encrypted)
        return file_zero(x->file, x->host, x->length, keep ? FILE_ZERO_KEEP : FILE_ZERO_UNMAP, e);
    if (x->kind != EXTENT_DATA && f->has_zero && !f->zero_is_bit)
        return mark(img, x, guest, f->zero, e);
    if (x->kind == EXTENT_PACKED && is_bottom)
        return mark(img, x, guest, f->absent, e);
    *done = 0;
    return 0;
}

int table_edit_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                    uint64_t *done, struct err *e)
{
    struct table_edit *d = img->state;
    for (uint64_t n = *done = 0; *done < length; *done += n) {
        struct extent x = {0};
        if (table_map(d->table, guest + *done, length - *done, &x, e) ||
            zero_run(img, &x, guest + *done, how, &n, e))
            return -1;
        if (!n)
            return 0;
    }
    return 0;
}

/* ---- onto storage ---------------------------------------------------------------------------- */

int table_edit_flush(struct image *img, struct err *e)
{
    struct table_edit *d = img->state;
    struct file *f = table_params_of(d->table)->file;
    bool changed = table_changed(d->table);
    if ((d->count && d->count(img, e)) || file_sync(f, e))
        return -1;
    if (!changed)
        return 0;
    return (d->copies && d->copies(img, e)) || table_write(d->table, e) || file_sync(f, e) ? -1 : 0;
}

/* ---- counting -------------------------------------------------------------------------------- */

int table_edit_scan(struct table *t, table_edit_see_fn *see, void *ctx, struct err *e)
{
    const struct table_params *p = table_params_of(t);
    unsigned size = p->format->entry_size;
    uint64_t bytes = p->first_entries * size;
    AUTO_FREE uint8_t *buf = mem_io(PIECE, e);
    if (!buf || (table_changed(t) && (file_sync(p->file, e) || table_write(t, e))))
        return -1;
    for (uint64_t at = 0, n; at < bytes; at += n) {
        n = num_min(PIECE, bytes - at);
        if (file_read_padded(p->file, buf, n, p->first_offset + at, NULL, e))
            return -1;
        for (uint64_t i = 0; i < n; i += size)
            see(ctx, (at + i) / size, table_load(p->format, buf + i));
    }
    return 0;
}
