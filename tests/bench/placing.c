/*
 * What rank 0 does for a chunk besides messages: places it, takes its entries into the tables, and
 * hears that it is written while many others are under way. Onto nothing (null-co), so that no
 * disk is measured.
 *
 *   bench_placing [-o OPTIONS] [-s SIZE_GIB] [-w CHUNKS_UNDER_WAY] [-p PACKED_BYTES] FORMAT
 *
 * Printed: microseconds of CPU time a chunk, and a block.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "tests/bench/null_placer.h"

struct settings {
    const char *format, *options;
    uint64_t size;
    size_t under_way;
    uint32_t packed; /* bytes of a block; 0 = they are plain */
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t draw(uint32_t n)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* In which order they end: each is one of the older half of those under way. */
static void draw_order(uint64_t *order, uint64_t chunks, uint64_t *window, size_t under_way)
{
    size_t n = 0;
    for (uint64_t k = 0, i = 0; k < chunks; k++) {
        window[n++] = k;
        if (n <= under_way)
            continue;
        size_t at = draw((uint32_t)n / 2 + 1);
        order[i++] = window[at];
        memmove(window + at, window + at + 1, (n - at - 1) * sizeof *window);
        n--;
    }
}

static int all_chunks(const struct settings *s, const struct writer *w, struct placer *p,
                      uint64_t chunks, double *spent, struct err *e)
{
    size_t blocks = w->chunk_size / w->block_size;
    AUTO_FREE need_t *need = mem_new(blocks, sizeof *need, e);
    AUTO_FREE uint64_t *window = mem_new(s->under_way + 1, sizeof *window, e);
    AUTO_FREE uint64_t *order = mem_new(chunks, sizeof *order, e);
    if (!need || !window || !order)
        return -1;
    for (size_t i = 0; i < blocks; i++)
        need[i] = s->packed ? NEED_PACKED | s->packed : NEED_PLAIN;
    draw_order(order, chunks, window, s->under_way);
    double begun = cpu_seconds();
    for (uint64_t k = 0; k < chunks; k++) {
        struct cursor granted;
        if (placer_place(p, k, need, blocks, &granted, e) < 0 ||
            (k >= s->under_way && placer_done(p, order[k - s->under_way], NULL, 0, e) < 0))
            return -1;
    }
    *spent = cpu_seconds() - begun;
    return 0;
}

static int run(const struct settings *s, struct err *e)
{
    struct writer *w;
    struct placer *placer;
    if (null_placer_new(s->format, s->options, s->size, s->packed != 0, &w, &placer, e) < 0)
        return -1;
    uint64_t chunks = s->size / w->chunk_size;
    double spent = 0;
    if (all_chunks(s, w, placer, chunks, &spent, e) < 0)
        return -1;
    printf("%s, chunks of %" PRIu64 " KiB, %zu under way: %.2f us a chunk, %.1f ns a block of %u "
           "KiB\n",
           s->format, w->chunk_size / KIB, s->under_way, spent / (double)chunks * 1e6,
           spent / ((double)s->size / w->block_size) * 1e9, w->block_size / 1024);
    return 0;
}

int main(int argc, char **argv)
{
    static struct err e;
    struct settings s = {.options = "", .size = 256 * GIB, .under_way = 1000};
    int c;
    while ((c = getopt(argc, argv, "o:s:w:p:")) >= 0)
        switch (c) {
        case 'o':
            s.options = optarg;
            break;
        case 's':
            s.size = strtoull(optarg, NULL, 10) * GIB;
            break;
        case 'w':
            s.under_way = strtoull(optarg, NULL, 10);
            break;
        case 'p':
            s.packed = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        default:
            return 2;
        }
    s.format = optind < argc ? argv[optind] : "qcow2";
    if (run(&s, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    return 0;
}
