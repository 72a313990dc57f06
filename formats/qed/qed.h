/*
 * QED (QEMU docs/interop/qed_spec): what its files share.
 *
 *   header │ L1 table │ blocks and L2 tables, in the order of their allocation
 *
 *   header.c   the header: load and store side by side, what it must satisfy
 *   open.c     format_qed: open, map, info
 *   check.c    check and repair
 *   edit.c     what is there is changed
 *   writer.c   create options, a fresh image
 */
#ifndef FORMATS_QED_QED_H
#define FORMATS_QED_QED_H

#include "formats/format.h"
#include "formats/table.h"
#include "formats/table_edit.h"

#define QED_MAGIC  0x00444551u /* "QED\0" */
#define QED_HEADER 64u         /* bytes of it that have a meaning */

/* features */
#define QED_BACKING     UINT64_C(1)
#define QED_NEED_CHECK  UINT64_C(2) /* was not closed: what was allocated last may have leaked */
#define QED_BACKING_RAW UINT64_C(4) /* the backing file is raw, not to be probed */
#define QED_FEATURES    (QED_BACKING | QED_NEED_CHECK | QED_BACKING_RAW)

/* limits */
#define QED_MIN_CLUSTER UINT32_C(4096)
#define QED_MAX_CLUSTER (UINT32_C(64) << 20)
#define QED_MAX_TABLE   16u   /* clusters */
#define QED_MAX_BACKING 4095u /* bytes of the backing file's name */

#define QED_ZERO_CLUSTER UINT64_C(1) /* an entry of an L2 table */

struct qed_header {
    uint32_t cluster_size;
    uint32_t table_size;  /* of L1 and each L2, in clusters */
    uint32_t header_size; /* in clusters */
    uint64_t features, compat_features, autoclear_features;
    uint64_t l1_offset;
    uint64_t size; /* guest bytes */
    uint32_t backing_offset, backing_length;
};

/* An open image. */
struct qed {
    struct table_edit edit;
    struct qed_header header;
    uint64_t table_entries; /* of one table */
    _Atomic uint64_t limit; /* nothing begins in the file from here on */
    struct table *map;
};

extern const struct table_format qed_table_format; /* open.c */

/* open.c: the map by the header as it is, in place of the one that there was. */
int qed_map_open(struct image *img, struct qed *q, struct err *e);

/* ---- header.c -------------------------------------------------------------------------------- */

/* Load, and check all that can be checked without the file. */
int qed_header_load(const uint8_t buf[QED_HEADER], struct qed_header *out, struct err *e);
void qed_header_store(const struct qed_header *h, uint8_t buf[QED_HEADER]);
/* The header of an image that is open for writing, changed. */
int qed_header_update(struct file *f, const struct qed_header *h, struct err *e);

static inline uint64_t qed_table_bytes(const struct qed_header *h)
{
    return (uint64_t)h->table_size * h->cluster_size;
}

/* Bytes of the header and what belongs to it. */
static inline uint64_t qed_header_bytes(const struct qed_header *h)
{
    return (uint64_t)h->header_size * h->cluster_size;
}

/* Guest bytes that two levels of tables can map; as much as there are numbers for. */
uint64_t qed_size_max(const struct qed_header *h);

/* Could `bytes` of clusters begin at `offset`, in a file that ends at `limit`? */
bool qed_offset_valid(const struct qed_header *h, uint64_t offset, uint64_t bytes, uint64_t limit);

/* ---- check.c, edit.c, writer.c --------------------------------------------------------------- */

int qed_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
              struct check_result *out, struct err *e);

extern const struct option_def qed_create_options[];
extern const struct writer_ops qed_writer;
extern const struct edit_ops qed_edit;

#endif
