/*
 * An open qcow2 image: what the files of this folder that read share. Nothing in it changes after
 * opening but the caches inside the maps, which lock for themselves.
 */
#ifndef FORMATS_QCOW2_STATE_H
#define FORMATS_QCOW2_STATE_H

#include "formats/crypt/luks.h"
#include "formats/format.h"
#include "formats/qcow2/header.h"
#include "formats/qcow2/qcow2.h"
#include "formats/table.h"

/* "Snapshots": an entry of the snapshot table. */
struct qcow2_snapshot {
    char *id, *name; /* owned */
    uint64_t l1_offset;
    uint32_t l1_entries;
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_nsec;
    uint64_t vm_state_size;
    uint64_t disk_size; /* the image's own size where the entry does not say */
    bool has_icount;
    uint64_t icount;
    uint32_t extra_size; /* as stored */
    uint8_t *raw;        /* owned: the entry as it stands, padding included ... */
    size_t raw_size;     /* ... so many bytes */
};

/* "Bitmap directory": an entry. */
struct qcow2_bitmap {
    char *name; /* owned */
    uint64_t table_offset;
    uint32_t table_entries;
    uint32_t flags;
    unsigned granularity_bits;
};

#define QCOW2_BITMAP_IN_USE 1u
#define QCOW2_BITMAP_AUTO   2u
#define QCOW2_BITMAP_ONES   UINT64_C(1) /* table entry: all bits are set, no cluster */

struct qcow2_extended;      /* extended.c */
struct qcow2_change;        /* change.h */
struct qcow2_bitmap_change; /* bitmap_change.h */
struct qcow2_track;         /* bitmap_track.h */
struct edit_packing;

struct qcow2 {
    struct qcow2_head head;
    struct file *file;          /* the image's, borrowed */
    struct file *data_file;     /* where clusters are: file, or own_data_file; NULL if not opened */
    struct file *own_data_file; /* owned; NULL if the image holds its own clusters */
    bool has_data_file;         /* the image says that there is one */
    bool data_file_raw;
    uint32_t cluster_bits, cluster_size;
    uint64_t l2_entries; /* of an L2 table */
    bool extended;       /* "Extended L2 Entries" */
    const struct codec *codec;
    struct luks_header luks; /* crypt method 2 */
    struct luks_key key;     /* ... its key, once it is unlocked */
    struct crypt *crypt;     /* owned; NULL: plain, or opened for its metadata alone */

    struct qcow2_snapshot *snapshots;
    uint32_t n_snapshots;
    uint64_t snapshots_bytes; /* of the table as it stands */
    struct qcow2_bitmap *bitmaps;
    uint32_t n_bitmaps;

    uint64_t size; /* guest bytes of what the maps show: the active state or a snapshot */
    uint64_t budget;
    struct table *table;                 /* standard L2; NULL: opened without a map */
    struct qcow2_extended *extended_map; /* or this */
    struct qcow2_change *change;         /* while the image is being changed: what maps then */
    struct qcow2_bitmap_change *bitmap_change; /* while its bitmaps are (bitmap_ops) */
    struct qcow2_track *track; /* bitmaps, from the first change of the guest's data on */
};

static inline struct qcow2 *qcow2_of(struct image *img)
{
    return img->state;
}

/* Bytes of an L2 entry. */
static inline uint64_t qcow2_entry_size(const struct qcow2 *q)
{
    return q->extended ? 16 : 8;
}

/* ---- limits.c: what a header must satisfy before anything is followed ------------------------ */

int qcow2_limits_check(const struct qcow2_head *head, const struct image_flags *flags,
                       struct err *e);
/* "Unsupported qcow2 feature(s): ..." for incompatible bits that we do not know. */
int qcow2_features_check(const struct qcow2_head *head, struct err *e);
/* An L1 table (active or of a snapshot, `what` says which). */
int qcow2_l1_check(const struct qcow2_header *h, uint64_t offset, uint64_t entries,
                   const char *what, struct err *e);

/* ---- map.c ----------------------------------------------------------------------------------- */

/* Show the guest through this L1 table: frees the map there was. */
int qcow2_map_open(struct qcow2 *q, uint64_t l1_offset, uint32_t l1_entries, uint64_t size,
                   struct err *e);
void qcow2_map_close(struct qcow2 *q);
int qcow2_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
              struct err *e);

/* What the first word of an L2 entry says (in an extended one: of the cluster, not of its
 * subclusters). */
int qcow2_entry_decode(const struct qcow2 *q, uint64_t cluster, uint64_t raw,
                       struct table_entry *out, struct err *e);
/* Offset of an L2 table; 0 = none. */
int qcow2_l1_decode(const struct qcow2 *q, uint64_t index, uint64_t raw, uint64_t *host,
                    struct err *e);
/* Where a compressed cluster's bytes are. */
void qcow2_packed_place(uint32_t cluster_bits, uint64_t raw, uint64_t *host, uint32_t *len);

/* packing.c */
extern const struct edit_packing qcow2_packing;

/* change_map.c: the same while the image is being changed. */
int qcow2_change_map(struct qcow2 *q, uint64_t guest, uint64_t length, struct extent *out,
                     struct err *e);

/* ---- extended.c ------------------------------------------------------------------------------ */

int qcow2_extended_open(struct qcow2 *q, uint64_t l1_offset, uint32_t l1_entries,
                        struct qcow2_extended **out, struct err *e);
void qcow2_extended_free(struct qcow2_extended *x);
int qcow2_extended_map(struct qcow2_extended *x, uint64_t guest, uint64_t length,
                       struct extent *out, struct err *e);

/* ---- tables.c: whole tables of 8-byte words -------------------------------------------------- */

/* `n` words at `offset` of the image's file in host order, as a new allocation. Bytes that lack in
 * the last cluster of the file are zero; a table that begins beyond is an error. */
int qcow2_words_read(const struct qcow2 *q, uint64_t offset, uint64_t n, uint64_t **out,
                     struct err *e);
/* The same for a check, which looks at whatever is there: all that lacks is zero. */
int qcow2_words_padded(const struct qcow2 *q, uint64_t offset, uint64_t n, uint64_t **out,
                       struct err *e);
/* First offset behind the last cluster of the file. */
uint64_t qcow2_file_limit(const struct qcow2 *q);

/* ---- head_write.c ---------------------------------------------------------------------------- */

/* Write q->head.header, without what follows it: one write, well inside a sector. */
int qcow2_header_write(struct qcow2 *q, struct err *e);
/* Write all of q->head: a stop at any sector leaves what it was or what it is to be. Chooses the
 * place of the backing file's name. On storage when it returns. */
int qcow2_head_write(struct qcow2 *q, struct err *e);

int qcow2_data_file_open(struct image *img, struct err *e); /* data_file.c */

/* edit.c: the image is about to be changed: it is repaired if it was not closed properly, marks and
 * extensions go that whoever changes it without knowing them must take away. */
int qcow2_edit_prepare(struct image *img, struct err *e);

/* ---- snapshot.c, bitmap.c, crypto.c, info.c, check.c
 * --------------------------------------------------- */

/* `lenient`: what lies beyond the end of the file is zero (for a check). */
int qcow2_snapshots_load(struct qcow2 *q, bool lenient, struct err *e);
/* The same, lenient, of a table that is not as it must be: what is too much is left out and told,
 * `faults` at a time. */
struct qcow2_snapshots_mend {
    void (*discard)(void *ctx, uint32_t faults, const char *text);
    void *ctx;
};
int qcow2_snapshots_mend(struct qcow2 *q, const struct qcow2_snapshots_mend *m, struct err *e);
void qcow2_snapshots_free(struct qcow2 *q);
/* A new entry as it goes into the table; free() it. */
int qcow2_snapshot_entry(const struct qcow2_snapshot *s, uint8_t **out, size_t *len, struct err *e);
/* The entry as it stands, with all extra data that the version demands; `out` has room for raw_size
 * and QCOW2_SNAPSHOT_GROWS bytes. How many it takes; more than now? */
#define QCOW2_SNAPSHOT_GROWS 24u
bool qcow2_snapshot_grows(uint32_t version, const struct qcow2_snapshot *s);
size_t qcow2_snapshot_upgrade(uint32_t version, const struct qcow2_snapshot *s, uint8_t *out);
int qcow2_load_snapshot(struct image *img, const char *id, const char *name, struct err *e);

int qcow2_bitmaps_load(struct qcow2 *q, struct err *e);
void qcow2_bitmaps_free(struct qcow2 *q);
/* 0, or -1 for a bitmap table entry that cannot be right. */
int qcow2_bitmap_entry_check(const struct qcow2 *q, uint64_t entry);
/* What the core sees of one; bitmap_release it. */
int qcow2_bitmap_describe(const struct qcow2 *q, const struct qcow2_bitmap *b, struct bitmap *out,
                          struct err *e);
int qcow2_bitmap_list(struct image *img, struct bitmap **out, size_t *n, struct err *e);
int qcow2_bitmap_read(struct image *img, struct bitmap *b, uint64_t at, size_t n, uint8_t *buf,
                      bool *zero, struct err *e);
/* Bytes [in, in + n) of a table entry's cluster of bits. */
int qcow2_bits_read(const struct qcow2 *q, uint64_t entry, uint64_t in, uint8_t *bits, size_t n,
                    struct err *e);

/* Where the LUKS header is (crypt method 2). */
struct luks_area qcow2_crypto_area(const struct qcow2 *q);
/* crypto.c: the header and the key; then, for each extent of the map, how it is encrypted. */
int qcow2_crypto_open(struct image *img, struct err *e);
void qcow2_crypto_extent(const struct qcow2 *q, uint64_t guest, struct extent *x);
/* The "encrypt" object of info; NULL for a plain image. */
int qcow2_crypto_info(const struct qcow2 *q, json_t **out, struct err *e);
int qcow2_info(struct image *img, struct format_info *out, struct err *e);

void qcow2_status(struct image *img, struct format_status *out); /* status.c */

int qcow2_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
                struct check_result *out, struct err *e);

/* repair.c: an image that was not closed properly gets its refcounts repaired, as by check -r all;
 * a clean one nothing. What is done goes to img->flags.repairs. Before the image is changed, and
 * not between begin and end. */
int qcow2_repair_dirty(struct image *img, struct err *e);

#endif
