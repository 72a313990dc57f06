/*
 * What a check finds, and what a repair mends: entries that lead nowhere are dropped, and the mark
 * that a check is due is taken away. Clusters that nothing refers to (leaks) and that are referred
 * to twice (a corruption) stay as they are.
 *
 * A repair writes L2 tables, then L1, then the header, each on storage before the next: wherever it
 * is stopped, the image is no worse than it was, and still says that a check is due.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/marks.h"
#include "formats/qed/qed.h"

#define PIECE (UINT64_C(256) << 10) /* of a table at once */

struct qed_check {
    const struct qed *q;
    struct file *file;
    bool fix;
    struct check_result *r;
    uint64_t limit;     /* of what the file holds whole */
    struct marks marks; /* clusters that are referred to */
    uint64_t marked;
    uint8_t *first, *second; /* a piece of L1, of an L2 */
    bool first_changed, written;
};

/* ---- references ------------------------------------------------------------------------------ */

/* Refer to `bytes` at `offset`; how many of its clusters were referred to before. */
static uint64_t refer(struct qed_check *c, uint64_t offset, uint64_t bytes)
{
    uint32_t size = c->q->header.cluster_size;
    uint64_t twice = 0;
    for (uint64_t at = offset; at < offset + bytes; at += size) {
        bool was = marks_take(&c->marks, at / size);
        twice += was;
        c->marked += !was;
    }
    c->r->corruptions += twice;
    return twice;
}

static bool valid(const struct qed_check *c, uint64_t offset, uint64_t bytes)
{
    return qed_offset_valid(&c->q->header, offset, bytes, c->limit);
}

/* An entry that leads nowhere; true if it is to be dropped. */
static bool bad_entry(struct qed_check *c)
{
    c->r->corruptions++;
    c->r->corruptions_fixed += c->fix;
    return c->fix;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int write_back(struct qed_check *c, uint64_t at, const uint8_t *buf, size_t n, struct err *e)
{
    c->written = true;
    return file_write(c->file, buf, n, at, e);
}

/* One entry of an L2 table. `last` is the place of the one before, 0 at the table's begin. */
static void check_cluster(struct qed_check *c, uint8_t *entry, uint64_t *last, bool *changed)
{
    uint32_t size = c->q->header.cluster_size;
    uint64_t offset = le64_load(entry);
    if (offset <= QED_ZERO_CLUSTER)
        return;
    c->r->allocated_clusters++;
    c->r->fragmented_clusters += *last && offset != *last + size;
    *last = offset;
    if (valid(c, offset, size)) {
        refer(c, offset, size);
    } else if (bad_entry(c)) {
        le64_store(entry, 0);
        *changed = true;
    }
}

static int check_second(struct qed_check *c, uint64_t offset, struct err *e)
{
    uint64_t bytes = qed_table_bytes(&c->q->header), last = 0;
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        size_t n = num_min(PIECE, bytes - at);
        bool changed = false;
        if (file_read(c->file, c->second, n, offset + at, e))
            return -1;
        for (size_t i = 0; i < n; i += 8)
            check_cluster(c, c->second + i, &last, &changed);
        if (changed && write_back(c, offset + at, c->second, n, e))
            return -1;
    }
    return 0;
}

/* A table that is referred to twice is not looked into. */
static int check_table(struct qed_check *c, uint8_t *entry, struct err *e)
{
    uint64_t offset = le64_load(entry), bytes = qed_table_bytes(&c->q->header);
    if (!offset)
        return 0;
    if (valid(c, offset, bytes))
        return refer(c, offset, bytes) ? 0 : check_second(c, offset, e);
    if (bad_entry(c)) {
        le64_store(entry, 0);
        c->first_changed = true;
    }
    return 0;
}

static int check_first(struct qed_check *c, struct err *e)
{
    uint64_t offset = c->q->header.l1_offset, bytes = qed_table_bytes(&c->q->header);
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        size_t n = num_min(PIECE, bytes - at);
        c->first_changed = false;
        if (file_read(c->file, c->first, n, offset + at, e))
            return -1;
        for (size_t i = 0; i < n; i += 8)
            if (check_table(c, c->first + i, e))
                return -1;
        if (!c->first_changed)
            continue;
        if ((c->written && file_sync(c->file, e)) || write_back(c, offset + at, c->first, n, e))
            return -1;
    }
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int check_done(struct qed_check *c, struct qed_header *h, struct err *e)
{
    c->r->leaks = c->limit / h->cluster_size - c->marked;
    if (c->written && file_sync(c->file, e))
        return -1;
    if (!c->fix || !(h->features & QED_NEED_CHECK))
        return 0;
    h->features &= ~QED_NEED_CHECK;
    return qed_header_update(c->file, h, e) ? -1 : file_sync(c->file, e);
}

static int check_run(struct qed_check *c, struct qed_header *h, struct err *e)
{
    AUTO_FREE uint8_t *first = mem_io(PIECE, e), *second = first ? mem_io(PIECE, e) : NULL;
    if (!second)
        return -1;
    c->first = first;
    c->second = second;
    refer(c, 0, qed_header_bytes(h));
    refer(c, h->l1_offset, qed_table_bytes(h));
    return check_first(c, e) ? -1 : check_done(c, h, e);
}

int qed_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
              struct check_result *out, struct err *e)
{
    struct qed *q = img->state;
    struct qed_header *h = &q->header;
    struct qed_check c = {.q = q, .file = img->file, .fix = fix, .r = out};
    c.limit = num_down(file_size(img->file), h->cluster_size);
    uint64_t clusters = c.limit / h->cluster_size;
    if (clusters / 8 >= sink->memory)
        return err_set(e, ENOMEM,
                       "An image of %" PRIu64 " clusters needs %" PRIu64 " MiB to be checked",
                       clusters, clusters / 8 / MIB + 1);
    out->total_clusters = num_div_up(h->size, h->cluster_size);
    if (marks_init(&c.marks, clusters, 0, e))
        return -1;
    int r = check_run(&c, h, e);
    marks_release(&c.marks);
    return r;
}
