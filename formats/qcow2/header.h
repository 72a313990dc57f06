/*
 * The first cluster of a qcow2 image: header, header extensions, backing file name. Each has its
 * load and its store side by side in header.c.
 *
 *   0 ........ header_length ........................ backing_offset .......... cluster end
 *   header     extensions, end mark (type 0)          backing name
 */
#ifndef FORMATS_QCOW2_HEADER_H
#define FORMATS_QCOW2_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define QCOW2_HEADER_V2      72u  /* bytes of a version 2 header */
#define QCOW2_HEADER_V3_MIN  104u /* least of version 3 */
#define QCOW2_HEADER_V3      112u /* what we and qemu write: with the compression type */
#define QCOW2_HEADER_V3_READ 512u /* enough of a file for qcow2_header_load */

enum { QCOW2_CRYPT_NONE = 0, QCOW2_CRYPT_AES = 1, QCOW2_CRYPT_LUKS = 2 };
enum { QCOW2_CODEC_DEFLATE = 0, QCOW2_CODEC_ZSTD = 1 };

/* "Header" and "Additional fields (version 3 and higher)". Version 2 loads with the defaults of the
 * fields that it lacks: features 0, refcount_order 4, header_length 72, deflate. */
struct qcow2_header {
    uint32_t version;
    uint64_t backing_offset; /* 0 = no backing file */
    uint32_t backing_length;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt_method;
    uint32_t l1_entries;
    uint64_t l1_offset;
    uint64_t reftable_offset;
    uint32_t reftable_clusters;
    uint32_t n_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order; /* a refcount has 2^refcount_order bits */
    uint32_t header_length;
    uint8_t compression_type;
};

/* An extension that we do not know: kept as it is. */
struct qcow2_extension {
    uint32_t type;
    uint32_t length;
    uint8_t *data; /* owned */
};

struct qcow2_extensions {
    char *backing_format; /* owned; NULL = no such extension (so for all pointers here) */
    char *data_file;
    uint64_t crypto_offset, crypto_length; /* LUKS header; offset 0 = none */
    uint8_t *features;                     /* feature name table as it stands */
    uint32_t features_length;
    bool stale_bitmaps; /* there are some that the autoclear bit does not vouch for */
    bool has_bitmaps;
    uint32_t n_bitmaps;
    uint64_t bitmap_dir_size, bitmap_dir_offset;
    struct qcow2_extension *unknown; /* owned */
    uint32_t n_unknown;
};

/* All of the first cluster. */
struct qcow2_head {
    struct qcow2_header header;
    struct qcow2_extensions ext;
    char *backing_name; /* owned; NULL = none */
    uint8_t *extra;     /* owned: header bytes behind those we know, kept on rewrite */
    uint32_t extra_length;
};

void qcow2_extensions_release(struct qcow2_extensions *x);
void qcow2_head_release(struct qcow2_head *h);

/* ---- the header ------------------------------------------------------------------------------ */

/* From the first bytes of a file (missing ones count as zero; qemu reads a whole sector). Checks
 * magic, version, cluster size and header length; nothing else can be read before these hold. */
int qcow2_header_load(const uint8_t *buf, size_t n, struct qcow2_header *out, struct err *e);

/* header_length bytes of h at buf (112 at most: bytes behind are the caller's). */
void qcow2_header_store(const struct qcow2_header *h, uint8_t *buf);

/* ---- extensions ------------------------------------------------------------------------------ */

/* From buf[0..n): n ends at the backing name or at the end of the cluster. Bitmaps are only taken
 * over where `autoclear` says that they are current. */
int qcow2_extensions_load(const uint8_t *buf, size_t n, uint64_t autoclear,
                          struct qcow2_extensions *out, struct err *e);

/* All extensions and the end mark, in qemu's order, to buf[0..cap); *used = their bytes. */
int qcow2_extensions_store(const struct qcow2_extensions *x, uint8_t *buf, size_t cap, size_t *used,
                           struct err *e);

/* The feature name table that qemu writes (8 rows, 384 bytes), as a new allocation. */
#define QCOW2_FEATURES_LENGTH      384u
#define QCOW2_FEATURES_MIN_CLUSTER 8192u /* qemu leaves it out of smaller ones */
uint8_t *qcow2_features_new(struct err *e);

/* "dirty bit, Unknown incompatible feature: 20": names for all bits of `mask`. free() it. */
char *qcow2_features_text(const struct qcow2_extensions *x, uint64_t mask, struct err *e);

/* ---- the cluster ----------------------------------------------------------------------------- */

/* Header, extensions, name from the first cluster of a file (buf[0..n), n <= cluster size; bytes
 * behind n count as zero). */
int qcow2_head_load(const uint8_t *buf, size_t n, struct qcow2_head *out, struct err *e);

/* The first cluster, whole: buf has cluster size bytes. Sets header.backing_offset and
 * backing_length from backing_name, and header_length for version 3 (112, more with `extra`).
 * -1 with ENOSPC if it does not fit. */
int qcow2_head_store(struct qcow2_head *h, uint8_t *buf, size_t cluster_size, struct err *e);

#endif
