/*
 * bench: many like requests to one image, `depth` of them at once.
 *
 * Requests that wait for storage are waited for by a thread each: there are as many threads as
 * CPUs, and while requests are seen to wait more, up to the depth.
 */
#ifndef FLOW_BENCH_H
#define FLOW_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"
#include "io/queue.h"

struct bench_options {
    struct image *image; /* opened for writing if it is to be written */
    uint64_t count;
    unsigned depth;
    uint64_t offset, step; /* of the first request, and from one to the next; wraps at the end */
    size_t size;
    bool write;
    uint8_t pattern;         /* what is written */
    uint64_t flush_interval; /* requests between flushes; 0 = none */
    bool drain;              /* a flush waits for all requests before it, and they for it */
    /* from one thread, through such a queue, where the file can; else by threads */
    enum file_queue_kind queue;
};

/* *seconds: what the requests took. The error text is that of the request that failed first. */
int bench_run(const struct bench_options *o, double *seconds, struct err *e);

#endif
