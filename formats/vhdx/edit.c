/*
 * formats/edit.h for vhdx. A block that is not there yet gets a place at the end of the file, which
 * reads as zeros like the block did: so it is part of the image at once, in memory, and every write
 * is one in place. On storage it is part of the image once its data is there (journal.h).
 */
#include "formats/edit.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/journal.h"

#define TABLES_MOST (8 * MIB) /* of a BAT that wait for a flush */

struct vhdx_edit {
    struct vhdx_journal journal;
    bool touched; /* the headers say that somebody has written */
};

void vhdx_edit_free(struct vhdx *s)
{
    free(s->edit);
    s->edit = NULL;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static int vhdx_edit_begin(struct image *img, struct err *e)
{
    struct vhdx *s = vhdx_of(img);
    if (s->meta.has_parent)
        return err_set(e, ENOTSUP, "Writing to VHDX images that have a parent is not supported");
    vhdx_edit_free(s); /* of a run that could not end */
    struct vhdx_edit *d = mem_new(1, sizeof *d, e);
    if (!d || vhdx_journal_begin(s, &d->journal, e)) {
        free(d);
        return -1;
    }
    s->edit = d;
    return 0;
}

/* "FileWriteGuid", "DataWriteGuid": before the first change, whoever knows the image by them (a
 * child) is told. */
static int touch(struct vhdx *s, struct err *e)
{
    struct vhdx_header *h = &s->header;
    if (s->edit->touched)
        return 0;
    if (vhdx_guid_new(&h->file_write, e) || vhdx_guid_new(&h->data_write, e) ||
        vhdx_header_update(s->file, h, s->header_copy, e))
        return -1;
    s->edit->touched = true;
    return 0;
}

static int vhdx_edit_end(struct image *img, struct err *e)
{
    struct vhdx *s = vhdx_of(img);
    int r = vhdx_journal_end(s, e);
    vhdx_edit_free(s);
    return r;
}

/* ---- onto storage ---------------------------------------------------------------------------- */

/* Sectors of the BAT with what has changed in them. */
struct sectors {
    struct file *file;
    struct vhdx_sector *at;
    size_t n, room;
};

static void sectors_release(struct sectors *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->at[i].data);
    free(list->at);
}

static int sector_add(struct sectors *list, uint64_t offset, struct err *e)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        struct vhdx_sector *at = mem_grow(list->at, room, sizeof *at, e);
        if (!at)
            return -1;
        list->at = at;
        list->room = room;
    }
    struct vhdx_sector *x = &list->at[list->n];
    *x = (struct vhdx_sector){offset, mem_io(VHDX_LOG_SECTOR, e)};
    if (!x->data)
        return -1;
    list->n++;
    return file_read_padded(list->file, x->data, VHDX_LOG_SECTOR, offset, NULL, e);
}

/* Changes of one sector come one after the other. */
static int sectors_see(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct err *e)
{
    struct sectors *list = ctx;
    while (len) {
        uint64_t offset = num_down(at, VHDX_LOG_SECTOR), in = at - offset;
        size_t n = num_min(len, VHDX_LOG_SECTOR - in);
        bool same = list->n && list->at[list->n - 1].offset == offset;
        if (!same && sector_add(list, offset, e))
            return -1;
        memcpy(list->at[list->n - 1].data + in, data, n);
        at += n;
        data += n;
        len -= n;
    }
    return 0;
}

/* Through the log; then the table writes what is there already, and so knows that it is. */
static int flush(struct vhdx *s, struct err *e)
{
    AUTO(sectors_release) struct sectors list = {.file = s->file};
    if (file_sync(s->file, e))
        return -1;
    if (!table_changed(s->table))
        return 0;
    if (table_changes(s->table, sectors_see, &list, e) ||
        vhdx_journal_write(s, &s->edit->journal, list.at, list.n, e))
        return -1;
    return table_write(s->table, e);
}

static int vhdx_edit_flush(struct image *img, struct err *e)
{
    return flush(vhdx_of(img), e);
}

/* ---- place ----------------------------------------------------------------------------------- */

/* Behind all that is in the file, at a whole MiB. */
static int block_append(struct vhdx *s, uint64_t *host, struct err *e)
{
    const struct vhdx_regions *r = &s->regions;
    uint64_t at = num_up(s->file_size, VHDX_ALIGN), end;
    if (r->n)
        at = num_max(at, num_up(r->sorted[r->n - 1].end, VHDX_ALIGN));
    if (!num_add(at, s->meta.block_size, &end) || end > INT64_MAX)
        return err_set(e, EFBIG, "The image file is too large for another block");
    if (file_truncate(s->file, end, e) ||
        (!file_grows_zero(s->file) &&
         file_zero(s->file, at, s->meta.block_size, FILE_ZERO_KEEP, e)))
        return -1;
    s->file_size = end;
    *host = at;
    return 0;
}

static int block_add(struct vhdx *s, uint64_t block, uint64_t *host, struct err *e)
{
    if ((table_changed(s->table) >= TABLES_MOST && flush(s, e)) || block_append(s, host, e))
        return -1;
    return table_set(s->table, block, table_encode(&vhdx_bat_format, *host, 0), e);
}

static int vhdx_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                      struct err *e)
{
    struct vhdx *s = vhdx_of(img);
    uint64_t in = guest % s->meta.block_size;
    struct extent x = {0};
    length = num_min(length, s->meta.block_size - in);
    if (touch(s, e) || table_map(s->table, guest, length, &x, e))
        return -1;
    if (x.kind != EXTENT_DATA) {
        if (block_add(s, guest / s->meta.block_size, &x.host, e))
            return -1;
        x.host += in;
    }
    out->length = length;
    out->file = s->file;
    out->host = x.host;
    return 0;
}

static int vhdx_link(struct image *img, const struct edit_place *p, struct err *e)
{
    (void)img;
    (void)p;
    return err_set(e, EINVAL, "No block of a VHDX image has to be linked");
}

/* What is not there reads as zeros, and goes on to. */
static int vhdx_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                     uint64_t *done, struct err *e)
{
    struct vhdx *s = vhdx_of(img);
    enum file_zero keep = how == EDIT_ZERO_KEEP ? FILE_ZERO_KEEP : FILE_ZERO_UNMAP;
    for (*done = 0; *done < length;) {
        struct extent x = {0};
        if (table_map(s->table, guest + *done, length - *done, &x, e) ||
            (x.kind == EXTENT_DATA &&
             (touch(s, e) || file_zero(s->file, x.host, x.length, keep, e))))
            return -1;
        *done += x.length;
    }
    return 0;
}

const struct edit_ops vhdx_edit = {
    .begin = vhdx_edit_begin,
    .end = vhdx_edit_end,
    .place = vhdx_place,
    .link = vhdx_link,
    .zero = vhdx_zero,
    .flush = vhdx_edit_flush,
};
