#include "formats/qcow2/refs.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"

struct open_block {
    uint64_t index;
    uint8_t *data;
};

struct qcow2_refs {
    const struct qcow2_layout *l;
    unsigned order; /* log2 of a refcount's bits */
    struct file *file;
    uint64_t *host; /* of each block */
    size_t n, cap;
    struct open_block *open; /* ascending */
    size_t n_open, cap_open;
};

int qcow2_refs_new(const struct qcow2_layout *l, unsigned order, struct file *file,
                   struct qcow2_refs **out, struct err *e)
{
    struct qcow2_refs *r = mem_new(1, sizeof *r, e);
    if (!r)
        return -1;
    r->l = l;
    r->order = order;
    r->file = file;
    *out = r;
    return 0;
}

void qcow2_refs_free(struct qcow2_refs *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_open; i++)
        free(r->open[i].data);
    free(r->open);
    free(r->host);
    free(r);
}

/* ---- open blocks ----------------------------------------------------------------------------- */

static uint8_t *open_find(const struct qcow2_refs *r, uint64_t index)
{
    for (size_t i = r->n_open; i--;)
        if (r->open[i].index == index)
            return r->open[i].data;
    return NULL;
}

static int refs_remember(struct qcow2_refs *r, uint64_t host, struct err *e)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        uint64_t *grown = mem_grow(r->host, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        r->host = grown;
        r->cap = cap;
    }
    r->host[r->n++] = host;
    return 0;
}

static int refs_open(struct qcow2_refs *r, uint64_t index, struct err *e)
{
    if (r->n_open == r->cap_open) {
        size_t cap = r->cap_open ? 2 * r->cap_open : 8;
        struct open_block *grown = mem_grow(r->open, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        r->open = grown;
        r->cap_open = cap;
    }
    uint8_t *data = mem_new(r->l->cluster, 1, e);
    if (!data)
        return -1;
    r->open[r->n_open++] = (struct open_block){.index = index, .data = data};
    return 0;
}

int qcow2_refs_place(struct qcow2_refs *r, uint64_t index, uint64_t host, struct err *e)
{
    if (index != r->n)
        return err_set(e, EINVAL, "Refcount block %llu is out of order", (unsigned long long)index);
    if (refs_remember(r, host, e) || refs_open(r, index, e))
        return -1;
    return 0;
}

int qcow2_refs_add(struct qcow2_refs *r, uint64_t host, uint64_t n, struct err *e)
{
    uint64_t per_block = r->l->refs_cover / r->l->cluster;
    uint64_t at = host / r->l->cluster;
    for (; n; n--, at++) {
        uint8_t *block = open_find(r, at / per_block);
        uint64_t v = block ? qcow2_count_load(r->order, block, at % per_block) : 0;
        if (!block || v == r->l->refcount_max)
            return err_set(e, EINVAL, "Cluster %llu cannot be counted", (unsigned long long)at);
        qcow2_count_store(r->order, block, at % per_block, v + 1);
    }
    return 0;
}

int qcow2_refs_drop(struct qcow2_refs *r, uint64_t host, struct err *e)
{
    uint64_t per_block = r->l->refs_cover / r->l->cluster;
    uint64_t at = host / r->l->cluster;
    uint8_t *block = open_find(r, at / per_block);
    if (!block)
        return err_set(e, EINVAL, "Cluster %llu cannot be counted", (unsigned long long)at);
    qcow2_count_store(r->order, block, at % per_block, 0);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int refs_write(struct qcow2_refs *r, struct open_block *b, struct pages *pages,
                      struct err *e)
{
    int rc = writer_put(r->file, pages, r->host[b->index], b->data, r->l->cluster, e);
    free(b->data);
    b->data = NULL;
    return rc;
}

int qcow2_refs_settle(struct qcow2_refs *r, uint64_t end, uint64_t keep, struct pages *pages,
                      struct err *e)
{
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; i < r->n_open; i++) {
        uint64_t index = r->open[i].index;
        bool done = index && (index + 1) * r->l->refs_cover <= end &&
                    (keep == PLACE_NONE || index != keep / r->l->refs_cover);
        if (!done)
            r->open[kept++] = r->open[i];
        else if (refs_write(r, &r->open[i], pages, e))
            rc = -1;
    }
    r->n_open = kept;
    return rc;
}

int qcow2_refs_finish(struct qcow2_refs *r, struct pages *pages, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < r->n_open; i++)
        if (refs_write(r, &r->open[i], pages, e))
            rc = -1;
    r->n_open = 0;
    return rc;
}

uint64_t qcow2_refs_blocks(const struct qcow2_refs *r)
{
    return r->n;
}

size_t qcow2_refs_open(const struct qcow2_refs *r)
{
    return r->n_open;
}

uint8_t *qcow2_refs_table(const struct qcow2_refs *r, uint64_t clusters, struct err *e)
{
    uint8_t *table = mem_new(clusters, r->l->cluster, e);
    for (size_t i = 0; table && i < r->n; i++)
        be64_store(table + 8 * i, r->host[i]);
    return table;
}
