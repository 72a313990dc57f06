/*
 * What happened to a fleet: its runs and their images, out of results files.
 *
 * A results file is JSON lines, appended to by one run after the other: "run" opens a run, "image"
 * is an image that ended, "progress" stands between, "end" closes the run. Files may come from
 * anywhere: each value is checked, what is no number of its kind counts as unknown.
 *
 *   history_read (each file, in the order given: as if they were one) ─▶ history_settle ─▶ look
 */
#ifndef REPORT_HISTORY_H
#define REPORT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HISTORY_VERSION  1
#define HISTORY_RANKS    65536u /* a rank or a number of ranks beyond is not believed */
#define HISTORY_WORKERS  4096u  /* of a rank, likewise */
#define HISTORY_LINE_MAX (32u << 20)

enum history_status { HISTORY_DONE, HISTORY_SKIPPED, HISTORY_STOPPED, HISTORY_FAILED };
#define HISTORY_STATUSES 4

/* A rank's part in an image that was spread over ranks. */
struct history_lane {
    unsigned rank;
    double start, end;
    uint64_t bytes;
};

/* An image that ended, in one run. Texts are never NULL. Times are UNIX seconds, 0 = unknown. */
struct history_image {
    size_t run;       /* index into history.run */
    const char *text; /* owns the texts below */
    const char *target, *source, *id, *error, *source_format, *target_format;
    enum history_status status;
    bool spread;
    bool last_of_run; /* no later record of its run is about its target */
    bool last;        /* nor one of a later run; what was only skipped later is done here */
    int rank, worker; /* -1 = unknown */
    uint64_t attempts, virtual_size, source_bytes, target_bytes, bytes;
    double start, end, seconds;
    struct history_lane *lane;
    size_t lanes;
    size_t order; /* of reading */
};

struct history_progress {
    double time, rate, busy; /* busy: 0 to 1, -1 = unknown */
    uint64_t bytes, done, failed, left;
};

struct history_end {
    bool known;
    char status[16];
    double time, seconds, busy;
    uint64_t bytes, left, skipped;
    bool bytes_known, left_known;
};

struct history_run {
    bool known; /* there was a "run" record */
    double time;
    uint64_t images;
    unsigned ranks;
    char *manifest;    /* never NULL */
    char **host;       /* of each rank, as far as known */
    unsigned *threads; /* likewise */
    size_t hosts, threads_known;
    struct history_progress *progress; /* in the order of time */
    size_t progresses, progress_room;
    struct history_end end;
    double began, ended;    /* settled: what all its times span */
    size_t first, images_n; /* settled: its records are image[first .. first + images_n) */
    size_t order;
};

struct history {
    struct history_run *run;
    size_t runs, run_room;
    struct history_image *image;
    size_t images, image_room;
    size_t unread;  /* lines that are no records */
    size_t unknown; /* records of kinds that are not known */
    bool torn;      /* a file ends in the middle of a line */
};

/* Add a file. It fails if it cannot be read, or is no results file. */
int history_read(struct history *h, const char *path, struct err *e);
/* After the last file: runs in the order of time, a record that two files hold once, what counts.
 */
int history_settle(struct history *h, struct err *e);
void history_release(struct history *h);

/* What one of them owns. */
void history_run_release(struct history_run *r);
void history_image_release(struct history_image *i);

/* Add a line. false: it is no record. Allocation failures set *e. */
bool history_line(struct history *h, const char *line, size_t n, struct err *e);

const char *history_status_word(enum history_status s);

#endif
