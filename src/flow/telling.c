#include "flow/telling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

void telling_progress(struct telling *t, uint64_t guest, uint64_t data)
{
    uint64_t all = t->data_total ? t->data_total : t->size;
    t->data_done += data;
    uint64_t done = num_min(t->data_total ? t->data_done : guest, all);
    progress_bytes(&t->report->progress, all * t->pass + done, all * t->passes);
}

void telling_next_pass(struct telling *t)
{
    t->pass++;
    t->data_done = 0;
}

void telling_salvaged(const struct telling *t, const struct salvaged *lost)
{
    char text[200];
    if (t->o->quiet || !t->report->warn)
        return;
    snprintf(text, sizeof text, "error while reading offset %" PRIu64 ": %s", lost->guest,
             strerror(lost->error));
    t->report->warn(t->report->ctx, text);
}
