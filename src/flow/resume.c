#include "flow/resume.h"

#include <errno.h>
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "flow/deadline.h"
#include "flow/identity.h"
#include "flow/underway.h"
#include "io/join.h"

#define BATCH_MAX (16 * MIB) /* of records that wait for a sync */

/* Seconds between checkpoints: a sync should be a small part of the time. */
#define INTERVAL_MIN    5.0
#define INTERVAL_MAX    60.0
#define INTERVAL_FACTOR 20.0

/* A chunk that is placed and not yet written. */
struct pending {
    struct journal_record record;
    need_t need[];
};

struct resume {
    const struct convert_options *o;
    struct output_names names;
    json_t *head;
    struct journal *journal;
    const struct target *target;
    uint64_t size; /* guest bytes */

    size_t skip; /* of the recorded chunks: the first that resume_has may be asked for ... */
    size_t feed; /* ... and the first that the placer does not know of */
    struct underway pending; /* each is a struct pending */

    double least, interval; /* seconds between checkpoints */
    double next;            /* when one is due */
    double turned_at;
    double longest; /* checkpoint */
    struct deadline deadline;
    bool stopped;
};

/* ---- times ----------------------------------------------------------------------------------- */

/* MPI_IMG_CHECKPOINT (milliseconds) is for tests. */
static void set_interval(struct resume *r)
{
    const char *ms = getenv("MPI_IMG_CHECKPOINT");
    r->least = r->interval = ms ? strtod(ms, NULL) / 1000 : INTERVAL_MIN;
    r->next = clock_now() + r->interval;
}

bool resume_enough(struct resume *r)
{
    r->stopped |= signals_stop() || deadline_is_near(&r->deadline, 2 * r->longest);
    return r->stopped;
}

void resume_set_stopped(struct resume *r)
{
    r->stopped = true;
}

bool resume_is_stopped(const struct resume *r)
{
    return r->stopped;
}

/* ---- the journal's head ---------------------------------------------------------------------- */

static void hex_store(const uint8_t *bytes, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

static bool hex_load(const char *text, uint8_t *bytes, size_t n)
{
    if (!text || strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        bytes[i] = (uint8_t)byte;
    }
    return true;
}

static uint64_t head_number(const json_t *head, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(head, key));
}

/* What was drawn is drawn again. */
static int take_draw(const json_t *head, struct target_plan *plan, struct err *e)
{
    const char *random = json_string_value(json_object_get(head, "random"));
    plan->time = head_number(head, "time");
    if (!hex_load(random, plan->random, sizeof plan->random))
        return err_set(e, EINVAL, "the journal is damaged");
    return 0;
}

static json_t *journal_json(const struct journal *j, struct err *e)
{
    size_t len;
    const void *text = journal_head(j, &len);
    json_t *head = json_loadb(text, len, 0, NULL);
    if (!head)
        err_set(e, EINVAL, "the journal is damaged");
    return head;
}

/* Words of the head beside the identity. By the inode the output is known when it has its name. */
static int head_complete(struct resume *r, const struct target_plan *plan, struct err *e)
{
    char random[2 * sizeof plan->random + 1];
    struct file_mark mark;
    file_mark(r->target->file, &mark);
    hex_store(plan->random, sizeof plan->random, random);
    json_t *more =
        json_pack("{s:s, s:I, s:I, s:I, s:I}", "random", random, "time", (json_int_t)plan->time,
                  "inode", (json_int_t)mark.inode, "chunk", (json_int_t)r->target->chunk_size,
                  "block", (json_int_t)r->target->block_size);
    int status = more && !json_object_update(r->head, more) ? 0 : err_nomem(e);
    json_decref(more);
    return status;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static int refuse(const struct resume *r, struct err *e)
{
    err_prefix(e, "'%s' cannot be resumed: ", r->o->target);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, " (to begin anew, remove '%s')", r->names.journal);
    return -1;
}

static bool exists(const char *path, uint64_t *inode)
{
    struct stat st;
    bool is = !lstat(path, &st) && S_ISREG(st.st_mode);
    *inode = is ? st.st_ino : 0;
    return is;
}

/* The journal of the same conversion, or of another. */
static int compare_heads(struct resume *r, struct target_plan *plan, struct err *e)
{
    uint64_t part, final;
    json_t *was = journal_json(r->journal, e);
    bool there = exists(r->names.temp, &part);
    exists(r->names.final, &final);
    int status = was ? identity_check(was, r->head, e) : -1;
    if (status == 0)
        status = take_draw(was, plan, e);
    if (there) {
        plan->go_on = status == 0;
    } else {
        /* stopped between the rename and the removal of the journal, or nothing to go on with */
        plan->finished = status == 0 && final && final == head_number(was, "inode") &&
                         !r->o->hash.kind; /* it would have to be told */
        status = 0;
        err_clear(e);
    }
    if (plan->go_on) {
        json_decref(r->head);
        r->head = json_incref(was);
    }
    json_decref(was);
    return status;
}

static int look_back(struct resume *r, struct target_plan *plan, struct err *e)
{
    join_look(r->names.journal); /* an earlier run was perhaps on another machine */
    if (journal_open(r->names.journal, &r->journal, e) < 0)
        return -1;
    if (!r->journal)
        return 0;
    if (compare_heads(r, plan, e) < 0)
        return refuse(r, e);
    if (plan->finished)
        resume_finished(r);
    if (!plan->go_on) {
        journal_close(r->journal);
        r->journal = NULL;
    }
    return 0;
}

static int begin(struct resume *r, const struct source *s, struct target_plan *plan, struct err *e)
{
    if (output_names(target_node(r->o), &r->names, e) < 0)
        return -1;
    if (!r->names.journal)
        return err_set(e, ENOTSUP, "'%s' cannot be resumed: it is no regular file", r->o->target);
    if (r->o->target_cache.no_flush)
        return err_set(e, EINVAL, "'%s' could not be resumed: it is not synced with -t unsafe",
                       r->o->target);
    r->head = identity_new(r->o, s, e);
    return r->head ? look_back(r, plan, e) : -1;
}

int resume_begin(const struct convert_options *o, const struct source *s, struct target_plan *plan,
                 struct resume **out, struct err *e)
{
    struct resume *r = *out = mem_new(1, sizeof *r, e);
    if (!r)
        return -1;
    r->o = o;
    r->size = s->size;
    r->deadline = deadline_from_now(o->time_limit);
    return begin(r, s, plan, e);
}

static int create_journal(struct resume *r, const struct target_plan *plan, struct err *e)
{
    if (head_complete(r, plan, e) < 0)
        return -1;
    AUTO_FREE char *text = json_dumps(r->head, JSON_COMPACT);
    /* what the writer's open has done to the file is not done again */
    if (!text || file_sync(r->target->file, e) < 0)
        return text ? -1 : err_nomem(e);
    return journal_create(r->names.journal, text, strlen(text), &r->journal, e);
}

static int join_journal(struct resume *r, struct err *e)
{
    if (r->target->chunk_size != head_number(r->head, "chunk") ||
        r->target->block_size != head_number(r->head, "block")) {
        err_set(e, 0, "it was begun by another version of this program");
        return refuse(r, e);
    }
    return journal_append(r->journal, e);
}

int resume_ready(struct resume *r, struct target *t, const struct target_plan *plan, struct err *e)
{
    r->target = t;
    /* what the key is made of would stand in the journal */
    if (t->writer->crypt)
        return err_set(e, ENOTSUP, "'%s' cannot be resumed: it is encrypted", r->o->target);
    if ((plan->go_on ? join_journal(r, e) : create_journal(r, plan, e)) < 0)
        return -1;
    t->lasts = true;
    set_interval(r);
    return 0;
}

void resume_free(struct resume *r)
{
    if (!r)
        return;
    for (size_t i = r->pending.first; i < r->pending.end; i++)
        if (!r->pending.all[i].gone)
            free(r->pending.all[i].what);
    underway_release(&r->pending);
    journal_close(r->journal);
    json_decref(r->head);
    output_names_release(&r->names);
    free(r);
}

/* ---- what was done --------------------------------------------------------------------------- */

bool resume_has(struct resume *r, uint64_t chunk)
{
    size_t n = journal_count(r->journal);
    while (r->skip < n && journal_chunk(r->journal, r->skip) < chunk)
        r->skip++;
    return r->skip < n && journal_chunk(r->journal, r->skip) == chunk;
}

static uint64_t place_hash(const struct cursor *c)
{
    return journal_hash(0, c, sizeof *c);
}

/* Blocks of a chunk; 0: there is no such chunk. */
static uint64_t blocks_of(const struct resume *r, uint64_t chunk)
{
    uint64_t guest, size = r->target->chunk_size;
    if (!num_mul(chunk, size, &guest) || guest >= r->size)
        return 0;
    return num_div_up(num_min(size, r->size - guest), r->target->block_size);
}

/* A codec of another version may have made other lengths of the chunks that were done again: then
 * what is there cannot be used. */
static int feed_placer(const struct resume *r, const struct journal_record *record,
                       struct placer *p, struct err *e)
{
    struct cursor granted;
    if (record->n_need != blocks_of(r, record->chunk))
        return err_set(e, EINVAL, "the journal is damaged");
    if (placer_place(p, record->chunk, record->need, record->n_need, &granted, e) < 0)
        return -1;
    if (record->place != place_hash(&granted))
        return err_set(e, 0,
                       "other bytes come out of the same source now, by another version of a codec "
                       "or for errors in reading");
    return placer_done(p, record->chunk, record->edges, record->edges_len, e);
}

/* Nobody knows which rank wrote it. */
static int feed_hash(const struct resume *r, const struct journal_record *record,
                     struct convert_hash *h, struct err *e)
{
    uint64_t guest = record->chunk * r->target->chunk_size;
    return convert_hash_take(h, record->chunk, guest, UINT_MAX, record->hash, record->hash_len, e);
}

static int feed(struct resume *r, const struct resume_heard *by, struct err *e)
{
    struct journal_record record;
    if (journal_read(r->journal, r->feed, &record, e) < 0 ||
        (by->placer && feed_placer(r, &record, by->placer, e) < 0) ||
        (by->hash->on && feed_hash(r, &record, by->hash, e) < 0))
        return refuse(r, e);
    telling_progress(by->telling, record.chunk * r->target->chunk_size, record.data);
    return 0;
}

int resume_feed(struct resume *r, uint64_t below, const struct resume_heard *by, struct err *e)
{
    for (; r->feed < journal_count(r->journal); r->feed++)
        if (journal_chunk(r->journal, r->feed) >= below)
            return 0;
        else if (feed(r, by, e) < 0)
            return -1;
    return 0;
}

/* ---- what is done ---------------------------------------------------------------------------- */

static struct pending *pending_new(const struct journal_record *placed, struct err *e)
{
    size_t needs = placed->n_need * sizeof(need_t);
    struct pending *p = mem_new(1, sizeof *p + needs + placed->hash_len, e);
    if (!p)
        return NULL;
    p->record = *placed;
    p->record.need = p->need;
    p->record.hash = p->need + placed->n_need;
    if (needs)
        memcpy(p->need, placed->need, needs);
    if (placed->hash_len)
        memcpy(p->need + placed->n_need, placed->hash, placed->hash_len);
    return p;
}

int resume_placed(struct resume *r, const struct journal_record *placed,
                  const struct cursor *granted, struct err *e)
{
    if (!granted)
        return journal_add(r->journal, placed, e);
    struct pending *p = pending_new(placed, e);
    struct underway_chunk *u = p ? underway_add(&r->pending, placed->chunk, e) : NULL;
    if (!u) {
        free(p);
        return -1;
    }
    p->record.place = place_hash(granted);
    u->what = p;
    return 0;
}

int resume_done(struct resume *r, uint64_t chunk, const void *edges, size_t len, struct err *e)
{
    struct underway_chunk done;
    if (!underway_take(&r->pending, chunk, &done))
        return err_set(e, EPROTO, "A chunk is done that was not placed");
    AUTO_FREE struct pending *p = done.what;
    p->record.edges = edges;
    p->record.edges_len = len;
    return journal_add(r->journal, &p->record, e);
}

bool resume_due(struct resume *r)
{
    double t = clock_now();
    size_t waiting = journal_waiting(r->journal);
    if (!waiting || !(t >= r->next || waiting > BATCH_MAX || signals_take_checkpoint()))
        return false;
    journal_turn(r->journal);
    r->turned_at = t;
    return true;
}

int resume_persisted(struct resume *r, struct err *e)
{
    if (journal_write(r->journal, e) < 0)
        return -1;
    double t = clock_now(), took = t - r->turned_at;
    r->longest = took > r->longest ? took : r->longest;
    r->interval = took * INTERVAL_FACTOR;
    r->interval = r->interval < INTERVAL_MAX ? r->interval : INTERVAL_MAX;
    r->interval = r->interval > r->least ? r->interval : r->least;
    r->next = t + r->interval;
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

int resume_write(struct resume *r, struct err *e)
{
    if (journal_write(r->journal, e) < 0)
        return -1;
    journal_turn(r->journal);
    return journal_write(r->journal, e);
}

int resume_stop(struct err *e)
{
    int sig = signals_stop();
    if (!sig)
        return err_set(e, EINTR, "Stopped before the time is over; the same command goes on");
    return err_set(e, EINTR, "Stopped by signal %d (%s); the same command goes on", sig,
                   strsignal(sig));
}

void resume_finished(struct resume *r)
{
    unlink(r->names.journal);
}
