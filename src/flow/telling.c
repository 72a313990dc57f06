#include "flow/telling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

void telling_progress(struct telling *t, uint64_t guest, uint64_t data)
{
    t->data_done += data;
    if (t->data_total)
        progress_bytes(&t->report->progress, num_min(t->data_done, t->data_total), t->data_total);
    else
        progress_bytes(&t->report->progress, guest, t->size);
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
