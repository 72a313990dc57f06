#include "flow/bench_turn.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/signals.h"

struct bench_turns bench_turns_of(const struct bench_options *o)
{
    return (struct bench_turns){.o = o, .guest = o->offset};
}

/* Offsets go round at the image's end; a request that would reach beyond it begins anew at 0. */
static uint64_t next_offset(const struct bench_options *o, uint64_t guest)
{
    uint64_t size = o->image->size;
    guest = size ? (guest + o->step) % size : 0;
    return num_inside(guest, o->size, size) ? guest : 0;
}

bool bench_turns_take(struct bench_turns *t, struct bench_turn *out)
{
    const struct bench_options *o = t->o;
    if (t->given >= o->count)
        return false;
    out->guest = t->guest;
    out->flush = o->flush_interval && t->given && t->given % o->flush_interval == 0;
    t->guest = next_offset(o, t->guest);
    t->given++;
    return true;
}

int bench_turn_check(const struct bench_options *o, uint64_t guest, struct err *e)
{
    int sig = signals_stop();
    if (sig)
        return err_set(e, EINTR, "Stopped by signal %d (%s)", sig, strsignal(sig));
    if (!num_inside(guest, o->size, o->image->size))
        return err_set(e, EIO, "%s", strerror(EIO));
    return 0;
}

size_t bench_buffer_size(const struct bench_options *o)
{
    return num_max(num_min(o->size, o->image->size), 1);
}

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
