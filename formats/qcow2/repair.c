/*
 * Repair, in the order that leaves no stop worse than what was there:
 *
 *     entries that need no place lose it          while counting (check_walk.c)
 *     refcounts are raised              ─sync─▶   or the structures made anew (rebuild.c)
 *     "copied" flags                    ─sync─▶   window by window
 *     refcounts are lowered             ─sync─▶
 *     the snapshot table                ─sync─▶   by one write of the header
 *     dirty, corrupt                    ─sync
 *
 * All that anything refers to is counted before, snapshots and bitmaps with it; what the lines say
 * is in qemu-img's order, so that of a lowered refcount comes with those of the raised.
 */
#include <errno.h>
#include <stdio.h>

#include "base/num.h"
#include "formats/qcow2/check.h"

#define KNOWN_AUTOCLEAR (QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW)

/* Whoever changes an image takes the marks away of what he does not know. */
int repair_writes(struct check *c, struct err *e)
{
    struct qcow2_header *h = &c->q->head.header;
    bool first = !c->writes;
    c->writes = true;
    if (!first || !(h->autoclear & ~KNOWN_AUTOCLEAR))
        return 0;
    h->autoclear &= KNOWN_AUTOCLEAR;
    return qcow2_header_write(c->q, e) || file_sync(c->q->file, e) ? -1 : 0;
}

static int repair_sync(struct check *c, struct err *e)
{
    return c->writes ? file_sync(c->q->file, e) : 0;
}

/* ---- refcounts in place ---------------------------------------------------------------------- */

static int raise_visit(struct check *c, struct err *e)
{
    return check_compare(c, e) || repair_store(c, e) ? -1 : 0;
}

/* The second comparison: what it mends is not counted among the faults any more. */
static int repair_compare(struct check *c, struct err *e)
{
    struct check_result *r = c->r;
    if (!c->too_low && !r->leaks)
        return 0;
    r->corruptions -= c->too_low;
    r->leaks = c->too_low = 0;
    c->mend = c->fix;
    int rc = check_windows(c, false, raise_visit, e);
    c->mend = CHECK_FIX_NONE;
    return rc;
}

/* ---- flags, and what was too high ------------------------------------------------------------ */

static int window_lower(struct check *c, struct err *e)
{
    const struct tally *t = &c->tally;
    uint64_t end = num_min(t->base + t->n, num_max(t->end, t->file_clusters));
    for (uint64_t k = t->base; k < end; k++)
        if (tally_refcount(t, k) > tally_references(t, k) &&
            repair_set(c, k, tally_references(t, k), e))
            return -1;
    return 0;
}

/* Flags are to say what the refcounts are about to be. */
static int settle_visit(struct check *c, struct err *e)
{
    if (window_lower(c, e) || check_walk_flags(c, e) || repair_sync(c, e))
        return -1;
    return repair_store(c, e);
}

static int repair_settle(struct check *c, struct err *e)
{
    const struct check_result *r = c->r;
    c->mends_flags =
        (c->fix & CHECK_FIX_ERRORS) || (!r->corruptions && !r->leaks && !r->check_errors);
    return check_windows(c, false, settle_visit, e);
}

/* ---- marks ----------------------------------------------------------------------------------- */

/* Not closed properly: the refcounts may be wrong. Corrupt: anything may be. */
static int repair_marks(struct check *c, struct err *e)
{
    struct qcow2_header *h = &c->q->head.header;
    bool all = c->fix & CHECK_FIX_ERRORS;
    bool clean = !c->r->corruptions && !c->r->check_errors && (all || !c->snapshot_faults);
    uint64_t marks =
        (clean || all ? QCOW2_INCOMPAT_DIRTY : 0) | (clean ? QCOW2_INCOMPAT_CORRUPT : 0);
    if (repair_sync(c, e))
        return -1;
    if (!(h->incompatible & marks))
        return 0;
    h->incompatible &= ~marks;
    return repair_writes(c, e) || qcow2_header_write(c->q, e) || file_sync(c->q->file, e) ? -1 : 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

int repair_run(struct check *c, struct err *e)
{
    if (c->rebuild && !(c->fix & CHECK_FIX_ERRORS)) {
        check_fault(c, NULL, "ERROR need to rebuild refcount structures");
        return check_refuse(EIO, e);
    }
    bool counts = c->too_low || c->r->leaks;
    if ((c->rebuild ? repair_rebuild(c, e) : repair_compare(c, e)) || repair_sync(c, e))
        return -1;
    if ((c->rebuild || counts || c->wrong_flags) && (repair_settle(c, e) || repair_sync(c, e)))
        return -1;
    return repair_snapshots_store(c, e) || repair_marks(c, e) ? -1 : 0;
}

/* ---- an image that was not closed ------------------------------------------------------------ */

static void tell_nobody(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

int qcow2_repair_dirty(struct image *img, struct err *e)
{
    static const struct check_sink nobody = {.line = tell_nobody};
    struct qcow2 *q = qcow2_of(img);
    struct check_result r = {0};
    const struct check_sink *sink = img->flags.repairs ? img->flags.repairs : &nobody;
    if (!(q->head.header.incompatible & QCOW2_INCOMPAT_DIRTY))
        return 0;
    int rc = qcow2_check(img, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, sink, &r, e);
    if (!rc && r.check_errors)
        rc = err_set(e, EIO, "Input/output error");
    qcow2_snapshots_free(q);
    if (rc || qcow2_snapshots_load(q, false, e))
        return err_prefix(e, "Could not repair dirty image: ");
    return 0;
}
