#include "flow/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/map_text.h"
#include "flow/map_unit.h"
#include "flow/walk.h"

#define DEPTH           2u
#define CHUNK_MAX       (256 * MIB)
#define CHUNK_MIN       MIB
#define CHUNK_CLUSTERS  4096u      /* so many lines a unit, at most, in most images */
#define CLUSTER_UNKNOWN (16 * KIB) /* raw: pieces are as small as the file system's blocks */

/* One map on one rank. */
struct map {
    const struct map_options *o;
    struct walk walk;
    struct status_rules *rules;
    uint64_t chunk;
    uint64_t start, end; /* guest bytes asked for */

    /* rank 0 */
    FILE *out;
    bool closed;                 /* nobody reads our output any more */
    struct status_reader reader; /* for stretches that no worker is asked about */
    uint64_t at;                 /* handed out, or left out, up to here */
    uint64_t frontier;           /* taken up to here */
    struct status pending;       /* the next extent may go on with it; length 0: none */
    char **names;                /* of pending's files: a unit's bytes do not last */
    size_t n_names;
    struct text line;
};

/* ---- a worker -------------------------------------------------------------------------------- */

struct worker {
    const struct map *m;
    struct status_reader reader;
    struct text message[DEPTH];
};

static void worker_free(void *worker)
{
    struct worker *w = worker;
    if (!w)
        return;
    for (unsigned i = 0; i < DEPTH; i++)
        text_release(&w->message[i]);
    free(w);
}

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    const struct map *m = ctx;
    AUTO_FREE struct worker *w = mem_new(1, sizeof *w, e);
    (void)depth; /* DEPTH */
    if (!w)
        return -1;
    w->m = m;
    w->reader = status_reader_of(m->rules);
    *worker = MEM_TAKE(w);
    return 0;
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct worker *w = worker;
    const struct map *m = w->m;
    struct text *message = &w->message[slot];
    uint64_t guest = num_max(unit * m->chunk, m->start);
    uint64_t end = num_min((unit + 1) * m->chunk, m->end);
    if (map_unit_make(&w->reader, guest, end, m->o->json, message, e) < 0)
        return -1;
    *need = (struct blob){message->data, message->len};
    return 0;
}

/* ---- rank 0: handing out --------------------------------------------------------------------- */

/* Units that lie in one extent are left out. One that cannot be mapped is a worker's business: it
 * meets the failure in its order. */
static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    struct map *m = ctx;
    while (m->at < m->end) {
        struct status s;
        uint64_t border = (m->at / m->chunk + 1) * m->chunk;
        bool known = status_at(&m->reader, m->at, m->end, &s, e) == 0;
        if (known && m->at + s.length >= num_min(border, m->end)) {
            uint64_t to = m->at + s.length;
            m->at = to == m->end ? to : num_down(to, m->chunk);
            continue;
        }
        err_clear(e);
        *unit = m->at / m->chunk;
        m->at = num_min(border, m->end);
        return UNIT_THERE;
    }
    return UNIT_NONE;
}

/* ---- rank 0: output -------------------------------------------------------------------------- */

/* A reader that went away (map | head) is no error. */
static int write_out(struct map *m, const char *bytes, size_t n, struct err *e)
{
    if (m->closed || n == 0 || fwrite(bytes, 1, n, m->out) == n)
        return 0;
    if (errno != EPIPE)
        return err_errno(e, errno, "Could not write the map");
    m->closed = true;
    return 0;
}

/* A name that outlives the message it came with. */
static const char *keep_name(struct map *m, const char *name, struct err *e)
{
    for (size_t i = 0; i < m->n_names; i++)
        if (strcmp(m->names[i], name) == 0)
            return m->names[i];
    char **grown = mem_grow(m->names, m->n_names + 1, sizeof *grown, e);
    if (!grown)
        return NULL;
    m->names = grown;
    char *copy = mem_strdup(name, e);
    if (copy)
        m->names[m->n_names++] = copy;
    return copy;
}

static int set_pending(struct map *m, const struct status *row, struct err *e)
{
    m->pending = *row;
    if (row->file && !(m->pending.file = keep_name(m, row->file, e)))
        return -1;
    if (!m->o->json && text_human_fails(row))
        return err_set(e, 0, TEXT_HUMAN_ERROR);
    return 0;
}

static int write_pending(struct map *m, struct err *e)
{
    if (m->pending.length == 0)
        return 0;
    m->line.len = 0;
    if (map_line(&m->line, &m->pending, m->o->json, e) < 0)
        return -1;
    return write_out(m, m->line.data, m->line.len, e);
}

static int take_row(struct map *m, const struct status *row, struct err *e)
{
    if (m->pending.length && status_continues(&m->pending, row)) {
        m->pending.length += row->length;
        return 0;
    }
    return write_pending(m, e) < 0 ? -1 : set_pending(m, row, e);
}

/* What was left out when units were handed out. */
static int take_gap(struct map *m, uint64_t end, struct err *e)
{
    struct status s;
    for (; m->frontier < end; m->frontier += s.length) {
        if (status_at(&m->reader, m->frontier, end, &s, e) < 0)
            return -1;
        if (take_row(m, &s, e) < 0)
            return -1;
    }
    return 0;
}

static int take_unit(struct map *m, const struct map_unit *u, struct err *e)
{
    if (u->rows > 0 && take_row(m, &u->first, e) < 0)
        return -1;
    if (u->rows > 1 && (write_pending(m, e) < 0 || write_out(m, u->text, u->text_len, e) < 0 ||
                        set_pending(m, &u->last, e) < 0))
        return -1;
    return u->failed ? walk_fail(e, u->error, u->said, "Could not read file metadata") : 0;
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct map *m = ctx;
    struct map_unit u;
    (void)grant;
    if (map_unit_parse(need, &u, e) < 0 || take_gap(m, num_max(unit * m->chunk, m->start), e) < 0 ||
        take_unit(m, &u, e) < 0)
        return PLACE_FAILED;
    m->frontier = num_min((unit + 1) * m->chunk, m->end);
    return m->closed ? PLACE_STOP : PLACE_GO_ON;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A fixed range of the guest, such that its text stays small whatever the cluster size. */
static uint64_t chunk_for(const struct image *image)
{
    uint64_t cluster = UINT64_MAX;
    for (; image; image = image->backing)
        cluster = num_min(cluster, image->cluster_size ? image->cluster_size : CLUSTER_UNKNOWN);
    uint64_t chunk = CHUNK_MIN;
    while (chunk < CHUNK_MAX && chunk < cluster * CHUNK_CLUSTERS)
        chunk *= 2;
    return chunk;
}

static void set_range(struct map *m)
{
    uint64_t size = m->walk.image[0]->size, end;
    if (!num_add(m->o->start, m->o->length, &end))
        end = UINT64_MAX;
    m->chunk = chunk_for(m->walk.image[0]);
    m->start = m->at = m->frontier = m->o->start;
    m->end = num_min(size, end);
}

static int begin(struct map *m, struct err *e)
{
    const char *head = m->o->json ? "[" : TEXT_HUMAN_HEAD;
    m->reader = status_reader_of(m->rules);
    return write_out(m, head, strlen(head), e);
}

/* The last line; of an empty range there is one too, in JSON. */
static int finish(struct map *m, struct err *e)
{
    if (!m->closed && take_gap(m, m->end, e) < 0)
        return -1;
    if (m->pending.length == 0)
        m->pending.start = m->start;
    m->line.len = 0;
    int status;
    if (m->o->json)
        status = text_json(&m->line, &m->pending, e) < 0 ? -1 : text_add(&m->line, "]\n", 2, e);
    else
        status = text_human_shows(&m->pending) ? text_human(&m->line, &m->pending, e) : 0;
    if (status < 0 || write_out(m, m->line.data, m->line.len, e) < 0)
        return -1;
    return !m->closed && fflush(m->out) != 0 && errno != EPIPE
               ? err_errno(e, errno, "Could not write the map")
               : 0;
}

static int run(struct engine *g, struct map *m, struct err *e)
{
    const struct unit_job job = {
        .ctx = m,
        .depth = DEPTH,
        .next = next_unit,
        .place = place,
        .tick = walk_tick,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .prepare = prepare,
    };
    bool first = engine_rank(g) == 0;
    set_range(m);
    int status = status_rules_new(m->walk.image[0], &m->rules, e);
    if (status == 0 && first)
        status = begin(m, e);
    if (engine_agree(g, status, e) < 0 || engine_run(g, &job, e) < 0)
        return -1;
    return engine_agree(g, first ? finish(m, e) : 0, e);
}

static void release(struct map *m)
{
    for (size_t i = 0; i < m->n_names; i++)
        free(m->names[i]);
    free(m->names);
    text_release(&m->line);
    status_rules_free(m->rules);
    walk_close(&m->walk);
}

int map_run(struct engine *g, const struct map_options *o, FILE *out, struct err *e)
{
    struct map m = {
        .o = o,
        .out = out,
        .walk = {.n = 1,
                 .name = {o->name},
                 .spec = {o->spec},
                 .driver = {o->driver},
                 .flags = {.force_share = o->force_share,
                           .safety = o->safety,
                           .secrets = o->secrets}},
    };
    int status = walk_open(g, &m.walk, e);
    if (status == 0)
        status = run(g, &m, e);
    release(&m);
    return status;
}
