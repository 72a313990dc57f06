/*
 * formats/edit.h for vmdk: each extent by itself.
 *
 * A sparse extent is an image of its own to formats/table_edit.h, which sees it through `view`. Its
 * entries go to both copies of the tables, each of which is whole at any time. The first change
 * gives the image a new content identifier: a child that was made over it can tell.
 */
#include "formats/edit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/table_edit.h"
#include "formats/vmdk/state.h"

#define HELD_MOST 32u /* tables that are held at a time */

/* A grain table and its copy, in sectors. */
struct pair {
    uint32_t table, copy;
};

/* An extent that was written to. */
struct part {
    struct table_edit edit; /* first, as table_edit.h has it */
    struct image view;
    struct vmdk_extent *x;
    struct pair *pairs; /* by table */
    size_t n_pairs;
    uint32_t free; /* COWD: as its header says now */
    bool ready;    /* what does not change while the image is open is set */
    bool held;     /* its table is */
};

struct vmdk_edit {
    struct part **parts; /* by extent; NULL: not written to */
    size_t n_held;
    bool touched; /* there is a new content identifier */
};

static void part_free(struct part *p)
{
    if (p)
        free(p->pairs);
    free(p);
}

void vmdk_edit_free(struct vmdk *v)
{
    struct vmdk_edit *d = v->edit;
    v->edit = NULL;
    for (size_t i = 0; d && d->parts && i < v->n; i++) {
        if (d->parts[i] && d->parts[i]->held)
            vmdk_pool_put(v, &v->extents[i]);
        part_free(d->parts[i]);
    }
    if (d)
        free(d->parts);
    free(d);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static uint64_t vmdk_unit(struct image *img)
{
    const struct vmdk *v = vmdk_of(img);
    for (size_t i = 0; i < v->n; i++)
        if (v->extents[i].grain)
            return v->extents[i].grain;
    return 1;
}

/* Grains go behind all others: there may be no directory. */
static int stream_check(const struct vmdk_extent *x, struct err *e)
{
    uint8_t buf[VMDK_SPARSE_HEADER];
    struct vmdk_sparse h;
    if (file_read(x->file, buf, sizeof buf, 0, e))
        return -1;
    if (vmdk_sparse_load(buf, sizeof buf, &h) || h.gd_offset == VMDK_GD_AT_END || x->start ||
        !x->lead_in || h.grain != VMDK_GRAIN_DEFAULT)
        return err_set(e, ENOTSUP,
                       "Writing to streamOptimized images whose directory stands at the end is not "
                       "supported");
    return 0;
}

/* Units are counted from the disk's begin: no grain lies in two of them. */
static int extent_check(const struct vmdk_extent *x, uint64_t unit, struct err *e)
{
    if (x->wide)
        return err_set(e, ENOTSUP, "No write support for seSparse images available");
    if (x->packed && stream_check(x, e))
        return -1;
    if (!num_is_pow2(unit) || x->start % unit || (x->grain && x->grain != unit))
        return err_set(e, ENOTSUP,
                       "Writing to extents that do not begin with a grain of the disk, "
                       "or have different ones, is not supported");
    return 0;
}

static int vmdk_edit_begin(struct image *img, struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    uint64_t unit = vmdk_unit(img);
    for (size_t i = 0; i < v->n; i++)
        if (extent_check(&v->extents[i], unit, e))
            return -1;
    vmdk_edit_free(v); /* of a run that could not end */
    v->edit = mem_new(1, sizeof *v->edit, e);
    if (!v->edit)
        return -1;
    v->edit->parts = mem_new(num_max(v->n, 1), sizeof *v->edit->parts, e);
    if (v->edit->parts)
        return 0;
    vmdk_edit_free(v);
    return -1;
}

static int vmdk_edit_end(struct image *img, struct err *e)
{
    (void)e;
    vmdk_edit_free(vmdk_of(img));
    return 0;
}

/* Another one of as many digits, so that it takes the old one's place by one small write. */
static int touch(struct vmdk *v, struct err *e)
{
    uint32_t cid, mask = UINT32_MAX >> (32 - 4 * v->desc.cid_digits);
    char digits[9];
    if (v->edit->touched)
        return 0;
    do {
        if (getrandom(&cid, sizeof cid, 0) != sizeof cid)
            return err_errno(e, errno, "No random numbers");
        cid &= mask;
    } while (cid == v->desc.cid || cid == VMDK_NO_PARENT);
    snprintf(digits, sizeof digits, "%0*" PRIx32, (int)v->desc.cid_digits, cid);
    if (file_write(v->image->file, digits, v->desc.cid_digits, v->desc_at + v->desc.cid_at, e) ||
        file_sync(v->image->file, e))
        return err_prefix(e, "Could not write the image descriptor: ");
    v->edit->touched = true;
    return 0;
}

/* ---- the second copy of the tables ----------------------------------------------------------- */

static int pair_order(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->table < y->table ? -1 : x->table > y->table;
}

/* Copies that can be none are left alone, as whoever made the image did. */
static bool pair_good(const struct vmdk_extent *x, const struct pair *p, uint64_t end)
{
    uint64_t bytes = x->grid.gtes * 4;
    return p->copy && p->copy != p->table &&
           num_inside((uint64_t)p->copy * VMDK_SECTOR, bytes, end);
}

static int pairs_read(struct part *p, const uint8_t *tables, const uint8_t *copies, struct err *e)
{
    const struct vmdk_extent *x = p->x;
    uint64_t end = file_size(x->file);
    p->pairs = mem_new(x->grid.first_entries, sizeof *p->pairs, e);
    if (!p->pairs)
        return -1;
    for (uint64_t i = 0; i < x->grid.first_entries; i++) {
        struct pair pair = {le32_load(tables + 4 * i), le32_load(copies + 4 * i)};
        if (!pair.table)
            return err_set(e, ENOTSUP,
                           "Writing to the extent '%s', which lacks grain tables, is not supported",
                           file_name(x->file));
        if (pair_good(x, &pair, end))
            p->pairs[p->n_pairs++] = pair;
    }
    qsort(p->pairs, p->n_pairs, sizeof *p->pairs, pair_order);
    return 0;
}

static int pairs_load(struct part *p, struct err *e)
{
    const struct vmdk_grid *g = &p->x->grid;
    size_t bytes = g->first_entries * 4;
    if (!g->copy_offset)
        return 0;
    AUTO_FREE uint8_t *tables = mem_io(2 * bytes, e);
    if (!tables || file_read_padded(p->x->file, tables, bytes, g->first_offset, NULL, e) ||
        file_read_padded(p->x->file, tables + bytes, bytes, g->copy_offset, NULL, e))
        return -1;
    return pairs_read(p, tables, tables + bytes, e);
}

/* The last table that begins at or before `at`, and its copy; NULL: it has none. */
static const struct pair *pair_find(const struct part *p, uint64_t at)
{
    size_t low = 0, high = p->n_pairs;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if ((uint64_t)p->pairs[mid].table * VMDK_SECTOR <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? &p->pairs[low - 1] : NULL;
}

/* Entries that are about to be written at `at`. */
static int copy_write(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct err *e)
{
    const struct part *p = ctx;
    uint64_t bytes = p->x->grid.gtes * 4;
    while (len) {
        const struct pair *pair = pair_find(p, at);
        uint64_t in = pair ? at - (uint64_t)pair->table * VMDK_SECTOR : 0;
        bool has = pair && in < bytes;
        size_t n = has ? num_min(len, bytes - in) : num_min(len, VMDK_SECTOR - at % VMDK_SECTOR);
        if (has && file_write(p->x->file, data, n, (uint64_t)pair->copy * VMDK_SECTOR + in, e))
            return -1;
        at += n;
        data += n;
        len -= n;
    }
    return 0;
}

static int part_copies(struct image *view, struct err *e)
{
    struct part *p = view->state;
    return p->n_pairs ? table_changes(p->edit.table, copy_write, p, e) : 0;
}

/* ---- one extent ------------------------------------------------------------------------------ */

/* Behind all that is in the file; the last grain of the disk may be there in part. */
static int end_find(struct part *p, struct err *e)
{
    const struct vmdk_extent *x = p->x;
    uint64_t raw = 0;
    p->edit.end = num_max(file_size(x->file), (uint64_t)p->free * VMDK_SECTOR);
    if (x->size && !x->packed && table_raw(p->edit.table, (x->size - 1) / x->grain, &raw, e))
        return -1;
    if (raw > 1)
        p->edit.end = num_max(p->edit.end, raw * VMDK_SECTOR + x->grain);
    return 0;
}

static int part_fill(struct vmdk *v, struct part *p, struct err *e)
{
    struct vmdk_extent *x = p->x;
    uint8_t word[4];
    free(p->pairs);
    p->pairs = NULL;
    p->n_pairs = 0;
    p->view = (struct image){.format = v->image->format,
                             .state = p,
                             .file = x->file,
                             .size = x->size,
                             .backing_name = v->image->backing_name};
    p->edit.align = x->grain;
    p->edit.entry_max = UINT32_MAX;
    p->edit.copies = part_copies;
    if (x->free_at && file_read(x->file, word, sizeof word, x->free_at, e))
        return -1;
    p->free = x->free_at ? le32_load(word) : 0;
    if (pairs_load(p, e) || end_find(p, e))
        return -1;
    p->ready = true;
    return 0;
}

static int vmdk_edit_flush(struct image *img, struct err *e);

/* Its table is held until a flush. */
static int part_hold(struct vmdk *v, struct part *p, struct err *e)
{
    if (p->held)
        return p->ready ? 0 : part_fill(v, p, e);
    if (v->edit->n_held >= HELD_MOST && vmdk_edit_flush(v->image, e))
        return -1;
    p->edit.table = vmdk_pool_get(v, p->x, e);
    if (!p->edit.table)
        return -1;
    p->held = true;
    v->edit->n_held++;
    if (!p->ready && part_fill(v, p, e))
        return -1;
    table_edit_begin(&p->view);
    return 0;
}

static int part_get(struct vmdk *v, struct vmdk_extent *x, struct part **out, struct err *e)
{
    struct part **p = &v->edit->parts[x - v->extents];
    if (!*p) {
        *p = mem_new(1, sizeof **p, e);
        if (!*p)
            return -1;
        (*p)->x = x;
    }
    *out = *p;
    return x->grain ? part_hold(v, *p, e) : 0;
}

static int part_flush(struct vmdk *v, struct part *p, struct err *e)
{
    if (!p->x->grain)
        return file_sync(p->x->file, e);
    if (!p->held)
        return 0;
    if (table_edit_flush(&p->view, e))
        return -1;
    vmdk_pool_put(v, p->x);
    p->held = false;
    v->edit->n_held--;
    return 0;
}

static int vmdk_edit_flush(struct image *img, struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    for (size_t i = 0; i < v->n; i++)
        if (v->edit->parts[i] && part_flush(v, v->edit->parts[i], e))
            return -1;
    return 0;
}

static int no_space(struct err *e)
{
    return err_set(e, EFBIG, "The image has reached the largest size of its file");
}

/* COWD: servers put the next grain where the header says. What comes before the next time that it
 * is told stays below: a grain table. */
static int part_tell_free(struct part *p, struct err *e)
{
    const struct vmdk_extent *x = p->x;
    uint64_t free = num_div_up(p->edit.end + x->grid.gtes * 4, VMDK_SECTOR);
    uint8_t word[4];
    if (!x->free_at || free <= p->free)
        return 0;
    if (free > UINT32_MAX)
        return no_space(e);
    le32_store(word, (uint32_t)free);
    p->free = (uint32_t)free;
    return file_write(x->file, word, sizeof word, x->free_at, e);
}

/* ---- the operations -------------------------------------------------------------------------- */

static int vmdk_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                      struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    struct vmdk_extent *x = vmdk_extent_at(v, guest);
    uint64_t at = guest - x->start;
    struct part *p;
    if (x->packed)
        return err_set(e, EINVAL, "A streamOptimized image takes nothing but whole grains");
    if (touch(v, e) || part_get(v, x, &p, e))
        return -1;
    if (x->grain) {
        length = num_min(length, num_up(x->size - at, x->grain));
        return table_edit_place(&p->view, at, length, out, e) || part_tell_free(p, e) ? -1 : 0;
    }
    out->length = num_min(length, x->size - at);
    out->file = x->file;
    out->host = x->host + at;
    return 0;
}

int vmdk_place_packed(struct image *img, uint64_t guest, uint32_t len, struct edit_place *out,
                      struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    struct vmdk_extent *x = vmdk_extent_at(v, guest);
    struct extent was = {0};
    struct part *p;
    if (part_get(v, x, &p, e) || table_map(p->edit.table, guest - x->start, x->grain, &was, e))
        return -1;
    if (was.kind == EXTENT_PACKED)
        return err_set(e, EIO, "Could not write to allocated cluster for streamOptimized");
    if (touch(v, e))
        return -1;
    out->file = x->file;
    out->host = num_up(p->edit.end, VMDK_SECTOR);
    p->edit.end = out->host + len;
    return p->edit.end / VMDK_SECTOR <= UINT32_MAX ? 0 : no_space(e);
}

static int link_packed(struct part *p, const struct edit_place *place, struct err *e)
{
    struct table *t = p->edit.table;
    if (table_set(t, place->guest / p->x->grain, place->host / VMDK_SECTOR, e))
        return -1;
    return table_changed(t) < p->edit.most ? 0 : table_edit_flush(&p->view, e);
}

static int vmdk_link(struct image *img, const struct edit_place *place, struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    struct vmdk_extent *x = vmdk_extent_at(v, place->guest);
    struct edit_place inside = *place;
    struct part *p;
    inside.guest -= x->start;
    if (part_get(v, x, &p, e))
        return -1;
    if (place->packed_len)
        return link_packed(p, &inside, e);
    return table_edit_link(&p->view, &inside, e) || part_tell_free(p, e) ? -1 : 0;
}

static int extent_zero(struct vmdk *v, struct vmdk_extent *x, uint64_t at, uint64_t length,
                       enum edit_zero how, uint64_t *done, struct err *e)
{
    struct part *p;
    if (part_get(v, x, &p, e))
        return -1;
    if (x->grain)
        return table_edit_zero(&p->view, at, length, how, done, e);
    *done = length;
    return file_zero(x->file, x->host + at, length,
                     how == EDIT_ZERO_KEEP ? FILE_ZERO_KEEP : FILE_ZERO_UNMAP, e);
}

static int vmdk_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                     uint64_t *done, struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    *done = 0;
    if (touch(v, e))
        return -1;
    for (uint64_t n, got; *done < length; *done += got) {
        struct vmdk_extent *x = vmdk_extent_at(v, guest + *done);
        uint64_t at = guest + *done - x->start;
        n = num_min(length - *done, x->size - at);
        got = 0;
        if (extent_zero(v, x, at, n, how, &got, e))
            return -1;
        if (got < n) {
            *done += got;
            return 0;
        }
    }
    return 0;
}

const struct edit_ops vmdk_edit = {
    .begin = vmdk_edit_begin,
    .end = vmdk_edit_end,
    .unit = vmdk_unit,
    .place = vmdk_place,
    .link = vmdk_link,
    .packing = &vmdk_packing,
    .zero = vmdk_zero,
    .flush = vmdk_edit_flush,
};
