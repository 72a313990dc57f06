#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/bitmap_layout.h"

#define FLAGS_KNOWN 3u

/* "Bitmap table" */
#define TABLE_RESERVED UINT64_C(0xff000000000001fe)

void qcow2_bitmaps_free(struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->n_bitmaps; i++)
        free(q->bitmaps[i].name);
    free(q->bitmaps);
    q->bitmaps = NULL;
    q->n_bitmaps = 0;
}

/* ---- the directory --------------------------------------------------------------------------- */

/* Bytes of guest that a table of `entries` clusters of bits can describe, at least the image's and
 * not a whole cluster more. */
static bool table_fits(const struct qcow2 *q, const struct qcow2_bitmap *b)
{
    uint64_t bits = bitmap_bits(q->head.header.size, b->granularity_bits);
    return b->table_entries == num_div_up(num_div_up(bits, 8), q->cluster_size);
}

static bool entry_ok(const struct qcow2 *q, const uint8_t *p, const struct qcow2_bitmap *b)
{
    size_t name = be16_load(p + 18);
    return name > 0 && name <= BITMAP_NAME_MAX && b->table_entries > 0 &&
           b->table_entries <= BITMAP_TABLE_MAX && b->table_offset > 0 &&
           b->table_offset % q->cluster_size == 0 && b->table_offset <= INT64_MAX &&
           !(b->flags & ~FLAGS_KNOWN) && p[16] == BITMAP_TYPE_DIRTY &&
           b->granularity_bits >= BITMAP_GRANULARITY_MIN_BITS &&
           b->granularity_bits <= BITMAP_GRANULARITY_MAX_BITS &&
           (uint64_t)b->table_entries * q->cluster_size <= BITMAP_BYTES_MAX;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted: there may be tens of thousands. */
static int names_differ(const struct qcow2 *q, struct err *e)
{
    AUTO_FREE const char **name = mem_new((size_t)q->n_bitmaps + 1, sizeof *name, e);
    if (!name)
        return -1;
    for (uint32_t i = 0; i < q->n_bitmaps; i++)
        name[i] = q->bitmaps[i].name;
    qsort(name, q->n_bitmaps, sizeof *name, compare_names);
    for (uint32_t i = 1; i < q->n_bitmaps; i++)
        if (!strcmp(name[i - 1], name[i]))
            return err_set(e, EEXIST, "Bitmap already exists: %s", name[i]);
    return 0;
}

/* The entry at p, of which `room` bytes are there; *used = its bytes. */
static int entry_load(struct qcow2 *q, const uint8_t *p, size_t room, size_t *used, struct err *e)
{
    if (room < BITMAP_ENTRY_FIXED)
        return err_set(e, EINVAL, "Broken bitmap directory");
    size_t name_len = be16_load(p + 18);
    uint64_t extra = be32_load(p + 20);
    *used = num_up(BITMAP_ENTRY_FIXED + extra + name_len, 8);
    if (*used > room)
        return err_set(e, EINVAL, "Broken bitmap directory");
    if (extra)
        return err_set(e, ENOTSUP, "Bitmap extra data is not supported");
    struct qcow2_bitmap *b = &q->bitmaps[q->n_bitmaps];
    b->table_offset = be64_load(p);
    b->table_entries = be32_load(p + 8);
    b->flags = be32_load(p + 12);
    b->granularity_bits = p[17];
    AUTO_FREE char *name = mem_new(name_len + 1, 1, e);
    if (!name)
        return -1;
    memcpy(name, p + BITMAP_ENTRY_FIXED, name_len);
    if (!entry_ok(q, p, b))
        return err_set(e, EINVAL, "Bitmap '%s' doesn't satisfy the constraints", name);
    if (!(b->flags & QCOW2_BITMAP_IN_USE) && !table_fits(q, b))
        return err_set(e, EINVAL, "Could not read bitmap '%s' from image: Invalid argument", name);
    b->name = MEM_TAKE(name);
    q->n_bitmaps++;
    return 0;
}

static int directory_load(struct qcow2 *q, const uint8_t *dir, size_t size, struct err *e)
{
    uint32_t expected = q->head.ext.n_bitmaps;
    for (size_t at = 0, used = 0; at < size; at += used) {
        if (q->n_bitmaps == expected)
            return err_set(e, EINVAL, "More bitmaps found than specified in header extension");
        if (entry_load(q, dir + at, size - at, &used, e))
            return -1;
    }
    if (q->n_bitmaps < expected)
        return err_set(e, EINVAL, "Less bitmaps found than specified in header extension");
    return names_differ(q, e);
}

int qcow2_bitmaps_load(struct qcow2 *q, struct err *e)
{
    const struct qcow2_extensions *x = &q->head.ext;
    if (!x->has_bitmaps)
        return 0;
    if (!num_inside(x->bitmap_dir_offset, x->bitmap_dir_size, qcow2_file_limit(q)))
        return err_set(e, EIO,
                       "Failed to read bitmap directory: it reaches beyond the end of the "
                       "image file");
    AUTO_FREE uint8_t *dir = mem_io(x->bitmap_dir_size, e);
    /* no more entries than the directory has bytes for */
    size_t max = num_min(x->n_bitmaps, x->bitmap_dir_size / BITMAP_ENTRY_FIXED);
    q->bitmaps = mem_new(max + 1, sizeof *q->bitmaps, e);
    if (!dir || !q->bitmaps)
        return -1;
    if (file_read_padded(q->file, dir, x->bitmap_dir_size, x->bitmap_dir_offset, NULL, e))
        return err_prefix(e, "Failed to read bitmap directory: ");
    return directory_load(q, dir, x->bitmap_dir_size, e);
}

/* ---- for the core ---------------------------------------------------------------------------- */

int qcow2_bitmap_describe(const struct qcow2 *q, const struct qcow2_bitmap *b, struct bitmap *out,
                          struct err *e)
{
    *out = (struct bitmap){.granularity_bits = b->granularity_bits,
                           .enabled = b->flags & QCOW2_BITMAP_AUTO,
                           .inconsistent = b->flags & QCOW2_BITMAP_IN_USE,
                           .n_bits = bitmap_bits(q->head.header.size, b->granularity_bits),
                           .size = q->head.header.size};
    out->name = mem_strdup(b->name, e);
    return out->name ? 0 : -1;
}

int qcow2_bitmap_list(struct image *img, struct bitmap **out, size_t *n, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    struct bitmap *list = mem_new(q->n_bitmaps, sizeof *list, e);
    if (!list)
        return -1;
    for (uint32_t i = 0; i < q->n_bitmaps; i++)
        if (qcow2_bitmap_describe(q, &q->bitmaps[i], &list[i], e)) {
            bitmap_list_free(list, i);
            return -1;
        }
    *out = list;
    *n = q->n_bitmaps;
    return 0;
}

static const struct qcow2_bitmap *bitmap_find_entry(const struct qcow2 *q, const char *name)
{
    for (uint32_t i = 0; i < q->n_bitmaps; i++)
        if (!strcmp(q->bitmaps[i].name, name))
            return &q->bitmaps[i];
    return NULL;
}

int qcow2_bitmap_entry_check(const struct qcow2 *q, uint64_t entry)
{
    uint64_t host = entry & QCOW2_PLACE_MASK;
    return (entry & TABLE_RESERVED) || host % q->cluster_size ||
                   (host && (entry & QCOW2_BITMAP_ONES))
               ? -1
               : 0;
}

int qcow2_bits_read(const struct qcow2 *q, uint64_t entry, uint64_t in, uint8_t *bits, size_t n,
                    struct err *e)
{
    uint64_t host = entry & QCOW2_PLACE_MASK;
    if (qcow2_bitmap_entry_check(q, entry))
        return err_set(e, EINVAL, "invalid bitmap table entry 0x%" PRIx64, entry);
    if (!host) {
        memset(bits, entry & QCOW2_BITMAP_ONES ? 0xff : 0, n);
        return 0;
    }
    if (!num_inside(host, in + n, qcow2_file_limit(q)))
        return err_set(e, EIO,
                       "bitmap data at offset 0x%" PRIx64 " lies beyond the end of the file", host);
    return file_read_padded(q->file, bits, n, host + in, NULL, e);
}

static int unreadable(const char *name, struct err *e)
{
    return err_prefix(e, "Could not read bitmap '%s' from image: ", name);
}

/* Its table, read once. */
static int table_need(const struct qcow2 *q, struct bitmap *b, struct err *e)
{
    const struct qcow2_bitmap *src = bitmap_find_entry(q, b->name);
    if (b->table)
        return 0;
    if (!src)
        return bitmap_not_found(b->name, e);
    if (src->flags & QCOW2_BITMAP_IN_USE)
        return err_set(e, EINVAL, "Bitmap '%s' is inconsistent and cannot be used", b->name);
    if (!table_fits(q, src)) {
        err_set(e, EINVAL, "Invalid argument");
        return unreadable(b->name, e);
    }
    return qcow2_words_read(q, src->table_offset, src->table_entries, &b->table, e)
               ? unreadable(b->name, e)
               : 0;
}

static bool all_zero(const struct qcow2 *q, const struct bitmap *b, uint64_t at, size_t n)
{
    for (uint64_t i = at / q->cluster_size; i <= (at + n - 1) / q->cluster_size; i++)
        if (b->table[i])
            return false;
    return true;
}

static int bits_load(const struct qcow2 *q, const struct bitmap *b, uint64_t at, size_t n,
                     uint8_t *buf, struct err *e)
{
    for (uint64_t done = 0, left; done < n; done += left) {
        uint64_t in = (at + done) % q->cluster_size;
        left = num_min(q->cluster_size - in, n - done);
        if (qcow2_bits_read(q, b->table[(at + done) / q->cluster_size], in, buf + done, left, e))
            return -1;
    }
    if (at + n == bitmap_bytes(b)) /* bits behind the guest's end say nothing */
        bits_clear(buf, b->n_bits - at * 8, n * 8);
    return 0;
}

int qcow2_bitmap_read(struct image *img, struct bitmap *b, uint64_t at, size_t n, uint8_t *buf,
                      bool *zero, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    *zero = false;
    if (table_need(q, b, e))
        return -1;
    *zero = !n || all_zero(q, b, at, n);
    return !*zero && bits_load(q, b, at, n, buf, e) ? unreadable(b->name, e) : 0;
}
