/* The -p line, byte for byte as callers parse it, and the answer to SIGUSR1; beside it lines for
 * programs. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

#include "base/err.h"
#include "cli/progress_json.h"
#include "flow/progress.h"

struct progress_line {
    bool shown;    /* -p, and not -q */
    double step;   /* least change that is worth a new line */
    double last;   /* percent printed last */
    bool started;  /* anything printed yet */
    bool moved;    /* more than 0 percent was seen */
    bool hold_end; /* keep 100 back until progress_line_finish */
    bool held;
    struct progress_json json;
};

/* -p, --progress[=json[:FD]]. */
struct progress_arg {
    bool line; /* -p */
    bool json;
    int fd; /* -1: the number that was given is no open file */
};

/* A row's call, for a struct progress_arg. What the descriptor is now is kept: its number may
 * become that of an image. */
int progress_take(void *field, const char *value, struct err *e);

#define ROW_PROGRESS(type, field)                                                                  \
    {                                                                                              \
        .letter = 'p', .name = "progress", .metavar = "json[:fd]", .may_lack = true,               \
        .take = TAKE_VALUE, .call = progress_take, .offset = offsetof(type, field),                \
        .syntax = "[-p] [--progress=json[:fd]]",                                                   \
        .help =                                                                                    \
            "Show progress; with =json also as lines of JSON for a program, on standard error "    \
            "or on the open file descriptor fd"                                                    \
    }

void progress_line_init(struct progress_line *p, bool show, bool quiet, double step);
/* With =json: lines about `image` too. -1 if they have nowhere to go. */
int progress_line_json(struct progress_line *p, const struct progress_arg *arg, const char *image,
                       struct err *e);
/* The watcher to hand to a flow. */
struct progress progress_line_watch(struct progress_line *p);
void progress_line_update(struct progress_line *p, double percent);
/* Print the 100 that was held back, if it came. */
void progress_line_release(struct progress_line *p);
/* The newline at the end; always, after -p. */
void progress_line_end(struct progress_line *p);

#endif
