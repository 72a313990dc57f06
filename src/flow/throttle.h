/* A rate limit, shared out among all workers: each keeps to its part of the whole. */
#ifndef FLOW_THROTTLE_H
#define FLOW_THROTTLE_H

#include <stdint.h>

struct throttle {
    double rate; /* bytes a second for this worker; 0 = no limit */
    double due;  /* when all bytes so far are paid for, in seconds of the monotonic clock */
};

/* `rate` bytes a second for `workers` workers. */
struct throttle throttle_share(uint64_t rate, unsigned workers);

/* Sleep for as long as `bytes` more take at this rate: also the first are not free. */
void throttle_wait(struct throttle *t, uint64_t bytes);

#endif
