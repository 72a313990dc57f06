#include "cmd/fleet_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/signals.h"
#include "cli/message.h"

#define SAMPLE_SECONDS 5.0
#define JSON_SECONDS   1.0
#define SAID_MAX       20 /* failures that are said at once */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *fleet_show_name(const struct fleet_show *s, const char *path)
{
    size_t n = strlen(s->here);
    return strncmp(path, s->here, n) == 0 && path[n] ? path + n : path;
}

/* free() it. */
static char *target_of(const struct fleet_show *s, size_t item, struct err *e)
{
    json_t *record = manifest_record(s->manifest, item, e);
    const char *target = json_string_value(json_object_get(record, "target"));
    char *name = target ? mem_strdup(fleet_show_name(s, target), e) : NULL;
    json_decref(record);
    return name;
}

/* ---- the total ------------------------------------------------------------------------------- */

static double of_spread(const struct fleet_show *s)
{
    double done = 0;
    for (size_t i = 0; i < s->n_spread; i++)
        done += (double)s->items[s->spread[i].item].bytes * s->spread[i].percent / 100;
    return done;
}

/* Of the last seconds. */
static void sample_rate(struct fleet_show *s, double at, uint64_t moved)
{
    bool whole = at - s->sample_at >= SAMPLE_SECONDS, first = s->sample_at <= s->began;
    if ((whole || first) && at > s->sample_at && moved >= s->sample)
        s->total.rate = (double)(moved - s->sample) / (at - s->sample_at);
    if (!whole)
        return;
    s->sample_at = at;
    s->sample = moved;
}

static void refresh(struct fleet_show *s)
{
    struct board_total *t = &s->total;
    double at = now(), work = (double)s->work_done + of_spread(s);
    size_t ended = t->done + t->failed;
    double share = s->work ? work / (double)s->work : t->jobs ? (double)ended / (double)t->jobs : 1;
    t->seconds = at - s->began;
    t->percent = share < 1 ? 100 * share : 100;
    t->left = share > 0.01 && t->seconds > 2 ? t->seconds * (1 - share) / share : -1;
    if (share >= 1)
        t->left = 0;
    sample_rate(s, at, t->bytes + (uint64_t)of_spread(s));
}

/* ---- lines for programs ---------------------------------------------------------------------- */

/* Takes the line. Nobody listens: then it is not said again. */
static void json_say(struct fleet_show *s, json_t *line)
{
    AUTO_FREE char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(line);
    if (text && dprintf(s->json, "%s\n", text) < 0)
        s->json = -1;
}

static json_t *real_or_null(double value, bool known)
{
    return known ? json_real(value) : json_null();
}

static void json_total(struct fleet_show *s)
{
    const struct board_total *t = &s->total;
    s->json_at = now();
    json_say(s, json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o}", "images",
                          (json_int_t)t->jobs, "done", (json_int_t)t->done, "failed",
                          (json_int_t)t->failed, "running", (json_int_t)t->running, "bytes",
                          (json_int_t)(t->bytes + (uint64_t)of_spread(s)), "percent", t->percent,
                          "rate", t->rate, "seconds", t->seconds, "seconds-left",
                          real_or_null(t->left, t->left >= 0)));
}

static void json_image(struct fleet_show *s, const char *name, const char *status, double percent,
                       json_t *more)
{
    json_t *line = json_pack("{s:s, s:s, s:o}", "image", name, "status", status, "percent",
                             real_or_null(percent, percent >= 0));
    if (line && more)
        json_object_update(line, more);
    json_decref(more);
    json_say(s, line);
}

/* ---- the watcher ----------------------------------------------------------------------------- */

static void show_started(void *ctx, size_t item, unsigned attempt, bool spread)
{
    struct fleet_show *s = ctx;
    struct err e = ERR_INIT;
    (void)attempt;
    s->total.running++;
    if (spread && s->n_spread < FLEET_SPREAD) {
        s->spread[s->n_spread].item = item;
        s->spread[s->n_spread++].percent = 0;
    }
    if (!s->board && s->json < 0)
        return;
    AUTO_FREE char *name = target_of(s, item, &e);
    if (name)
        board_begin(s->board, item, name, &e); /* without memory the line is missing */
    if (name && s->json >= 0)
        json_image(s, name, "running", spread ? 0 : -1, NULL);
}

static void show_moved(void *ctx, size_t item, double percent)
{
    struct fleet_show *s = ctx;
    for (size_t i = 0; i < s->n_spread; i++)
        if (s->spread[i].item == item)
            s->spread[i].percent = percent;
    board_move(s->board, item, percent);
}

static void show_warn(void *ctx, size_t item, const char *text)
{
    struct fleet_show *s = ctx;
    struct err e = ERR_INIT;
    if (s->args->quiet)
        return;
    AUTO_FREE char *name = target_of(s, item, &e);
    AUTO_FREE char *line = mem_printf(&e, "%s: %s", name ? name : "?", text);
    board_clear(s->board);
    message_warning(line ? line : text);
}

static void forget_spread(struct fleet_show *s, size_t item)
{
    for (size_t i = 0; i < s->n_spread; i++)
        if (s->spread[i].item == item)
            s->spread[i--] = s->spread[--s->n_spread];
}

/* Of one that is no longer at work. */
static void not_running(struct fleet_show *s, size_t item)
{
    s->total.running -= s->total.running > 0;
    forget_spread(s, item);
    board_end(s->board, item);
}

static void show_again(void *ctx, size_t item, const char *why)
{
    struct fleet_show *s = ctx;
    struct err e = ERR_INIT;
    not_running(s, item);
    if (s->args->quiet && s->json < 0)
        return;
    AUTO_FREE char *name = target_of(s, item, &e);
    AUTO_FREE char *line = mem_printf(&e, "%s: %.*s; it will be tried again", name ? name : "?",
                                      (int)strcspn(why, "\n"), why);
    board_clear(s->board);
    if (line && !s->args->quiet)
        message_warning(line);
    if (name && s->json >= 0)
        json_image(s, name, "again", -1, json_pack("{s:s}", "error", why));
}

static void say_failure(struct fleet_show *s, const char *name, const char *why)
{
    struct err e = ERR_INIT;
    board_clear(s->board);
    err_set(&e, 0, "%s: %s", name, why);
    if (s->total.failed <= SAID_MAX)
        message_error(&e);
    if (s->total.failed == SAID_MAX) {
        err_set(&e, 0, "Further failures are told by the results alone: '%s'", s->results_name);
        message_error(&e);
    }
    if (s->n_failures < FLEET_FAILURES)
        s->failures[s->n_failures] = mem_printf(&e, "%s: %.*s", name, (int)strcspn(why, "\n"), why);
    if (s->n_failures < FLEET_FAILURES && s->failures[s->n_failures])
        s->n_failures++;
}

static const char *text_in(const json_t *result, const char *key)
{
    const char *text = json_string_value(json_object_get(result, key));
    return text ? text : "";
}

static void show_image(struct fleet_show *s, size_t item, const json_t *result)
{
    const char *name = fleet_show_name(s, text_in(result, "target"));
    const char *status = text_in(result, "status"), *error = text_in(result, "error");
    bool done = strcmp(status, "done") == 0;
    not_running(s, item);
    s->total.done += done;
    s->total.failed += strcmp(status, "failed") == 0;
    s->total.bytes += (uint64_t)json_integer_value(json_object_get(result, "bytes"));
    s->work_done += s->items[item].bytes;
    if (strcmp(status, "failed") == 0)
        say_failure(s, name, error);
    if (s->json >= 0)
        json_image(s, name, status, done ? 100 : -1,
                   json_pack("{s:O?, s:O?, s:O?}", "bytes", json_object_get(result, "bytes"),
                             "seconds", json_object_get(result, "seconds"), "error",
                             json_object_get(result, "error")));
}

static int show_ended(void *ctx, size_t item, const json_t *result, struct err *e)
{
    struct fleet_show *s = ctx;
    show_image(s, item, result);
    return results_add_image(s->results, manifest_item(s->manifest, item), result, e);
}

static int show_progress(void *ctx, const struct fleet_progress *p, struct err *e)
{
    struct fleet_show *s = ctx;
    json_t *record =
        json_pack("{s:s, s:f, s:I, s:f, s:I, s:I, s:I, s:f}", "record", "progress", "time", p->time,
                  "bytes", (json_int_t)p->bytes, "rate", p->rate, "done", (json_int_t)p->done,
                  "failed", (json_int_t)p->failed, "left", (json_int_t)p->left, "busy", p->busy);
    int status = record ? results_add(s->results, record, e) : err_nomem(e);
    json_decref(record);
    return status;
}

static void show_tick(void *ctx)
{
    struct fleet_show *s = ctx;
    char text[BOARD_TOTAL_MAX];
    refresh(s);
    results_tick(s->results, &s->tick_error); /* what fails here fails again with the next record */
    board_draw(s->board, &s->total);
    if (s->json >= 0 && now() - s->json_at >= JSON_SECONDS)
        json_total(s);
    if (!s->board && signals_take_progress()) {
        board_total_text(&s->total, text);
        message_line(text);
    }
}

struct fleet_watch fleet_show_watch(struct fleet_show *s)
{
    return (struct fleet_watch){
        .ctx = s,
        .started = show_started,
        .again = show_again,
        .moved = show_moved,
        .warn = show_warn,
        .image = show_ended,
        .progress = show_progress,
        .tick = show_tick,
    };
}

/* ---- begin and end --------------------------------------------------------------------------- */

int fleet_show_begin(struct fleet_show *s, size_t left, struct err *e)
{
    const struct fleet_args *a = s->args;
    double interval = a->progress_interval > 0 ? a->progress_interval : FLEET_PROGRESS_SECS;
    s->json = a->progress.json && !a->quiet ? a->progress.fd : -1;
    s->total.jobs = left;
    s->began = s->sample_at = now();
    if (a->progress.json && a->progress.fd < 0)
        return err_set(e, EBADF, "Progress cannot be written: the file descriptor is not open");
    return a->progress.line && !a->quiet ? board_new(stdout, interval, &s->board, e) : 0;
}

void fleet_show_end(struct fleet_show *s)
{
    refresh(s);
    if (s->total.seconds > 0)
        s->total.rate = (double)s->total.bytes / s->total.seconds;
    board_finish(s->board, &s->total);
    if (s->json >= 0)
        json_total(s);
    board_free(s->board);
    s->board = NULL;
    s->json = -1;
}
