/*
 * A fleet that runs, as seen from outside: its results are written, its progress is shown, what
 * fails is said. Rank 0.
 */
#ifndef CMD_FLEET_WATCH_H
#define CMD_FLEET_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/board.h"
#include "cmd/fleet_args.h"
#include "fleet/manifest.h"
#include "fleet/results.h"
#include "fleet/run.h"

#define FLEET_FAILURES 10 /* that the summary names */
#define FLEET_SPREAD   64 /* images of which it is known how far they are */

struct fleet_show {
    const struct fleet_args *args;
    const struct manifest *manifest;
    const struct fleet_item *items;
    struct results *results;
    const char *results_name;
    char *here; /* the current folder and a '/': left out of names */

    struct board *board; /* -p; else NULL */
    int json;            /* --progress=json; else -1 */

    struct board_total total;
    uint64_t work, work_done; /* source bytes */
    double began;
    double sample_at, json_at; /* when the rate was taken, the last line for programs written */
    uint64_t sample;
    struct {
        size_t item;
        double percent;
    } spread[FLEET_SPREAD];
    size_t n_spread;

    struct err tick_error;

    char *failures[FLEET_FAILURES];
    size_t n_failures;
};

/* `left`: items that are to be done. */
int fleet_show_begin(struct fleet_show *s, size_t left, struct err *e);
void fleet_show_end(struct fleet_show *s);

/* The watcher to hand to the run. */
struct fleet_watch fleet_show_watch(struct fleet_show *s);

/* The name of a target, shorter where it is below the current folder. */
const char *fleet_show_name(const struct fleet_show *s, const char *path);

#endif
