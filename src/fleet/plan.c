#include "fleet/plan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/measure.h"
#include "flow/source.h"
#include "flow/walk.h"

/* Records go to all ranks so many at a time. */
#define BATCH_ITEMS 4096u
#define BATCH_BYTES (16u << 20)
#define WHY_MAX     512u

/* What a worker tells of an image. */
struct answer {
    char source_format[16];
    uint64_t virtual_size, target_size, needs;
    char why[WHY_MAX];
};

/* One batch on one rank. */
struct batch {
    const struct request_common *common;
    const char *text[BATCH_ITEMS]; /* of records, "": to be left out */
    unsigned n;

    /* rank 0 */
    unsigned next;
    struct plan_row *rows;
};

void plan_rows_free(struct plan_row *rows, size_t n)
{
    for (size_t i = 0; rows && i < n; i++)
        free(rows[i].why);
    free(rows);
}

/* ---- a worker -------------------------------------------------------------------------------- */

struct worker {
    const struct batch *batch;
    struct answer answer;
    struct err err;
};

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    struct worker *w = mem_new(1, sizeof *w, e);
    (void)depth; /* 1 */
    if (!w)
        return -1;
    w->batch = ctx;
    *worker = w;
    return 0;
}

/* A file of holes takes less space than its size says. */
static bool has_holes(const struct request *r)
{
    return strcmp(r->o.target_driver, "raw") == 0 && r->o.sparse_size &&
           strcmp(options_str(r->options, "preallocation", "off"), "off") == 0;
}

static int measure_opened(const struct request *r, const struct source *s, struct answer *a,
                          struct err *e)
{
    const struct format *format = format_find(r->o.target_driver);
    struct image *image = s->parts[0].image;
    struct measure_result result = {0};
    snprintf(a->source_format, sizeof a->source_format, "%s", image_format_name(image));
    a->virtual_size = s->size;
    a->target_size = PLAN_UNKNOWN;
    if (format->measure && !r->o.backing_in_target) {
        if (measure_new(format, r->options, s->size, image, &result, e))
            return -1;
        a->target_size = a->needs = result.required;
    }
    if (a->target_size != PLAN_UNKNOWN && !has_holes(r))
        return 0;
    return source_own_bytes(s, r->o.backing_in_target ? 1 : UINT_MAX, &a->needs, e);
}

static int measure_record(const struct worker *w, const char *text, struct answer *a, struct err *e)
{
    AUTO(request_cleanup) struct request *r = NULL;
    struct source source = {0};
    json_t *record = json_loads(text, 0, NULL);
    int status = record ? request_new(record, w->batch->common, &r, e)
                        : err_set(e, EPROTO, "A record that is no JSON");
    json_decref(record);
    if (!status)
        status = source_open(&r->o, &source, e);
    if (!status)
        status = measure_opened(r, &source, a, e);
    source_close(&source);
    return status;
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct worker *w = worker;
    (void)slot, (void)e;
    memset(&w->answer, 0, sizeof w->answer);
    err_clear(&w->err);
    w->answer.target_size = PLAN_UNKNOWN;
    if (measure_record(w, w->batch->text[unit], &w->answer, &w->err))
        snprintf(w->answer.why, sizeof w->answer.why, "%.*s", (int)WHY_MAX - 1, w->err.text);
    *need = (struct blob){&w->answer, sizeof w->answer};
    return 0;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    struct batch *b = ctx;
    (void)e;
    while (b->next < b->n && !*b->text[b->next])
        b->next++;
    *unit = b->next;
    return b->next++ < b->n ? UNIT_THERE : UNIT_NONE;
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct batch *b = ctx;
    struct plan_row *row = &b->rows[unit];
    struct answer a;
    (void)grant;
    if (need->len != sizeof a)
        return (enum unit_place)err_set(e, EPROTO, "An answer of %zu bytes", need->len);
    memcpy(&a, need->data, sizeof a);
    memcpy(row->source_format, a.source_format, sizeof row->source_format);
    row->virtual_size = a.virtual_size;
    row->target_size = a.target_size;
    row->needs = a.needs;
    if (a.why[0] && !(row->why = mem_strdup(a.why, e)))
        return PLACE_FAILED;
    return PLACE_GO_ON;
}

/* The records of a batch one after the other, each with its null; then how many there are. */
static int print_records(FILE *out, const struct manifest *m, const bool *skip, size_t *at,
                         struct err *e)
{
    unsigned n = 0;
    for (; *at < manifest_count(m) && n < BATCH_ITEMS && ftell(out) < (long)BATCH_BYTES;
         n++, ++*at) {
        json_t *record = skip && skip[*at] ? NULL : manifest_record(m, *at, e);
        if (!record && e->set)
            return -1;
        if (record && json_dumpf(record, out, JSON_COMPACT)) {
            json_decref(record);
            return err_nomem(e);
        }
        json_decref(record);
        fputc('\0', out);
    }
    return 0;
}

static int batch_text(const struct manifest *m, const bool *skip, size_t *at, struct blob *out,
                      struct err *e)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, &out->len);
    int status = f ? print_records(f, m, skip, at, e) : err_nomem(e);
    if (f && fclose(f) && !status)
        status = err_nomem(e);
    out->data = text;
    return status;
}

/* ---- every rank ------------------------------------------------------------------------------ */

static void batch_take(struct batch *b, const struct blob *text)
{
    const char *at = text->data, *end = at + text->len;
    b->n = b->next = 0;
    for (; at < end && b->n < BATCH_ITEMS; at += strlen(at) + 1)
        b->text[b->n++] = at;
}

static int batch_run(struct engine *g, struct batch *b, struct err *e)
{
    const struct unit_job job = {
        .ctx = b,
        .depth = 1,
        .next = next_unit,
        .place = place,
        .tick = walk_tick,
        .worker_new = worker_new,
        .worker_free = free,
        .prepare = prepare,
    };
    return engine_run(g, &job, e);
}

/* An empty batch is the last one. */
static int all_batches(struct engine *g, const struct manifest *m, const bool *skip,
                       struct batch *b, struct plan_row *rows, struct err *e)
{
    bool first = engine_rank(g) == 0;
    for (size_t at = 0;;) {
        struct blob text = {0};
        b->rows = rows + at;
        int status = first ? batch_text(m, skip, &at, &text, e) : 0;
        status = engine_share(g, status, &text, e);
        bool last = !text.len;
        batch_take(b, &text);
        if (!status && !last)
            status = batch_run(g, b, e);
        free(text.data);
        if (status || last)
            return status;
    }
}

int plan_make(struct engine *g, const struct manifest *m, const bool *skip,
              const struct request_common *common, struct plan_row **rows, struct err *e)
{
    size_t n = m ? manifest_count(m) : 0;
    AUTO_FREE struct batch *b = mem_new(1, sizeof *b, e);
    *rows = b ? mem_new(n, sizeof **rows, e) : NULL;
    if (engine_agree(g, *rows ? 0 : -1, e))
        return -1;
    b->common = common;
    return all_batches(g, m, skip, b, *rows, e);
}
