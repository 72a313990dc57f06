/* The -p line, byte for byte as callers parse it, and the answer to SIGUSR1. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

#include "flow/progress.h"

struct progress_line {
    bool shown;    /* -p, and not -q */
    double step;   /* least change that is worth a new line */
    double last;   /* percent printed last */
    bool started;  /* anything printed yet */
    bool moved;    /* more than 0 percent was seen */
    bool hold_end; /* keep 100 back until progress_line_finish */
    bool held;
};

void progress_line_init(struct progress_line *p, bool show, bool quiet, double step);
/* The watcher to hand to a flow. */
struct progress progress_line_watch(struct progress_line *p);
void progress_line_update(struct progress_line *p, double percent);
/* Print the 100 that was held back, if it came. */
void progress_line_release(struct progress_line *p);
/* The newline at the end; always, after -p. */
void progress_line_end(struct progress_line *p);

#endif
