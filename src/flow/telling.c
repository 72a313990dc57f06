#include "flow/telling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void telling_progress(struct telling *t, uint64_t guest, uint64_t data)
{
    t->data_done += data;
    double done = t->data_total ? (double)t->data_done / (double)t->data_total
                                : (double)guest / (double)t->size;
    progress_update(&t->report->progress, 100 * (done > 1 ? 1 : done));
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
