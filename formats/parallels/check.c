/*
 * check, and repair in place.
 *
 * Each step of a repair leaves an image that is no worse: data is copied and synced before an entry
 * points to it; entries are written before the file is cut; the in-use mark goes last. What later
 * versions of qemu-img repair beyond 7.2 (clusters that two entries share, a wrong data_off) is
 * looked for by -r all alone: so a plain check says what qemu-img 7.2 says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/marks.h"
#include "formats/parallels/parallels.h"

#define PIECE (64u * 1024) /* of the BAT at once, and of data that is copied */

struct check {
    struct parallels_header *h;
    struct table_format format;
    struct file *file;
    const struct check_sink *sink;
    struct check_result *r;
    bool fix_leaks, fix_errors;
    uint64_t cluster;
    uint64_t file_size; /* in whole sectors, as it was found */
    uint64_t end;       /* of the last cluster in use */
    uint8_t *bat, *data;
};

__attribute__((format(printf, 2, 3))) static void say(struct check *c, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->sink->line(c->sink->ctx, text);
}

/* An error was found: is it to be repaired? */
static bool count_error(struct check *c)
{
    c->r->corruptions++;
    c->r->corruptions_fixed += c->fix_errors;
    return c->fix_errors;
}

static const char *word(bool fixing)
{
    return fixing ? "Repairing" : "ERROR";
}

static int put_field(struct check *c, unsigned at, unsigned bytes, uint64_t value, struct err *e)
{
    uint8_t buf[8];
    le64_store(buf, value);
    return file_write(c->file, buf, bytes, at, e);
}

/* ---- the BAT, piece by piece ----------------------------------------------------------------- */

/* What an entry becomes; *raw changed means: to be written. */
typedef int check_entry_fn(struct check *c, uint32_t index, uint32_t *raw, void *ctx,
                           struct err *e);

static int walk_piece(struct check *c, uint32_t first, uint32_t n, check_entry_fn *fn, void *ctx,
                      struct err *e)
{
    uint64_t at = PARALLELS_HEADER_SIZE + (uint64_t)first * 4;
    uint32_t last = 0; /* changed entry + 1 */
    if (file_read_padded(c->file, c->bat, n * 4, at, NULL, e))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t was = le32_load(c->bat + i * 4), is = was;
        if (was && fn(c, first + i, &is, ctx, e))
            return -1;
        if (is != was) {
            le32_store(c->bat + i * 4, is);
            last = i + 1;
        }
    }
    if (!last)
        return 0;
    /* what was copied is on storage before entries point to it */
    return file_sync(c->file, e) ? -1 : file_write(c->file, c->bat, last * 4, at, e);
}

static int walk_bat(struct check *c, check_entry_fn *fn, void *ctx, struct err *e)
{
    uint32_t n;
    for (uint32_t i = 0; i < c->h->entries; i += n) {
        n = (uint32_t)num_min(c->h->entries - i, PIECE / 4);
        if (walk_piece(c, i, n, fn, ctx, e))
            return -1;
    }
    return 0;
}

static uint64_t host_of(const struct check *c, uint32_t raw)
{
    return raw * c->format.place_scale;
}

/* ---- entries --------------------------------------------------------------------------------- */

struct previous {
    uint32_t index; /* + 1 */
    uint64_t end;
};

static int check_entry(struct check *c, uint32_t index, uint32_t *raw, void *ctx, struct err *e)
{
    struct previous *p = ctx;
    uint64_t host = host_of(c, *raw);
    (void)e;
    if (host > c->file_size) {
        bool fixing = count_error(c);
        say(c, "%s cluster %" PRIu32 " is outside image", word(fixing), index);
        if (fixing) {
            *raw = 0;
            return 0;
        }
    }
    c->r->allocated_clusters++;
    c->r->fragmented_clusters += p->index && p->index == index && p->end != host;
    *p = (struct previous){index + 1, host + c->cluster};
    c->end = num_max(c->end, p->end);
    return 0;
}

static int check_entries(struct check *c, struct err *e)
{
    struct previous p = {0};
    c->end = 0;
    if (walk_bat(c, check_entry, &p, e))
        return -1;
    if (!c->end)
        c->end = parallels_data_begin(c->h);
    return 0;
}

/* ---- the Format Extension -------------------------------------------------------------------- */

/* It stands behind the data: it goes before anything else is done there, or the header would name
 * what is no longer there. */
static int drop_extension(struct check *c, struct err *e)
{
    uint64_t at;
    if (!c->h->ext_offset || (num_mul(c->h->ext_offset, PARALLELS_SECTOR, &at) && at < c->end))
        return 0;
    c->h->ext_offset = 0;
    return put_field(c, PARALLELS_AT_EXT_OFFSET, 8, 0, e) ? -1 : file_sync(c->file, e);
}

/* ---- clusters that two entries share --------------------------------------------------------- */

static int copy_cluster(struct check *c, uint64_t from, uint64_t to, struct err *e)
{
    for (uint64_t at = 0, n; at < c->cluster; at += n) {
        n = num_min(PIECE, c->cluster - at);
        if (file_read_padded(c->file, c->data, n, from + at, NULL, e) ||
            file_write(c->file, c->data, n, to + at, e))
            return -1;
    }
    return 0;
}

static int part_entry(struct check *c, uint32_t index, uint32_t *raw, void *ctx, struct err *e)
{
    struct marks *marks = ctx;
    uint64_t host = host_of(c, *raw), block = host / c->cluster;
    if (!marks_has(marks, block) || !marks_take(marks, block))
        return 0;
    uint64_t entry = table_encode(&c->format, c->end, 0);
    if (entry > UINT32_MAX)
        return err_set(e, EFBIG, "No room for a copy of cluster %" PRIu32, index);
    say(c, "Repairing cluster %" PRIu32 " has the place of another", index);
    count_error(c);
    if (drop_extension(c, e) || copy_cluster(c, host, c->end, e))
        return -1;
    *raw = (uint32_t)entry;
    c->end += c->cluster;
    return 0;
}

static int part_entries(struct check *c, struct err *e)
{
    struct marks marks;
    uint64_t blocks = num_div_up(c->end, c->cluster);
    if (marks_init(&marks, blocks, c->sink->memory, e))
        return -1;
    int r;
    do {
        r = walk_bat(c, part_entry, &marks, e);
    } while (!r && marks_next(&marks, blocks));
    marks_release(&marks);
    return r;
}

/* ---- data_off -------------------------------------------------------------------------------- */

static bool data_offset_is_good(const struct check *c)
{
    uint64_t least =
        num_div_up(PARALLELS_HEADER_SIZE + (uint64_t)c->h->entries * 4, PARALLELS_SECTOR);
    if (c->h->old)
        return !c->h->data_offset || c->h->data_offset >= least;
    return c->h->data_offset >= least && c->h->data_offset % c->h->cluster == 0 &&
           (uint64_t)c->h->data_offset * PARALLELS_SECTOR <= c->end;
}

static int fix_data_offset(struct check *c, struct err *e)
{
    if (data_offset_is_good(c))
        return 0;
    say(c, "Repairing data_off field has incorrect value");
    count_error(c);
    c->h->data_offset = c->h->old ? 0 : (uint32_t)(parallels_data_begin(c->h) / PARALLELS_SECTOR);
    return put_field(c, PARALLELS_AT_DATA_OFFSET, 4, c->h->data_offset, e);
}

/* ---- the end of the file --------------------------------------------------------------------- */

static int check_leak(struct check *c, struct err *e)
{
    if (c->file_size <= c->end)
        return 0;
    uint64_t bytes = c->file_size - c->end, clusters = num_div_up(bytes, c->cluster);
    say(c, "%s space leaked at the end of the image %" PRIu64, word(c->fix_leaks), bytes);
    c->r->leaks += clusters;
    if (!c->fix_leaks)
        return 0;
    if (drop_extension(c, e) || file_sync(c->file, e) || file_truncate(c->file, c->end, e))
        return -1;
    c->r->leaks_fixed += clusters;
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool check_in_use(struct check *c)
{
    if (c->h->in_use != PARALLELS_IN_USE)
        return false;
    bool fixing = count_error(c);
    say(c, "%s image was not closed correctly", word(fixing));
    return fixing;
}

static int clear_in_use(struct check *c, struct err *e)
{
    c->h->in_use = 0;
    return file_sync(c->file, e) || put_field(c, PARALLELS_AT_IN_USE, 4, 0, e) ? -1 : 0;
}

static int check_run(struct check *c, struct err *e)
{
    bool was_in_use = check_in_use(c);
    if (check_entries(c, e))
        return -1;
    if (c->fix_errors && (part_entries(c, e) || fix_data_offset(c, e)))
        return -1;
    if (check_leak(c, e) || (was_in_use && clear_in_use(c, e)))
        return -1;
    c->r->image_end_offset = c->end;
    return c->fix_leaks ? file_sync(c->file, e) : 0;
}

int parallels_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
                    struct check_result *out, struct err *e)
{
    struct parallels *s = img->state;
    AUTO_FREE uint8_t *bat = mem_io(PIECE, e), *data = bat ? mem_io(PIECE, e) : NULL;
    struct check c = {
        .h = &s->header,
        .format = s->format,
        .file = img->file,
        .sink = sink,
        .r = out,
        .fix_leaks = fix,
        .fix_errors = fix & CHECK_FIX_ERRORS,
        .cluster = parallels_cluster_bytes(&s->header),
        .file_size = num_up(file_size(img->file), PARALLELS_SECTOR),
        .bat = bat,
        .data = data,
    };
    out->total_clusters = s->header.entries;
    return bat && data ? check_run(&c, e) : -1;
}
