#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/signals.h"

void progress_line_init(struct progress_line *p, bool show, bool quiet, double step)
{
    *p = (struct progress_line){.shown = show && !quiet, .step = step};
}

/* "json", "json:FD"; -1: neither */
static int descriptor_of(const char *value)
{
    static const char head[] = "json:";
    const char *number = value + strlen(head);
    if (strcmp(value, "json") == 0)
        return STDERR_FILENO;
    if (strncmp(value, head, strlen(head)) != 0)
        return -1;
    size_t n = strspn(number, "0123456789");
    return n && n < 6 && !number[n] ? (int)strtol(number, NULL, 10) : -1;
}

int progress_take(void *field, const char *value, struct err *e)
{
    struct progress_arg *a = field;
    int fd = value ? descriptor_of(value) : -1;
    a->line |= !value;
    if (!value)
        return 0;
    if (fd < 0)
        return err_set(e, EINVAL, "Invalid form of progress '%s': it is json or json:FD", value);
    a->json = true;
    a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return 0;
}

int progress_line_json(struct progress_line *p, const struct progress_arg *arg, const char *image,
                       struct err *e)
{
    if (!arg->json)
        return 0;
    if (arg->fd < 0)
        return err_set(e, EBADF, "Progress cannot be written: the file descriptor is not open");
    return progress_json_begin(&p->json, arg->fd, image, e);
}

/* Moved by more than a step, or exactly at an end. A second 0 in a row says nothing new. */
static bool progress_due(const struct progress_line *p, double percent)
{
    if (!p->started || percent >= 100)
        return true;
    return percent > p->last + p->step;
}

static void progress_print(struct progress_line *p, double percent)
{
    p->last = percent;
    p->started = true;
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
}

void progress_line_update(struct progress_line *p, double percent)
{
    if (percent > 100)
        percent = 100;
    p->moved |= percent > 0;
    p->held = p->hold_end && percent >= 100;
    if (!p->held)
        progress_json_update(&p->json, percent);
    if (!p->shown) {
        if (signals_take_progress())
            fprintf(stderr, "    (%3.2f/100%%)\n", percent);
        return;
    }
    if (!p->held && progress_due(p, percent))
        progress_print(p, percent);
}

void progress_line_release(struct progress_line *p)
{
    if (p->held)
        progress_json_update(&p->json, 100);
    if (p->held && p->shown)
        progress_print(p, 100);
    p->held = false;
}

void progress_line_end(struct progress_line *p)
{
    progress_json_end(&p->json);
    if (!p->shown)
        return;
    putchar('\n');
    fflush(stdout);
}

static void progress_watch(void *ctx, double percent)
{
    progress_line_update(ctx, percent);
}

static void progress_count(void *ctx, uint64_t done, uint64_t total)
{
    struct progress_line *p = ctx;
    progress_json_count(&p->json, done, total);
}

struct progress progress_line_watch(struct progress_line *p)
{
    return (struct progress){.update = progress_watch, .bytes = progress_count, .ctx = p};
}
