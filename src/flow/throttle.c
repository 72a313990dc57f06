#include "flow/throttle.h"

#include <time.h>

#include "base/signals.h"

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Short sleeps: a signal that stops the run must not wait for a slow rate. */
static void sleep_until(double due)
{
    for (double left; (left = due - now()) > 0 && !signals_stop();) {
        if (left > 0.1)
            left = 0.1;
        struct timespec ts = {0, (long)(left * 1e9)};
        nanosleep(&ts, NULL);
    }
}

struct throttle throttle_share(uint64_t rate, unsigned workers)
{
    return (struct throttle){(double)rate / (workers ? workers : 1), 0};
}

void throttle_wait(struct throttle *t, uint64_t bytes)
{
    if (t->rate <= 0)
        return;
    double t0 = now();
    if (t->due < t0)
        t->due = t0;
    t->due += (double)bytes / t->rate;
    sleep_until(t->due);
}
