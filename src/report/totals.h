/* The numbers of a fleet, and of one of its runs. */
#ifndef REPORT_TOTALS_H
#define REPORT_TOTALS_H

#include "report/history.h"

struct totals {
    uint64_t images;                  /* that there are to convert, as far as known */
    uint64_t count[HISTORY_STATUSES]; /* by the record that counts */
    uint64_t left;                    /* no record tells of them */
    uint64_t bytes;                   /* of guests, moved in all runs */
    uint64_t virtual_size, source_bytes, target_bytes; /* of images that are done */
    double seconds;                                    /* that runs took */
    double rate;                                       /* bytes a second of them */
    double busy;                                       /* 0 to 1, -1 = unknown */
    double median, p95, longest; /* seconds of images that are done; 0 if there are none */
};

/* Of the whole: each target once, as the last record about it says. */
int totals_fleet(const struct history *h, struct totals *out, struct err *e);
/* Of one run: its own records. */
int totals_run(const struct history *h, const struct history_run *r, struct totals *out,
               struct err *e);

/* The median of n sorted numbers: the middle one, or the mean of the middle two. */
double totals_median(const double *sorted, size_t n);
/* The smallest of them that `share` (0 to 1) of them do not exceed. */
double totals_percentile(const double *sorted, size_t n, double share);

#endif
