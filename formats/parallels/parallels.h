/*
 * Parallels expandable images.
 *
 *     header │ BAT: a word a cluster │ … data: cluster │ cluster │ … [Format Extension]
 *
 * Field names are those of the format's description in QEMU's documentation
 * (docs/interop/parallels). All numbers are little-endian.
 */
#ifndef FORMATS_PARALLELS_PARALLELS_H
#define FORMATS_PARALLELS_PARALLELS_H

#include "formats/format.h"
#include "formats/table.h"
#include "formats/table_edit.h"

#define PARALLELS_SECTOR      512u
#define PARALLELS_HEADER_SIZE 64u
#define PARALLELS_VERSION     2u
#define PARALLELS_HEADS       16u
#define PARALLELS_TRACK       32u /* sectors, for the number of cylinders alone */

/* what qemu-img reads */
#define PARALLELS_ENTRIES_MAX ((uint32_t)INT32_MAX / 4)
#define PARALLELS_CLUSTER_MAX ((uint32_t)INT32_MAX / 513) /* sectors: that and less */

#define PARALLELS_IN_USE UINT32_C(0x746f6e59)

struct parallels_header {
    bool old;             /* WithoutFreeSpace: entries count sectors, not clusters */
    uint32_t cluster;     /* "tracks": sectors */
    uint32_t entries;     /* of the BAT */
    uint64_t sectors;     /* of the guest */
    uint32_t in_use;      /* PARALLELS_IN_USE: somebody writes, or did not end well */
    uint32_t data_offset; /* sectors */
    uint64_t ext_offset;  /* sectors: of the Format Extension, 0 = none */
};

/* Fields that are changed each by itself: all else stays as it is. */
#define PARALLELS_AT_IN_USE      44u
#define PARALLELS_AT_DATA_OFFSET 48u
#define PARALLELS_AT_EXT_OFFSET  56u

int parallels_header_load(const uint8_t *buf, struct parallels_header *out, struct err *e);
/* To PARALLELS_HEADER_SIZE bytes. */
void parallels_header_store(const struct parallels_header *h, uint8_t *buf);

/* How the entries of an image with that header are to be read. */
struct table_format parallels_table_format(const struct parallels_header *h);
static inline uint64_t parallels_cluster_bytes(const struct parallels_header *h)
{
    return (uint64_t)h->cluster * PARALLELS_SECTOR;
}
/* Where data may begin: behind the BAT, on a cluster. */
uint64_t parallels_data_begin(const struct parallels_header *h);

/* Reads and checks the Format Extension; what it holds (dirty bitmaps) is not used. */
int parallels_extension_check(struct file *f, const struct parallels_header *h, struct err *e);

struct parallels {
    struct table_edit edit;
    struct parallels_header header;
    struct table_format format;
    struct table *table;
};

int parallels_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
                    struct check_result *out, struct err *e);

extern const struct option_def parallels_create_options[];
extern const struct writer_ops parallels_writer;
extern const struct edit_ops parallels_edit;

#endif
