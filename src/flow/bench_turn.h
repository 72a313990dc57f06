/* Which requests a bench sends, one after the other. */
#ifndef FLOW_BENCH_TURN_H
#define FLOW_BENCH_TURN_H

#include "flow/bench.h"

struct bench_turns {
    const struct bench_options *o;
    uint64_t given; /* so far */
    uint64_t guest; /* of the next */
};

struct bench_turn {
    uint64_t guest;
    bool flush; /* before the request */
};

struct bench_turns bench_turns_of(const struct bench_options *o);
/* false: no more. */
bool bench_turns_take(struct bench_turns *t, struct bench_turn *out);

/* Before a request is sent: should the run stop, does it lie inside the image? */
int bench_turn_check(const struct bench_options *o, uint64_t guest, struct err *e);

/* Bytes of a buffer that a request which lies inside the image needs. */
size_t bench_buffer_size(const struct bench_options *o);

/* Seconds of a clock that only goes forward. */
double bench_now(void);

/* bench_queue.c: all requests from one thread; see bench_run. */
bool bench_queue_can(const struct bench_options *o);
int bench_queue_run(const struct bench_options *o, double *seconds, struct err *e);

#endif
