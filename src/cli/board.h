/*
 * Many jobs at once, shown as they go on: on a terminal a line for each that runs and a line of the
 * total, redrawn in place; in a log a line of the total now and then.
 */
#ifndef CLI_BOARD_H
#define CLI_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct board_total {
    size_t jobs, done, failed, running;
    uint64_t bytes; /* moved */
    double percent; /* of the work */
    double rate;    /* bytes a second */
    double seconds; /* so far */
    double left;    /* seconds that remain; < 0: not known */
};

struct board;

/* `log_seconds`: between lines where there is no terminal. */
int board_new(FILE *out, double log_seconds, struct board **out_board, struct err *e);
void board_free(struct board *b); /* NULL is fine, for all of these */

/* A job begins, moves (percent; < 0: not known), ends. `id` is its number, `name` is copied. */
int board_begin(struct board *b, size_t id, const char *name, struct err *e);
void board_move(struct board *b, size_t id, double percent);
void board_end(struct board *b, size_t id);

/* Draw, if it is time. */
void board_draw(struct board *b, const struct board_total *total);

/* Before something else is printed, on this terminal maybe: the lines go, until the next draw. */
void board_clear(struct board *b);

/* The last line of the total stays. */
void board_finish(struct board *b, const struct board_total *total);

/* "12/2000 done, 1 failed, 4 running, 35.0%, 1.2 GiB/s, 0:12:33 left" */
#define BOARD_TOTAL_MAX 256
void board_total_text(const struct board_total *total, char text[BOARD_TOTAL_MAX]);

#endif
