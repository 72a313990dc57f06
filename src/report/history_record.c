/* One line of a results file: what is taken from it, and what is not believed. */
#include "report/history.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/num.h"

#define TIME_MAX    4e9 /* of UNIX seconds */
#define SECONDS_MAX 4e9
#define COUNT_MAX   9e18
#define GROW_FROM   16

/* ---- values ---------------------------------------------------------------------------------- */

static double number_in(const json_t *o, const char *key, double max, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    double n = json_is_number(v) ? json_number_value(v) : -1;
    return isfinite(n) && n >= 0 && n <= max ? n : otherwise;
}

static double time_of(const json_t *o, const char *key)
{
    return number_in(o, key, TIME_MAX, 0);
}

static bool count_known(const json_t *o, const char *key)
{
    return number_in(o, key, COUNT_MAX, -1) >= 0;
}

static uint64_t count_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!count_known(o, key))
        return 0;
    return json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)json_real_value(v);
}

static int index_of(const json_t *o, const char *key, unsigned limit)
{
    return (int)number_in(o, key, limit - 1, -1);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Make room for one more. */
static bool grow(void *array, size_t n, size_t *room, size_t size, struct err *e)
{
    void **block = array;
    if (n < *room)
        return true;
    size_t wanted = *room ? 2 * *room : GROW_FROM;
    void *grown = mem_grow(*block, wanted, size, e);
    if (!grown)
        return false;
    *block = grown;
    *room = wanted;
    return true;
}

static struct history_run *run_add(struct history *h, struct err *e)
{
    if (!grow(&h->run, h->runs, &h->run_room, sizeof *h->run, e))
        return NULL;
    struct history_run *r = &h->run[h->runs];
    *r = (struct history_run){.order = h->runs, .end.busy = -1, .manifest = mem_strdup("", e)};
    if (!r->manifest)
        return NULL;
    h->runs++;
    return r;
}

/* The run that a record belongs to; one without a head, if the file's own is missing. */
static struct history_run *run_now(struct history *h, struct err *e)
{
    return h->runs ? &h->run[h->runs - 1] : run_add(h, e);
}

static int run_hosts(struct history_run *r, const json_t *list, struct err *e)
{
    size_t n = num_min(json_array_size(list), HISTORY_RANKS);
    r->host = mem_new(n, sizeof *r->host, e);
    for (; r->host && r->hosts < n; r->hosts++) {
        const char *name = json_string_value(json_array_get(list, r->hosts));
        r->host[r->hosts] = mem_strdup(name ? name : "", e);
        if (!r->host[r->hosts])
            return -1;
    }
    return r->host ? 0 : -1;
}

static int run_threads(struct history_run *r, const json_t *list, struct err *e)
{
    size_t n = num_min(json_array_size(list), HISTORY_RANKS);
    r->threads = mem_new(n, sizeof *r->threads, e);
    if (!r->threads)
        return -1;
    for (; r->threads_known < n; r->threads_known++) {
        json_int_t v = json_integer_value(json_array_get(list, r->threads_known));
        r->threads[r->threads_known] = v > 0 && v <= HISTORY_WORKERS ? (unsigned)v : 0;
    }
    return 0;
}

static int take_run(struct history *h, const json_t *o, struct err *e)
{
    uint64_t version = count_of(o, "version");
    if (version > HISTORY_VERSION)
        return err_set(e, ENOTSUP, "results of version %" PRIu64 "; known is %d", version,
                       HISTORY_VERSION);
    struct history_run *r = run_add(h, e);
    if (!r)
        return -1;
    r->known = true;
    r->time = time_of(o, "time");
    r->images = count_of(o, "images");
    r->ranks = (unsigned)num_min(count_of(o, "ranks"), HISTORY_RANKS);
    free(r->manifest);
    r->manifest = mem_strdup(text_of(o, "manifest"), e);
    if (!r->manifest || run_hosts(r, json_object_get(o, "hosts"), e))
        return -1;
    return run_threads(r, json_object_get(o, "threads"), e);
}

static int take_progress(struct history *h, const json_t *o, struct err *e)
{
    struct history_run *r = run_now(h, e);
    if (!r || !grow(&r->progress, r->progresses, &r->progress_room, sizeof *r->progress, e))
        return -1;
    struct history_progress p = {.time = time_of(o, "time"),
                                 .rate = number_in(o, "rate", COUNT_MAX, 0),
                                 .busy = number_in(o, "busy", 1, -1),
                                 .bytes = count_of(o, "bytes"),
                                 .done = count_of(o, "done"),
                                 .failed = count_of(o, "failed"),
                                 .left = count_of(o, "left")};
    if (p.time > 0)
        r->progress[r->progresses++] = p;
    return 0;
}

static int take_end(struct history *h, const json_t *o, struct err *e)
{
    struct history_run *r = run_now(h, e);
    if (!r)
        return -1;
    r->end = (struct history_end){.known = true,
                                  .time = time_of(o, "time"),
                                  .seconds = number_in(o, "seconds", SECONDS_MAX, 0),
                                  .busy = number_in(o, "busy", 1, -1),
                                  .bytes = count_of(o, "bytes"),
                                  .bytes_known = count_known(o, "bytes"),
                                  .left = count_of(o, "left"),
                                  .left_known = count_known(o, "left"),
                                  .skipped = count_of(o, "skipped")};
    snprintf(r->end.status, sizeof r->end.status, "%.15s", text_of(o, "status"));
    return 0;
}

/* ---- images ---------------------------------------------------------------------------------- */

static const char *const status_words[HISTORY_STATUSES] = {
    [HISTORY_DONE] = "done",
    [HISTORY_SKIPPED] = "skipped",
    [HISTORY_STOPPED] = "stopped",
    [HISTORY_FAILED] = "failed",
};

const char *history_status_word(enum history_status s)
{
    return status_words[s];
}

/* A word that is not known is no success. */
static enum history_status status_of(const json_t *o)
{
    const char *word = text_of(o, "status");
    for (int s = 0; s < HISTORY_STATUSES; s++)
        if (strcmp(word, status_words[s]) == 0)
            return (enum history_status)s;
    return HISTORY_FAILED;
}

/* All texts of an image, one after the other in one block. */
static int image_texts(struct history_image *i, const json_t *o, struct err *e)
{
    static const char *const key[] = {"target", "source",        "id",
                                      "error",  "source_format", "target_format"};
    const char **to[] = {&i->target, &i->source,        &i->id,
                         &i->error,  &i->source_format, &i->target_format};
    size_t n = 0;
    for (size_t k = 0; k < ARRAY_LEN(key); k++)
        n += strlen(text_of(o, key[k])) + 1;
    char *at = mem_new(n, 1, e);
    if (!at)
        return -1;
    i->text = at;
    for (size_t k = 0; k < ARRAY_LEN(key); k++) {
        *to[k] = strcpy(at, text_of(o, key[k]));
        at += strlen(at) + 1;
    }
    return 0;
}

static void image_times(struct history_image *i, const json_t *o)
{
    i->start = time_of(o, "start");
    i->end = time_of(o, "end");
    if (i->start > 0 && i->end < i->start)
        i->end = i->start;
    double spent = i->start > 0 ? i->end - i->start : 0;
    i->seconds = number_in(o, "seconds", SECONDS_MAX, spent);
}

static int image_lanes(struct history_image *i, const json_t *list, struct err *e)
{
    size_t n = num_min(json_array_size(list), HISTORY_RANKS);
    if (!n)
        return 0;
    i->lane = mem_new(n, sizeof *i->lane, e);
    for (size_t k = 0; i->lane && k < n; k++) {
        const json_t *o = json_array_get(list, k);
        int rank = index_of(o, "rank", HISTORY_RANKS);
        struct history_lane l = {.rank = (unsigned)rank,
                                 .start = time_of(o, "start"),
                                 .end = time_of(o, "end"),
                                 .bytes = count_of(o, "bytes")};
        if (rank >= 0 && l.start > 0 && l.end >= l.start)
            i->lane[i->lanes++] = l;
    }
    return i->lane ? 0 : -1;
}

static int take_image(struct history *h, const json_t *o, struct err *e)
{
    struct history_run *r = run_now(h, e);
    if (!r || !grow(&h->image, h->images, &h->image_room, sizeof *h->image, e))
        return -1;
    struct history_image *i = &h->image[h->images];
    *i = (struct history_image){.run = (size_t)(r - h->run),
                                .order = h->images,
                                .status = status_of(o),
                                .spread = json_is_true(json_object_get(o, "spread")),
                                .rank = index_of(o, "rank", HISTORY_RANKS),
                                .worker = index_of(o, "worker", HISTORY_WORKERS),
                                .attempts = count_of(o, "attempts"),
                                .virtual_size = count_of(o, "virtual_size"),
                                .source_bytes = count_of(o, "source_bytes"),
                                .target_bytes = count_of(o, "target_bytes"),
                                .bytes = count_of(o, "bytes")};
    image_times(i, o);
    if (image_texts(i, o, e))
        return -1;
    h->images++; /* from here on history_release knows it */
    return image_lanes(i, json_object_get(o, "lanes"), e);
}

/* ---- any ------------------------------------------------------------------------------------- */

static int take(struct history *h, const json_t *o, struct err *e)
{
    static const struct {
        const char *name;
        int (*take)(struct history *h, const json_t *o, struct err *e);
    } kinds[] = {
        {"run", take_run}, {"image", take_image}, {"progress", take_progress}, {"end", take_end}};
    const char *name = text_of(o, "record");
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        if (strcmp(name, kinds[k].name) == 0)
            return kinds[k].take(h, o, e);
    h->unknown++;
    return 0;
}

bool history_line(struct history *h, const char *line, size_t n, struct err *e)
{
    json_error_t why = {0};
    json_t *o = json_loadb(line, n, 0, &why);
    if (!o && json_error_code(&why) == json_error_out_of_memory)
        err_nomem(e);
    bool record = json_is_string(json_object_get(o, "record"));
    if (record)
        take(h, o, e);
    json_decref(o);
    return record;
}
