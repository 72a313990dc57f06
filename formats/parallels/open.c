#include "formats/parallels/parallels.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"

static int parallels_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    if (n < PARALLELS_HEADER_SIZE || le32_load(head + 16) != PARALLELS_VERSION)
        return 0;
    return !memcmp(head, "WithoutFreeSpace", 16) || !memcmp(head, "WithouFreSpacExt", 16) ? 100 : 0;
}

static int open_table(struct image *img, struct parallels *s, struct err *e)
{
    const struct table_params p = {
        .format = &s->format,
        .file = img->file,
        .data_file = img->file,
        .size = img->size,
        .block_size = (uint32_t)parallels_cluster_bytes(&s->header),
        .levels = 1,
        .first_offset = PARALLELS_HEADER_SIZE,
        .first_entries = s->header.entries,
        .budget = img->flags.metadata_budget,
    };
    if (table_open(&p, &s->table, e))
        return -1;
    s->edit.table = s->table;
    return 0;
}

/* Somebody who writes must not build on what another writer left half done. A check is what puts it
 * right. */
static int check_in_use(const struct image *img, const struct parallels_header *h, struct err *e)
{
    if (h->in_use != PARALLELS_IN_USE || !img->flags.write || img->flags.check)
        return 0;
    return err_set(e, EACCES,
                   "parallels: Image was not closed correctly; cannot be opened read/write");
}

static int open_steps(struct image *img, struct parallels *s, struct err *e)
{
    uint8_t buf[PARALLELS_HEADER_SIZE];
    struct parallels_header *h = &s->header;
    if (file_read_padded(img->file, buf, sizeof buf, 0, NULL, e) ||
        parallels_header_load(buf, h, e) || check_in_use(img, h, e))
        return -1;
    if (h->ext_offset && !img->flags.write && parallels_extension_check(img->file, h, e))
        return -1;
    s->format = parallels_table_format(h);
    img->size = h->sectors * PARALLELS_SECTOR;
    return open_table(img, s, e);
}

static int parallels_open(struct image *img, struct err *e)
{
    AUTO_FREE struct parallels *s = mem_new(1, sizeof *s, e);
    if (!s || open_steps(img, s, e))
        return -1;
    img->state = MEM_TAKE(s);
    return 0;
}

static void parallels_close(struct image *img)
{
    struct parallels *s = img->state;
    if (s)
        table_free(s->table);
    free(s);
    img->state = NULL;
}

static int parallels_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                         struct err *e)
{
    const struct parallels *s = img->state;
    return table_map(s->table, guest, length, out, e);
}

static int parallels_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)img;
    (void)out;
    (void)e;
    return 0;
}

static void parallels_status(struct image *img, struct format_status *out)
{
    (void)img;
    (void)out; /* as its map says */
}

const struct format format_parallels = {
    .name = "parallels",
    .probe = parallels_probe,
    .named_only = true,
    .open = parallels_open,
    .close = parallels_close,
    .map = parallels_map,
    .info = parallels_info,
    .check = parallels_check,
    .status = parallels_status,
    .supports_backing = true, /* one that the user names: it stores none */
    .create_options = parallels_create_options,
    .writer = &parallels_writer,
    .edit = &parallels_edit,
};
