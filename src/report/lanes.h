/*
 * Who did what when: a lane for each rank of a run, in it a row for each worker, with a bar for
 * each image. Images that were spread over ranks have rows of their own on top, the same in each
 * lane.
 *
 *      rank 0  spread   ████████████████████        rank 1  spread     ██████████████
 *              worker 0 ███ ██ █████ ███                    worker 0 ██████ ████
 *              worker 1 ████ █ ██ ██████                    worker 1 ███ ██ ██████
 *
 * Of very many workers a lane holds one row, of very many ranks several share one: such a row has
 * no bars; how many of its workers had work is a curve.
 */
#ifndef REPORT_LANES_H
#define REPORT_LANES_H

#include "report/curve.h"
#include "report/history.h"

#define LANES_ROWS_MAX   160
#define LANES_SPREAD_MAX 8 /* rows of spread images in a lane */

enum lane_kind { LANE_DONE, LANE_SPREAD, LANE_STOPPED, LANE_FAILED }; /* the last wins */
#define LANE_KINDS 4

struct lane_bar {
    double from, to; /* of the run's time, 0 to 1 */
    enum lane_kind kind;
    size_t images, failed;
    uint64_t bytes;
    const struct history_image *image; /* the first of them */
};

struct lane_row {
    bool spread;
    unsigned worker;
    struct lane_bar *bar; /* in the order of `from` */
    size_t bars, room;
    struct curve *busy; /* instead of bars: the share of workers that had work */
};

/* One rank, or several (first to last). */
struct lane {
    unsigned first, last, workers;
    size_t row, rows; /* lanes.row[row .. row + rows) */
    size_t images;    /* that ran whole here */
    uint64_t bytes;   /* of them, and of parts of spread ones */
};

struct lanes {
    struct lane *lane;
    size_t lanes;
    struct lane_row *row;
    size_t rows, spread_rows;
    bool dense;      /* rows hold curves */
    size_t unplaced; /* images of no known rank or time */
    size_t left_out; /* bars, for there are too many */
};

/* Bars that are too thin to be seen are folded into one with their neighbours, until there are no
 * more than `most`. */
int lanes_make(const struct history *h, const struct history_run *r, size_t most, struct lanes *out,
               struct err *e);
void lanes_release(struct lanes *l);

#endif
