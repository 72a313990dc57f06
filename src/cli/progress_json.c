#include "cli/progress_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/report.h"

#define PAUSE 0.25 /* seconds between lines at least */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *text_of(const char *name, struct err *e)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (out)
        report_json_text(out, name);
    if (out && fclose(out) == 0)
        return text;
    free(text);
    err_nomem(e);
    return NULL;
}

int progress_json_begin(struct progress_json *p, int fd, const char *image, struct err *e)
{
    *p = (struct progress_json){.on = true, .fd = fd, .image = text_of(image, e), .began = now()};
    return p->image ? 0 : -1;
}

void progress_json_count(struct progress_json *p, uint64_t done, uint64_t total)
{
    p->done = done;
    p->total = total;
}

/* A number, or null. */
static const char *number(char *to, size_t n, const char *fmt, double value, bool known)
{
    snprintf(to, n, known ? fmt : "null", value);
    return to;
}

static void write_line(struct progress_json *p, double percent)
{
    char done[32], total[32], rate[32], left[32];
    double seconds = p->told - p->began;
    double speed = seconds > 0 ? (double)p->done / seconds : 0;
    bool counted = p->total > 0;
    AUTO_FREE char *line = NULL;
    int n = asprintf(&line,
                     "{\"image\":%s,\"bytes\":%s,\"total\":%s,\"percent\":%.2f,\"rate\":%s,"
                     "\"seconds\":%.1f,\"seconds-left\":%s}\n",
                     p->image, number(done, sizeof done, "%.0f", (double)p->done, counted),
                     number(total, sizeof total, "%.0f", (double)p->total, counted), percent,
                     number(rate, sizeof rate, "%.0f", speed, counted), seconds,
                     number(left, sizeof left, "%.1f",
                            speed > 0 ? (double)(p->total - p->done) / speed : 0,
                            counted && (speed > 0 || p->ended)));
    if (n > 0 && write(p->fd, line, (size_t)n) < 0)
        p->on = false; /* nobody listens */
}

void progress_json_update(struct progress_json *p, double percent)
{
    double at = now();
    bool first = p->told == 0, last = percent >= 100;
    bool due = last || (p->total && (first || at - p->told >= PAUSE));
    if (!p->on || p->ended || !due)
        return;
    p->told = at;
    p->ended = last;
    if (last)
        p->done = p->total;
    write_line(p, percent);
}

void progress_json_end(struct progress_json *p)
{
    free(p->image);
    if (p->on)
        close(p->fd);
    *p = (struct progress_json){.on = false};
}
