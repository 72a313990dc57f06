/*
 * Where everything goes in a fresh qcow2 image: pure functions of the create options, the cursor
 * and the needs.
 *
 *   cluster 0   1                2               3
 *   header      refcount table   refcount block  L1     what the chunks need, in their order ...
 *                                                       | L2 table | blocks ... | L2 table | ...
 *
 * An encrypted image has its LUKS header behind L1.
 *
 * An L2 table stands before the first block that it maps; a refcount block at the first cluster
 * that it counts (behind what is contiguous and longer than one block counts: L1). A refcount table
 * that outgrows its cluster moves to the end of the file, and its cluster is free.
 */
#ifndef FORMATS_QCOW2_LAYOUT_H
#define FORMATS_QCOW2_LAYOUT_H

#include "formats/crypt/luks.h"
#include "formats/qcow2/header.h"
#include "formats/qcow2/qcow2.h"

enum qcow2_prealloc {
    QCOW2_PREALLOC_OFF,
    QCOW2_PREALLOC_METADATA,
    QCOW2_PREALLOC_FALLOC,
    QCOW2_PREALLOC_FULL
};

/* Create options, checked: options.c. Strings are borrowed from the options. */
struct qcow2_create {
    uint64_t size; /* multiple of 512 */
    unsigned version;
    unsigned cluster_bits;
    unsigned refcount_order;
    bool extended_l2, lazy, zstd;
    enum qcow2_prealloc prealloc;
    const char *data_file; /* NULL = none */
    bool data_file_raw;
    int crypt;               /* QCOW2_CRYPT_... */
    const char *key_secret;  /* of encryption */
    struct luks_params luks; /* QCOW2_CRYPT_LUKS */
};

/* All checks of the options against each other, with qemu's words and in its order. */
int qcow2_create_parse(const struct options *o, uint64_t size, const char *backing_name,
                       const char *backing_format, struct qcow2_create *out, struct err *e);

/* The few checks that measuring makes, with the words that it has for them. */
int qcow2_measure_parse(const struct options *o, uint64_t size, struct qcow2_create *out,
                        struct err *e);

struct qcow2_layout {
    uint64_t size;
    uint64_t cluster, blocks; /* bytes of a cluster; guest clusters */
    uint64_t l2_entries, entry_size, l1_entries;
    uint64_t l1_offset;
    uint64_t crypto_offset, crypto_bytes; /* LUKS header; 0 bytes: none */
    uint64_t refs_cover;                  /* host bytes that one refcount block counts */
    uint64_t refcount_max;                /* what a refcount can hold */
    uint64_t packed_limit;                /* encoded blocks must begin below this offset */
    bool data_file, data_file_raw;
};

void qcow2_layout_init(struct qcow2_layout *l, const struct qcow2_create *c);

/* Guest bytes of a chunk: at least 1 MiB, within one L2 table or whole tables. */
uint64_t qcow2_layout_chunk(const struct qcow2_layout *l);

/* Header to L1 and the LUKS header. `out` (may be NULL) takes the refcount blocks; -1 only for lack
 * of its memory. */
int qcow2_layout_begin(const struct qcow2_layout *l, struct cursor *c, struct placing *out,
                       struct err *e);

/* n contiguous clusters, with the refcount blocks that count them. */
int qcow2_layout_alloc(const struct qcow2_layout *l, struct cursor *c, uint64_t n, uint64_t *host,
                       struct placing *out, struct err *e);

/* writer_ops.place: chunk's blocks are first_block + 0..n-1. */
int qcow2_layout_place(const struct qcow2_layout *l, uint64_t first_block, const need_t *need,
                       size_t n, struct cursor *c, struct placing *out, struct err *e);

/* End of the file when every block is allocated, plain. */
uint64_t qcow2_layout_full_end(const struct qcow2_layout *l);

#endif
