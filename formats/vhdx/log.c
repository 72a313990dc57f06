/*
 * "Log": which of its entries count, and what they say.
 *
 * The log is a ring of sectors. An entry begins with a sector of header and descriptors; further
 * ones follow, then a sector of data for each data descriptor. Entries of consecutive sequence
 * numbers make a run; of the runs whose last entry points back into the run itself, the one with
 * the highest number counts. What was torn when the writer stopped fails its checksum and so ends
 * the run.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/crc32c.h"
#include "formats/vhdx/vhdx.h"

#define SECTOR          VHDX_LOG_SECTOR
#define LOG_MAX         (256 * MIB) /* what others make is 1 MiB */
#define PATCHES_MAX     (UINT32_C(1) << 18)
#define HEADER_SIZE     64u
#define DESCRIPTOR_SIZE 32u
/* Headers that name each other's sectors as their own would have all of the log summed up again and
 * again. */
#define SUM_ROUNDS 8u

struct entry {
    uint64_t sequence; /* 0: no valid entry begins in this sector */
    uint32_t at, length, tail, n;
    uint64_t flushed, last;
};

struct ring {
    struct file *file;
    uint64_t offset;
    uint32_t length;
    struct vhdx_guid guid;
    uint64_t summed;       /* bytes under checksums so far */
    struct entry *entries; /* one a sector */
    uint8_t *sector;       /* scratch */
};

/* From entry `first` on, `n` of them; n == 0: none. */
struct run {
    uint32_t first, n;
    const struct entry *head; /* the last one */
};

static void ring_release(struct ring *r)
{
    free(r->entries);
    free(r->sector);
}

/* ---- bytes of the ring ----------------------------------------------------------------------- */

/* Where byte `at` of the ring stands, counted on beyond its end. */
static uint64_t ring_place(const struct ring *r, uint64_t at)
{
    return r->offset + at % r->length;
}

static int sector_read(const struct ring *r, uint64_t at, struct err *e)
{
    if (file_read(r->file, r->sector, SECTOR, ring_place(r, at), e))
        return err_prefix(e, "Could not read VHDX log: ");
    return 0;
}

/* ---- is an entry valid? ---------------------------------------------------------------------- */

static uint32_t descriptor_bytes(uint32_t n)
{
    return (uint32_t)num_up(HEADER_SIZE + (uint64_t)n * DESCRIPTOR_SIZE, SECTOR);
}

/* By what its header says; the header is in r->sector. */
static bool header_load(const struct ring *r, uint32_t at, struct entry *out)
{
    const uint8_t *p = r->sector;
    struct vhdx_guid guid = vhdx_guid_load(p + 32);
    *out = (struct entry){
        .sequence = le64_load(p + 16),
        .at = at,
        .length = le32_load(p + 8),
        .tail = le32_load(p + 12),
        .n = le32_load(p + 24),
        .flushed = le64_load(p + 48),
        .last = le64_load(p + 56),
    };
    return !memcmp(p, "loge", 4) && out->sequence && vhdx_guid_equal(&guid, &r->guid) &&
           out->length && out->length % SECTOR == 0 && out->length <= r->length &&
           out->tail % SECTOR == 0 && out->tail < r->length && out->n <= r->length / SECTOR * 128 &&
           descriptor_bytes(out->n) <= out->length;
}

static int checksum_ok(struct ring *r, const struct entry *x, bool *ok, struct err *e)
{
    uint32_t crc = 0, want = 0;
    r->summed += x->length;
    if (r->summed > (uint64_t)r->length * SUM_ROUNDS)
        return err_set(e, EINVAL, "VHDX log is damaged: its entries overlap");
    for (uint32_t done = 0; done < x->length; done += SECTOR) {
        if (sector_read(r, (uint64_t)x->at + done, e))
            return -1;
        if (!done) {
            want = le32_load(r->sector + 4);
            memset(r->sector + 4, 0, 4);
        }
        crc = crc32c(crc, r->sector, SECTOR);
    }
    *ok = crc == want;
    return 0;
}

static bool is_data(const uint8_t *descriptor)
{
    return !memcmp(descriptor, "desc", 4);
}

/* Its descriptors and data sectors are of this entry, and as many as it has room for. */
static int contents_ok(const struct ring *r, const struct entry *x, bool *ok, struct err *e)
{
    uint32_t data = 0, from = descriptor_bytes(x->n);
    *ok = false;
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t at = HEADER_SIZE + i * DESCRIPTOR_SIZE;
        if ((i == 0 || at % SECTOR == 0) && sector_read(r, (uint64_t)x->at + at - at % SECTOR, e))
            return -1;
        const uint8_t *p = r->sector + at % SECTOR;
        if ((!is_data(p) && memcmp(p, "zero", 4)) || le64_load(p + 24) != x->sequence)
            return 0;
        data += is_data(p);
    }
    if (from + (uint64_t)data * SECTOR != x->length)
        return 0;
    for (uint32_t at = from; at < x->length; at += SECTOR) {
        if (sector_read(r, (uint64_t)x->at + at, e))
            return -1;
        const uint8_t *p = r->sector;
        if (memcmp(p, "data", 4) || le32_load(p + 4) != x->sequence >> 32 ||
            le32_load(p + SECTOR - 4) != (uint32_t)x->sequence)
            return 0;
    }
    *ok = true;
    return 0;
}

static int entry_find(struct ring *r, uint32_t at, struct err *e)
{
    struct entry x;
    bool ok = false;
    if (sector_read(r, at, e))
        return -1;
    if (!header_load(r, at, &x))
        return 0;
    if (checksum_ok(r, &x, &ok, e) || (ok && contents_ok(r, &x, &ok, e)))
        return -1;
    if (ok)
        r->entries[at / SECTOR] = x;
    return 0;
}

static int entries_find(struct ring *r, struct err *e)
{
    for (uint64_t at = 0; at < r->length; at += SECTOR)
        if (entry_find(r, (uint32_t)at, e))
            return -1;
    return 0;
}

/* ---- which of them count? -------------------------------------------------------------------- */

static const struct entry *entry_after(const struct ring *r, const struct entry *x)
{
    return &r->entries[((uint64_t)x->at + x->length) % r->length / SECTOR];
}

/* The longest run from `first` on; it fills the ring at most. */
static struct run run_from(const struct ring *r, uint32_t first)
{
    const struct entry *x = &r->entries[first];
    struct run run = {.first = first, .head = x};
    for (uint64_t bytes = x->length; x->sequence && bytes <= r->length; bytes += x->length) {
        run.n++;
        run.head = x;
        x = entry_after(r, x);
        if (x->sequence != run.head->sequence + 1)
            break;
    }
    return run;
}

/* The run from the entry that its head calls the tail: what is in front of it is done already.
 * n == 0: there is none. */
static struct run run_tail(const struct ring *r, const struct run *run)
{
    const struct entry *x = &r->entries[run->first];
    for (uint32_t i = 0; i < run->n; i++, x = entry_after(r, x))
        if (x->at == run->head->tail)
            return (struct run){x->at / SECTOR, run->n - i, run->head};
    return (struct run){0};
}

/* A run that is no good has no good end either: it is left behind as a whole. */
static struct run run_active(const struct ring *r)
{
    struct run best = {0};
    uint32_t sectors = r->length / SECTOR;
    for (uint64_t at = 0; at < sectors;) {
        struct run run = run_from(r, (uint32_t)at), active = run_tail(r, &run);
        if (active.n && (!best.n || active.head->sequence > best.head->sequence))
            best = active;
        uint64_t end = run.n ? ((uint64_t)run.head->at + run.head->length) / SECTOR : at + 1;
        at = end > at ? end : sectors; /* it went over the end of the ring */
    }
    return best;
}

/* ---- what do they say? ----------------------------------------------------------------------- */

/* Headers are not logged, nor is the log. */
static int patch_check(const struct ring *r, const struct vhdx_patch *p, struct err *e)
{
    bool headers = p->start < vhdx_region_place(0);
    bool log = p->start < r->offset + r->length && r->offset < p->end;
    if (p->start % SECTOR || p->end % SECTOR || p->end <= p->start || p->end > INT64_MAX ||
        headers || log)
        return err_set(e, EINVAL,
                       "VHDX log is damaged: it has an update of %" PRIu64 "-%" PRIu64 ", where "
                       "none may be",
                       p->start, p->end);
    return 0;
}

static int patch_add(const struct ring *r, const uint8_t *p, uint64_t data_at, struct vhdx_log *out,
                     struct err *e)
{
    struct vhdx_patch *patch = &out->patches[out->n];
    *patch = (struct vhdx_patch){.start = le64_load(p + 16)};
    uint64_t length = is_data(p) ? SECTOR : le64_load(p + 8);
    if (!length)
        return 0;
    if (!num_add(patch->start, length, &patch->end))
        patch->end = 0;
    if (is_data(p)) {
        memcpy(patch->trail, p + 4, sizeof patch->trail);
        memcpy(patch->lead, p + 8, sizeof patch->lead);
        patch->source = ring_place(r, data_at);
    }
    out->n++;
    return patch_check(r, patch, e);
}

static int entry_patches(const struct ring *r, const struct entry *x, struct vhdx_log *out,
                         struct err *e)
{
    uint64_t data_at = (uint64_t)x->at + descriptor_bytes(x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t at = HEADER_SIZE + i * DESCRIPTOR_SIZE;
        if ((i == 0 || at % SECTOR == 0) && sector_read(r, (uint64_t)x->at + at - at % SECTOR, e))
            return -1;
        const uint8_t *p = r->sector + at % SECTOR;
        if (patch_add(r, p, data_at, out, e))
            return -1;
        data_at += is_data(p) ? SECTOR : 0;
    }
    return 0;
}

static int run_patches(const struct ring *r, const struct run *run, struct vhdx_log *out,
                       struct err *e)
{
    const struct entry *x = &r->entries[run->first];
    uint64_t total = 0;
    for (uint32_t i = 0; i < run->n; i++, x = entry_after(r, x)) {
        total += x->n;
        out->last = num_max(out->last, x->last);
    }
    if (total > PATCHES_MAX)
        return err_set(e, EFBIG, "VHDX log is too large to be replayed: it has %" PRIu64 " updates",
                       total);
    out->found = true;
    out->patches = mem_new(total, sizeof *out->patches, e);
    if (!out->patches)
        return -1;
    x = &r->entries[run->first];
    for (uint32_t i = 0; i < run->n; i++, x = entry_after(r, x))
        if (entry_patches(r, x, out, e))
            return -1;
    return 0;
}

/* What was flushed before the entries were made must be there. */
static int run_check(const struct ring *r, const struct run *run, struct err *e)
{
    uint64_t size = file_size(r->file);
    if (size >= run->head->flushed)
        return 0;
    return err_set(e, EINVAL,
                   "VHDX image has been truncated: it has %" PRIu64 " of %" PRIu64 " bytes", size,
                   run->head->flushed);
}

/* ---- public ---------------------------------------------------------------------------------- */

static int ring_init(struct ring *r, struct file *f, const struct vhdx_header *h, struct err *e)
{
    *r = (struct ring){.file = f, .offset = h->log_offset, .length = h->log_length, .guid = h->log};
    if (h->log_version)
        return err_set(e, ENOTSUP, "VHDX log version %u is not supported", h->log_version);
    if (!r->length || r->length > LOG_MAX)
        return err_set(e, EFBIG,
                       "VHDX log cannot be replayed: its length is %" PRIu32 ", at most %" PRIu64
                       " is supported",
                       r->length, LOG_MAX);
    if (!num_inside(r->offset, r->length, file_size(f)))
        return err_set(e, EINVAL, "VHDX log reaches beyond the end of the file");
    r->entries = mem_new(r->length / SECTOR, sizeof *r->entries, e);
    r->sector = mem_io(SECTOR, e);
    return r->entries && r->sector ? 0 : -1;
}

/* Nothing, or an entry that was torn: its writer stopped before it changed anything. But whole
 * entries say that there was more, which is lost. */
static int nothing_found(const struct ring *r, struct err *e)
{
    for (uint32_t i = 0; i < r->length / SECTOR; i++)
        if (r->entries[i].sequence)
            return err_set(e, EINVAL, "VHDX log is damaged: no sequence of its entries is whole");
    return 0;
}

int vhdx_log_read(struct file *f, const struct vhdx_header *h, struct vhdx_log *out, struct err *e)
{
    AUTO(ring_release) struct ring r = {0};
    *out = (struct vhdx_log){0};
    if (ring_init(&r, f, h, e) || entries_find(&r, e))
        return -1;
    struct run run = run_active(&r);
    if (!run.n)
        return nothing_found(&r, e);
    return run_check(&r, &run, e) || run_patches(&r, &run, out, e) ? -1 : 0;
}

void vhdx_log_release(struct vhdx_log *log)
{
    free(log->patches);
    *log = (struct vhdx_log){0};
}

int vhdx_patch_read(struct file *f, const struct vhdx_patch *p, uint8_t buf[SECTOR], struct err *e)
{
    if (file_read(f, buf, SECTOR, p->source, e))
        return err_prefix(e, "Could not read VHDX log: ");
    memcpy(buf, p->lead, sizeof p->lead);
    memcpy(buf + SECTOR - sizeof p->trail, p->trail, sizeof p->trail);
    return 0;
}
