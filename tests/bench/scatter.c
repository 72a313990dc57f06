/*
 * bench_scatter FILE GIB [CLUSTER_BITS [SEED]]: a qcow2 in which every cluster is allocated and the
 * host places are shuffled, as after years of random writes: the worst case for a check that pages
 * its refcounts in and out. Correct in every entry; the data itself is left as a hole.
 *
 * Layout in clusters: header | refcount table | refcount blocks | L1 | L2 tables | data
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPIED (UINT64_C(1) << 63)

struct shape {
    unsigned bits;
    uint64_t cluster, data, l2_tables, l1_clusters;
    uint64_t table_at, table_clusters, blocks_at, blocks, l1_at, l2_at, data_at, total;
};

static void store(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static uint64_t up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* Refcount structures count themselves: grow until they suffice. */
static struct shape shape_of(uint64_t size, unsigned bits)
{
    struct shape s = {.bits = bits, .cluster = UINT64_C(1) << bits};
    bool grown = true;

    s.data = up(size, s.cluster);
    s.l2_tables = up(s.data, s.cluster / 8);
    s.l1_clusters = up(s.l2_tables * 8, s.cluster);
    s.table_clusters = s.blocks = 1;
    while (grown) {
        uint64_t blocks, tables;

        s.table_at = 1;
        s.blocks_at = s.table_at + s.table_clusters;
        s.l1_at = s.blocks_at + s.blocks;
        s.l2_at = s.l1_at + s.l1_clusters;
        s.data_at = s.l2_at + s.l2_tables;
        s.total = s.data_at + s.data;
        blocks = up(s.total, s.cluster / 2);
        tables = up(blocks * 8, s.cluster);
        grown = blocks > s.blocks || tables > s.table_clusters;
        s.blocks = blocks;
        s.table_clusters = tables;
    }
    return s;
}

static void put(int fd, const void *buf, size_t len, uint64_t off)
{
    if (pwrite(fd, buf, len, (off_t)off) != (ssize_t)len) {
        fprintf(stderr, "bench_scatter: %s\n", strerror(errno));
        exit(1);
    }
}

static void put_header(int fd, const struct shape *s, uint64_t size)
{
    uint8_t h[112] = {'Q', 'F', 'I', 0xfb};

    store(h + 4, 3, 4);
    store(h + 20, s->bits, 4);
    store(h + 24, size, 8);
    store(h + 36, s->l2_tables, 4);
    store(h + 40, s->l1_at * s->cluster, 8);
    store(h + 48, s->table_at * s->cluster, 8);
    store(h + 56, s->table_clusters, 4);
    store(h + 96, 4, 4);
    store(h + 100, sizeof(h), 4);
    put(fd, h, sizeof(h), 0);
}

/* A table of `n` places: `first`, `first` + 1, ... clusters, or from a list. */
static void put_places(int fd, const struct shape *s, uint64_t at, uint64_t first,
                       const uint32_t *list, uint64_t n, uint64_t flags)
{
    uint8_t *cluster = calloc(1, s->cluster);

    for (uint64_t i = 0; cluster && i < n;) {
        uint64_t k, part = n - i < s->cluster / 8 ? n - i : s->cluster / 8;

        memset(cluster, 0, s->cluster);
        for (k = 0; k < part; k++)
            store(cluster + 8 * k, (first + (list ? list[i + k] : i + k)) * s->cluster | flags, 8);
        put(fd, cluster, s->cluster, at * s->cluster + i * 8);
        i += part;
    }
    free(cluster);
}

static void put_refcounts(int fd, const struct shape *s)
{
    uint8_t *block = malloc(s->cluster);

    for (uint64_t b = 0; block && b < s->blocks; b++) {
        uint64_t entries = s->cluster / 2, first = b * entries;

        memset(block, 0, s->cluster);
        for (uint64_t k = 0; k < entries && first + k < s->total; k++)
            block[2 * k + 1] = 1;
        put(fd, block, s->cluster, (s->blocks_at + b) * s->cluster);
    }
    free(block);
}

static uint32_t *shuffled(uint64_t n, uint64_t seed)
{
    uint32_t *list = malloc(n * sizeof(*list));

    for (uint64_t i = 0; list && i < n; i++)
        list[i] = (uint32_t)i;
    for (uint64_t i = n; list && i > 1; i--) {
        uint32_t swap;
        uint64_t k;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        k = seed % i;
        swap = list[i - 1];
        list[i - 1] = list[k];
        list[k] = swap;
    }
    return list;
}

int main(int argc, char **argv)
{
    uint64_t size = argc > 2 ? strtoull(argv[2], NULL, 10) << 30 : 0;
    unsigned bits = argc > 3 ? (unsigned)atoi(argv[3]) : 16;
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;

    if (size == 0 || bits < 9 || bits > 21 || seed == 0) {
        fprintf(stderr, "usage: bench_scatter FILE GIB [CLUSTER_BITS [SEED]]\n");
        return 1;
    }
    struct shape s = shape_of(size, bits);
    uint32_t *places = shuffled(s.data, seed);
    int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0666);

    if (!places || fd < 0 || ftruncate(fd, (off_t)(s.total * s.cluster)) < 0) {
        fprintf(stderr, "bench_scatter: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    put_header(fd, &s, size);
    put_places(fd, &s, s.table_at, s.blocks_at, NULL, s.blocks, 0);
    put_refcounts(fd, &s);
    put_places(fd, &s, s.l1_at, s.l2_at, NULL, s.l2_tables, COPIED);
    put_places(fd, &s, s.l2_at, s.data_at, places, s.data, COPIED);
    free(places);
    return close(fd) < 0;
}
