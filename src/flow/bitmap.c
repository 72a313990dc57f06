#include "flow/bitmap.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "formats/format.h"

#define GRANULARITY_LEAST (4 * KIB)
#define GRANULARITY_MOST  (64 * KIB)
#define NODE              "#block100" /* the name that the original gives the image's node */

const char *const bitmap_act_names[BITMAP_ACTS] = {
    [BITMAP_ADD] = "add",       [BITMAP_REMOVE] = "remove",   [BITMAP_CLEAR] = "clear",
    [BITMAP_ENABLE] = "enable", [BITMAP_DISABLE] = "disable", [BITMAP_MERGE] = "merge",
};

/* ---- add ------------------------------------------------------------------------------------- */

/* log2; -1: no bitmap can have it. */
static int granularity_bits(const struct bitmap_job *job)
{
    uint64_t g = job->granularity, cluster = job->image->cluster_size;
    if (!g)
        g = !cluster ? GRANULARITY_MOST
                     : num_max(num_min(cluster, GRANULARITY_MOST), GRANULARITY_LEAST);
    return num_is_pow2(g) && g >= 512 && g <= UINT32_MAX ? (int)num_log2(g) : -1;
}

static int act_add(const struct bitmap_job *job, const struct bitmap_action *a, struct err *e)
{
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    int bits = granularity_bits(job);
    struct bitmap found;
    (void)a;
    if (!*job->name)
        return err_set(e, EINVAL, "Bitmap name cannot be empty");
    if (bits < 0)
        return err_set(e, EINVAL, "Granularity must be power of 2 and at least 512");
    if (!ops)
        return err_set(e, ENOTSUP,
                       "Can't store persistent bitmaps to " NODE ": Operation not supported");
    if (!ops->find(job->image, job->name, &found, e)) {
        bitmap_release(&found);
        return err_set(e, EEXIST, "Bitmap already exists: %s", job->name);
    }
    err_clear(e);
    if (ops->check(job->image, job->name, (unsigned)bits, e))
        return err_prefix(e, "Can't make bitmap '%s' persistent in '" NODE "': ", job->name);
    return ops->add(job->image, job->name, (unsigned)bits, true, e);
}

/* ---- merge ----------------------------------------------------------------------------------- */

static int find(const struct bitmap_job *job, const char *name, struct bitmap *out, struct err *e)
{
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    return ops ? ops->find(job->image, name, out, e) : bitmap_not_found(name, e);
}

static int merge_from(const struct bitmap_job *job, const struct bitmap *into, struct bitmap *b,
                      struct err *e)
{
    struct image *from = job->source ? job->source : job->image;
    if (bitmap_check_usable(into, e) || bitmap_check_usable(b, e))
        return -1;
    if (bitmap_check_size(b, into->size, e))
        return -1;
    bool itself = !job->source && !strcmp(into->name, b->name);
    return itself ? 0 : job->image->format->bitmaps->merge(job->image, job->name, from, b, e);
}

static int act_merge(const struct bitmap_job *job, const struct bitmap_action *a, struct err *e)
{
    struct bitmap into, b;
    if (find(job, job->name, &into, e))
        return -1;
    int r = job->source ? bitmap_find(job->source, a->source, &b, e) : find(job, a->source, &b, e);
    if (!r) {
        r = merge_from(job, &into, &b, e);
        bitmap_release(&b);
    }
    bitmap_release(&into);
    return r;
}

/* ---- the others ------------------------------------------------------------------------------ */

static int act_remove(const struct bitmap_job *job, const struct bitmap_action *a, struct err *e)
{
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    (void)a;
    return ops ? ops->remove(job->image, job->name, e) : bitmap_not_found(job->name, e);
}

static int act_clear(const struct bitmap_job *job, const struct bitmap_action *a, struct err *e)
{
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    (void)a;
    return ops ? ops->clear(job->image, job->name, e) : bitmap_not_found(job->name, e);
}

static int act_enable(const struct bitmap_job *job, const struct bitmap_action *a, struct err *e)
{
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    return ops ? ops->enable(job->image, job->name, a->act == BITMAP_ENABLE, e)
               : bitmap_not_found(job->name, e);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int run_actions(const struct bitmap_job *job, struct err *e)
{
    static int (*const acts[BITMAP_ACTS])(const struct bitmap_job *, const struct bitmap_action *,
                                          struct err *) = {
        [BITMAP_ADD] = act_add,       [BITMAP_REMOVE] = act_remove,  [BITMAP_CLEAR] = act_clear,
        [BITMAP_ENABLE] = act_enable, [BITMAP_DISABLE] = act_enable, [BITMAP_MERGE] = act_merge,
    };
    for (size_t i = 0; i < job->n; i++) {
        const struct bitmap_action *a = &job->actions[i];
        if (acts[a->act](job, a, e))
            return err_prefix(e, "Operation %s on bitmap %s failed: ", bitmap_act_names[a->act],
                              job->name);
    }
    return 0;
}

/* What was done before a failure counts; of two errors the first is told. */
static int commit(const struct bitmap_job *job, int done, struct err *e)
{
    struct err ignored = ERR_INIT;
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    if (!ops->commit(job->image, done ? &ignored : e))
        return done;
    return done ? done : err_prefix(e, "Error while closing the image: ");
}

int bitmap_run(const struct bitmap_job *job, struct err *e)
{
    const struct bitmap_ops *ops = job->image->format->bitmaps;
    if (!ops)
        return run_actions(job, e);
    if (ops->begin(job->image, e))
        return -1;
    int r = commit(job, run_actions(job, e), e);
    ops->end(job->image);
    return r;
}
