/*
 * The tables of an image's sparse extents. Few are opened with the image and stay. Of many (a disk
 * in parts of 2 GiB can have thousands) only some are open at a time, so that memory does not grow
 * with the disk; the one that was held longest ago goes first.
 */
#include "base/mem.h"
#include "base/num.h"
#include "formats/slices.h"
#include "formats/vmdk/state.h"

#define KEPT_MAX   64u
#define KEPT_BYTES (256 * MIB) /* of their directories, beyond those that are being read */

static uint64_t directory_bytes(const struct vmdk_extent *x)
{
    return x->grid.first_entries * (x->wide ? 8 : 4);
}

static void close_table(struct vmdk_pool *p, struct vmdk_extent *x)
{
    if (!x->table)
        return;
    p->n_open--;
    p->n_bytes -= directory_bytes(x);
    table_free(x->table);
    x->table = NULL;
}

static struct vmdk_extent *oldest_of(struct vmdk *v)
{
    struct vmdk_extent *oldest = NULL;
    for (size_t i = 0; i < v->n; i++) {
        struct vmdk_extent *x = &v->extents[i];
        if (x->table && !x->holders && (!oldest || x->used < oldest->used))
            oldest = x;
    }
    return oldest;
}

/* Room for one more, as far as there are some that nobody holds. */
static void evict(struct vmdk *v, uint64_t bytes)
{
    struct vmdk_pool *p = &v->pool;
    struct vmdk_extent *oldest;
    while (p->n_open && (p->n_open >= KEPT_MAX || p->n_bytes + bytes > KEPT_BYTES) &&
           (oldest = oldest_of(v)))
        close_table(p, oldest);
}

static int open_table(struct vmdk *v, struct vmdk_extent *x, struct err *e)
{
    evict(v, directory_bytes(x));
    if (vmdk_table_open(v, x, &x->table, e))
        return -1;
    v->pool.n_open++;
    v->pool.n_bytes += directory_bytes(x);
    return 0;
}

/* Every table is opened once, so that a damaged one is told at once. */
int vmdk_pool_open(struct vmdk *v, struct err *e)
{
    size_t tables = 0;
    uint64_t bytes = 0;
    uint64_t budget = v->image->flags.metadata_budget;
    for (size_t i = 0; i < v->n; i++) {
        tables += v->extents[i].grain != 0;
        bytes += v->extents[i].grain ? directory_bytes(&v->extents[i]) : 0;
    }
    v->pool.keeps_all = tables <= KEPT_MAX && bytes <= KEPT_BYTES;
    v->pool.budget =
        (budget ? budget : SLICES_DEFAULT_BUDGET) / num_max(num_min(tables, KEPT_MAX), 1);
    for (size_t i = 0; i < v->n; i++)
        if (v->extents[i].grain && open_table(v, &v->extents[i], e))
            return -1;
    return 0;
}

void vmdk_pool_close(struct vmdk *v)
{
    for (size_t i = 0; i < v->n; i++)
        close_table(&v->pool, &v->extents[i]);
}

struct table *vmdk_pool_get(struct vmdk *v, struct vmdk_extent *x, struct err *e)
{
    struct vmdk_pool *p = &v->pool;
    if (p->keeps_all)
        return x->table;
    pthread_mutex_lock(&p->lock);
    if (!x->table && open_table(v, x, e)) {
        pthread_mutex_unlock(&p->lock);
        return NULL;
    }
    x->holders++;
    x->used = ++p->clock;
    pthread_mutex_unlock(&p->lock);
    return x->table;
}

void vmdk_pool_put(struct vmdk *v, struct vmdk_extent *x)
{
    struct vmdk_pool *p = &v->pool;
    if (p->keeps_all)
        return;
    pthread_mutex_lock(&p->lock);
    x->holders--;
    pthread_mutex_unlock(&p->lock);
}
