/* What a fleet tells while it runs: images that have begun and ended, how far it is. Rank 0. */
#ifndef FLEET_NEWS_H
#define FLEET_NEWS_H

#include "fleet/run.h"
#include "fleet/schedule.h"
#include "fleet/tally.h"

struct news {
    const struct fleet_watch *watch;
    const struct fleet_options *o;
    struct tally tally;
    struct fleet_progress progress; /* counts are always right, the rest when it is told */
    struct news_image {
        bool begun;
        double percent; /* told */
        uint64_t work;  /* counted in work_done */
        uint64_t bytes; /* counted in bytes */
    } * image;
    double begun; /* of clock_now */
    double interval, next;
    double told_at, told_work; /* at the last progress */
    uint64_t told_bytes;
};

int news_begin(struct news *n, const struct fleet_options *o, const struct fleet_watch *w,
               unsigned workers, struct err *e);
void news_release(struct news *n);

void news_started(struct news *n, size_t item, unsigned attempt, bool spread);
/* `done` (0 to 1) of it, with so many guest bytes of data. */
void news_moved(struct news *n, size_t item, double done, uint64_t bytes);
/* It has failed and will be begun again. */
void news_again(struct news *n, size_t item, const char *why);
int news_ended(struct news *n, size_t item, enum schedule_end how, uint64_t bytes,
               const json_t *result, struct err *e);
/* Often. */
int news_tick(struct news *n, struct err *e);

void news_sum(const struct news *n, bool stopped, struct fleet_summary *out);

#endif
