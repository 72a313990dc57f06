/*
 * qcow, the first version ("The QCOW Image Format", Mark McLoughlin): what its files share.
 *
 *   header │ backing name │ L1 table │ clusters and L2 tables, in the order of their allocation
 *
 * An entry is the cluster's offset, or, with bit 63, where its compressed bytes begin and how many
 * they are. Nothing can be marked as zeros.
 *
 *   header.c   the header: load and store side by side, what it must satisfy
 *   open.c     format_qcow: open, map, info
 *   crypto.c   the key of an encrypted image
 *   edit.c     what is there is changed
 *   options.c  create options
 *   writer.c   a fresh image
 */
#ifndef FORMATS_QCOW_QCOW_H
#define FORMATS_QCOW_QCOW_H

#include "formats/format.h"
#include "formats/table.h"
#include "formats/table_edit.h"

#define QCOW_MAGIC      0x514649fbu
#define QCOW_VERSION    1u
#define QCOW_HEADER     48u
#define QCOW_COMPRESSED (UINT64_C(1) << 63)

/* limits */
#define QCOW_MIN_CLUSTER_BITS 9u
#define QCOW_MAX_CLUSTER_BITS 16u
#define QCOW_MIN_L2_BITS      6u
#define QCOW_MAX_L2_BITS      13u
#define QCOW_MAX_L1           (INT32_MAX / 8)
#define QCOW_MAX_L1_NEW       (UINT64_C(32) << 20) /* what a table can be read of (formats/table.c) */
#define QCOW_MAX_BACKING      1023u                /* bytes of the backing file's name */

enum qcow_crypt { QCOW_CRYPT_NONE = 0, QCOW_CRYPT_AES = 1 };

struct qcow_header {
    uint64_t backing_offset;
    uint32_t backing_length;
    uint64_t size; /* guest bytes */
    uint8_t cluster_bits, l2_bits;
    uint32_t crypt_method;
    uint64_t l1_offset;
};

/* An open image. */
struct qcow {
    struct table_edit edit;
    struct qcow_header header;
    const struct codec *codec;
    struct table *map;
    struct crypt *crypt; /* NULL: plain, or opened for its metadata alone */
};

extern const struct table_format qcow_table_format; /* open.c */

/* open.c: the map by the header as it is, in place of the one that there was. */
int qcow_map_open(struct image *img, struct qcow *q, struct err *e);

/* ---- header.c -------------------------------------------------------------------------------- */

int qcow_header_load(const uint8_t buf[QCOW_HEADER], struct qcow_header *out, struct err *e);
void qcow_header_store(const struct qcow_header *h, uint8_t buf[QCOW_HEADER]);

static inline uint32_t qcow_cluster(const struct qcow_header *h)
{
    return UINT32_C(1) << h->cluster_bits;
}

static inline uint64_t qcow_l1_entries(const struct qcow_header *h)
{
    unsigned shift = h->cluster_bits + h->l2_bits;
    return (h->size >> shift) + ((h->size & ((UINT64_C(1) << shift) - 1)) != 0);
}

/* An entry of a compressed cluster: the length's lowest bit; below it is the place. */
static inline unsigned qcow_packed_shift(const struct qcow_header *h)
{
    return 63 - h->cluster_bits;
}

/* ---- crypto.c -------------------------------------------------------------------------------- */

/* The key of an image that is opened; *out NULL where none is needed. crypt_free it. */
int qcow_crypto_open(const struct image *img, const struct qcow_header *h, struct crypt **out,
                     struct err *e);
/* The key of a new image: secret `id`, NULL if none is named. */
int qcow_crypto_create(const struct secrets *secrets, const char *id, struct crypt **out,
                       struct err *e);

/* ---- options.c ------------------------------------------------------------------------------- */

struct qcow_create {
    struct qcow_header header; /* as it will be, but for the L1 table's place */
    const char *key_secret;    /* borrowed */
};

struct writer_params;

extern const struct option_def qcow_create_options[];
int qcow_create_parse(const struct writer_params *p, struct qcow_create *out, struct err *e);

/* ---- writer.c -------------------------------------------------------------------------------- */

extern const struct writer_ops qcow_writer;

/* ---- edit.c ---------------------------------------------------------------------------------- */

extern const struct edit_ops qcow_edit;

#endif
