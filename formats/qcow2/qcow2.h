/*
 * qcow2, versions 2 and 3 (QEMU docs/interop/qcow2): what its files share.
 *
 *   header.c     the header and its extensions: load and store side by side
 *   limits.c     what a header must satisfy before anything is followed
 *   open.c       format_qcow2: open, close, probe
 *   data_file.c  the external data file
 *   info.c       what info shows
 *   crypto.c     encryption: the header, the key
 *   map.c        guest offset -> extent; extended.c: by subclusters
 *   status.c     what qemu-img shows of the map
 *   snapshot.c   the snapshot table
 *   bitmap.c     the bitmap directory and tables; bitmap_change.c, bitmap_ops.c: changing them;
 *                bitmap_track.c: while the guest's data changes
 *   check.c      reference counting against refcounts; check_walk.c, tally.c; repair.c: -r
 *   options.c    create options and their checks
 *   writer.c     layout of a fresh image: place, publish, finish
 *   measure.c    the size of an image not yet written
 *
 * and what changes an image that is there:
 *
 *   counts.c     refcounts; recount.c: of another width
 *   change.c     L1 and L2 in memory; edit.c: the operations on them; packing.c: encoded clusters
 *   switch.c     as a whole; walk.c: references and flags
 *   empty.c, grow.c, shrink.c, resize.c, snapshot_edit.c
 *   amend.c      its options; amend_plan.c: what may be; expand.c: zeros become data
 */
#ifndef FORMATS_QCOW2_QCOW2_H
#define FORMATS_QCOW2_QCOW2_H

#include "formats/format.h"
#include "formats/safety.h"
#include "formats/writer.h"

#define QCOW2_MAGIC 0x514649fbu

/* L1 and L2 entries ("L1 table entry", "L2 table entry") */
#define QCOW2_COPIED     (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO       UINT64_C(1)
#define QCOW2_PLACE_MASK UINT64_C(0x00fffffffffffe00)

/* incompatible features */
#define QCOW2_INCOMPAT_DIRTY       (UINT64_C(1) << 0)
#define QCOW2_INCOMPAT_CORRUPT     (UINT64_C(1) << 1)
#define QCOW2_INCOMPAT_DATA_FILE   (UINT64_C(1) << 2)
#define QCOW2_INCOMPAT_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2 (UINT64_C(1) << 4)
/* compatible, autoclear */
#define QCOW2_COMPAT_LAZY        (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_BITMAPS  (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_DATA_RAW (UINT64_C(1) << 1)

/* header extensions */
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_DATA_FILE      0x44415441u
#define QCOW2_EXT_CRYPTO         0x0537be77u
#define QCOW2_EXT_FEATURES       0x6803f857u
#define QCOW2_EXT_BITMAPS        0x23852875u

/* limits (qemu's; "Limits" in formats.md section 6) */
#define QCOW2_MIN_CLUSTER_BITS   9
#define QCOW2_MAX_CLUSTER_BITS   21
#define QCOW2_MAX_L1_BYTES       (UINT64_C(32) << 20)
#define QCOW2_MAX_REFTABLE_BYTES (UINT64_C(8) << 20)
#define QCOW2_MAX_SNAPSHOTS      65536u
#define QCOW2_MAX_BACKING_NAME   1023u
#define QCOW2_MAX_BITMAPS        65535u

/* "Compressed Clusters Descriptor": sectors beyond the first one, then the place. */
static inline unsigned qcow2_packed_bits(unsigned cluster_bits)
{
    return 62 - (cluster_bits - 8);
}

static inline uint64_t qcow2_packed_entry(unsigned cluster_bits, uint64_t host, uint32_t len)
{
    uint64_t more = (host + len - 1) / 512 - host / 512;
    return QCOW2_COMPRESSED | more << qcow2_packed_bits(cluster_bits) | host;
}

extern const struct format format_qcow2;               /* open.c */
extern const struct option_def qcow2_create_options[]; /* options.c */
extern const struct writer_ops qcow2_writer;           /* writer.c */
extern const struct edit_ops qcow2_edit;               /* edit.c */
extern const struct bitmap_ops qcow2_bitmap_ops;       /* bitmap_ops.c */
extern const struct safety_check qcow2_safety[];       /* safety.c */
int qcow2_measure(const struct options *o, uint64_t size, struct image *src,
                  struct measure_result *out, struct err *e); /* measure.c */

#endif
