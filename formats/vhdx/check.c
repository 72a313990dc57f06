/*
 * check: does every BAT entry lead to a place of its own, inside the file and outside of what holds
 * no blocks? Its words for that are the original's; states that nothing can read, and blocks that
 * share a place, are told besides.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/vhdx.h"

#define PIECE (64 * KIB)

struct checker {
    const struct vhdx *s;
    const struct check_sink *sink;
    struct check_result *result;
    uint64_t end;   /* of the file, as the original counts it: whole sectors */
    uint8_t *taken; /* a bit for each MiB of the file, as far as there is memory for it */
    uint64_t n_taken;
};

static void checker_release(struct checker *c)
{
    free(c->taken);
}

static void __attribute__((format(printf, 2, 3))) corrupt(struct checker *c, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (c->sink->error ? c->sink->error : c->sink->line)(c->sink->ctx, text);
    c->result->corruptions++;
}

/* ---- one entry ------------------------------------------------------------------------------- */

static void check_regions(struct checker *c, uint64_t start, uint64_t end)
{
    const struct vhdx_regions *r = &c->s->regions;
    for (size_t i = vhdx_regions_touch(r, start, end) ? r->n : 0; i; i--) {
        const struct vhdx_range *x = &r->all[i - 1];
        if (x->start < end && start < x->end) {
            corrupt(c,
                    "VHDX region %" PRIu64 "-%" PRIu64 " overlaps with region %" PRIu64 "-%" PRIu64,
                    start, end, x->start, x->end);
            return;
        }
    }
}

static void check_place(struct checker *c, uint64_t entry, uint64_t start, uint64_t used,
                        uint64_t length)
{
    static const char truncated[] = "Image has probably been truncated.";
    if (start > UINT64_MAX - length)
        corrupt(c, "VHDX BAT entry %" PRIu64 " offset overflow.", entry);
    if (start >= c->end)
        corrupt(c,
                "VHDX BAT entry %" PRIu64 " start offset %" PRIu64 " points after end of file "
                "(%" PRIu64 "). %s",
                entry, start, c->end, truncated);
    else if (used > c->end - start)
        corrupt(c,
                "VHDX BAT entry %" PRIu64 " end offset %" PRIu64 " points after end of file "
                "(%" PRIu64 "). %s",
                entry, start + used - 1, c->end, truncated);
    if (start <= UINT64_MAX - length)
        check_regions(c, start, start + length);
}

/* Has another block any of [start, start + length)? One of them is told of. */
static void check_shared(struct checker *c, uint64_t entry, uint64_t start, uint64_t length)
{
    bool shared = false;
    uint64_t first = start / MIB, end = num_min(first + length / MIB, c->n_taken);
    for (uint64_t i = first; i < end; i++) {
        shared |= c->taken[i / 8] >> (i % 8) & 1;
        c->taken[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    if (shared)
        corrupt(c, "VHDX BAT entry %" PRIu64 " offset %" PRIu64 " is used by another entry too.",
                entry, start);
}

static void check_stored(struct checker *c, uint64_t entry, uint64_t raw, uint64_t used,
                         uint64_t length)
{
    uint64_t start = VHDX_PLACE(raw);
    if (start < VHDX_ALIGN)
        corrupt(c, "VHDX BAT entry %" PRIu64 " offset %" PRIu64 " is that of the header.", entry,
                start);
    check_place(c, entry, start, used, length);
    if (start < c->end)
        check_shared(c, entry, start, length);
}

static void check_entry(struct checker *c, uint64_t entry, uint64_t raw)
{
    const struct vhdx *s = c->s;
    unsigned state = VHDX_STATE(raw);
    bool bitmap = entry % (s->ratio + 1) == s->ratio;
    uint64_t block = entry - entry / (s->ratio + 1);
    if (!bitmap && block >= s->blocks)
        return; /* behind the disk's end, up to the last sector bitmap */
    bool valid = bitmap ? state == VHDX_NOT_PRESENT || (state == VHDX_PRESENT && s->meta.has_parent)
                        : state != 4 && (state != VHDX_PARTIAL || s->meta.has_parent);
    if (!valid)
        corrupt(c, "VHDX BAT entry %" PRIu64 " has the invalid state %u.", entry, state);
    else if (bitmap && state == VHDX_PRESENT)
        check_stored(c, entry, raw, VHDX_ALIGN, VHDX_ALIGN);
    else if (state == VHDX_PRESENT || state == VHDX_PARTIAL)
        check_stored(c, entry, raw, vhdx_block_bytes(s, block), s->meta.block_size);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int check_entries(struct checker *c, struct err *e)
{
    const struct vhdx *s = c->s;
    uint64_t n = vhdx_bat_entries(s->blocks, s->ratio, s->meta.has_parent);
    AUTO_FREE uint8_t *piece = mem_io(PIECE, e);
    if (!piece)
        return -1;
    for (uint64_t at = 0; at < n; at += PIECE / 8) {
        uint64_t count = num_min(n - at, PIECE / 8);
        if (file_read(s->file, piece, count * 8, s->regions.bat.start + at * 8, e))
            return -1;
        for (uint64_t i = 0; i < count; i++)
            check_entry(c, at + i, le64_load(piece + i * 8));
    }
    return 0;
}

int vhdx_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
               struct check_result *out, struct err *e)
{
    struct vhdx *s = vhdx_of(img);
    AUTO(checker_release)
    struct checker c = {.s = s, .sink = sink, .result = out, .end = num_up(s->file_size, 512)};
    c.n_taken = num_min(num_up(c.end / MIB, 8), sink->memory * 8);
    c.taken = mem_new(c.n_taken / 8, 1, e);
    if (!c.taken)
        return -1;
    if (fix != CHECK_FIX_NONE && s->replayed) /* opening did it */
        out->corruptions_fixed++;
    s->replayed = false;
    return check_entries(&c, e);
}
