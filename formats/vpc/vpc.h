/*
 * VHD, which qemu-img calls vpc: fixed, dynamic and (but to be made) differencing.
 *
 *     fixed       data …                                                        │ footer
 *     dynamic     footer copy │ header │ block table │ bitmap, data │ … data    │ footer
 *
 * A block of a dynamic image has a bitmap before its data: a bit for each sector, whole sectors
 * long. Section names are those of Microsoft's "Virtual Hard Disk Image Format Specification" 1.0.
 * All numbers are big-endian.
 */
#ifndef FORMATS_VPC_VPC_H
#define FORMATS_VPC_VPC_H

#include "formats/format.h"
#include "formats/table.h"
#include "formats/table_edit.h"
#include "formats/uuid.h"

#define VPC_SECTOR      512u
#define VPC_FOOTER_SIZE 512u
#define VPC_HEADER_SIZE 1024u
#define VPC_BLOCK       (UINT32_C(2) << 20) /* of what we write */
#define VPC_SECTORS_MAX UINT64_C(0xff000000)
#define VPC_ABSENT      UINT32_C(0xffffffff)
#define VPC_NOWHERE     UINT64_MAX /* data offset of fixed images */
#define VPC_LOCATORS    8u

/* ---- footer ("Hard Disk Footer Format") ------------------------------------------------------ */

enum vpc_type { VPC_FIXED = 2, VPC_DYNAMIC = 3, VPC_DIFFERENCING = 4 };

struct vpc_geometry {
    uint16_t cylinders;
    uint8_t heads, sectors;
};

struct vpc_footer {
    uint64_t data_offset; /* of the dynamic header */
    uint32_t time;        /* seconds since 2000 */
    char creator[4];
    uint64_t original_size, size;
    struct vpc_geometry geometry;
    uint32_t type;
    uint8_t uuid[UUID_SIZE];
};

enum vpc_footer_state { VPC_FOOTER_NONE, VPC_FOOTER_DAMAGED, VPC_FOOTER_GOOD };

enum vpc_footer_state vpc_footer_load(const uint8_t *buf, struct vpc_footer *out);
void vpc_footer_store(const struct vpc_footer *f, uint8_t *buf);

/* ---- dynamic header ("Dynamic Disk Header Format") ------------------------------------------- */

struct vpc_locator {
    char code[4];    /* of the platform */
    uint32_t length; /* bytes */
    uint64_t offset;
};

struct vpc_header {
    uint64_t table_offset;
    uint32_t entries;
    uint32_t block_size;
    uint8_t parent_uuid[UUID_SIZE];
    uint8_t parent_name[512]; /* UTF-16, big-endian */
    struct vpc_locator locators[VPC_LOCATORS];
};

int vpc_header_load(const uint8_t *buf, struct vpc_header *out, struct err *e);
void vpc_header_store(const struct vpc_header *h, uint8_t *buf);

/* Bytes of the bitmap before a block's data. */
uint32_t vpc_bitmap_size(uint32_t block_size);

/* ---- the rest -------------------------------------------------------------------------------- */

#define VPC_GEOMETRY_MAX ((struct vpc_geometry){65535, 16, 255})

/* Section "CHS Calculation". */
struct vpc_geometry vpc_geometry_of(uint64_t sectors);
uint64_t vpc_geometry_sectors(struct vpc_geometry g);
bool vpc_geometry_is_max(struct vpc_geometry g);
/* The smallest geometry that holds so many sectors. */
struct vpc_geometry vpc_geometry_holding(uint64_t sectors);

/* The name of a differencing image's parent as this system would say it; the caller frees it.
 * NULL with the error set. */
char *vpc_parent_name(struct file *f, const struct vpc_header *h, struct err *e);

extern const struct table_format vpc_table_format;
extern const struct option_def vpc_create_options[];
extern const struct writer_ops vpc_writer;
extern const struct edit_ops vpc_edit;

struct vpc {
    struct table_edit edit;
    struct vpc_footer footer;
    struct vpc_header header;              /* not of fixed images */
    uint64_t data_end;                     /* where the footer stands */
    uint32_t lead;                         /* of a block: its bitmap */
    struct table *table;                   /* NULL: fixed */
    struct slices *bitmaps;                /* differencing */
    uint8_t footer_bytes[VPC_FOOTER_SIZE]; /* while it is changed: as it was found */
    bool moved;                            /* and put elsewhere since */
};

static inline const struct vpc *vpc_of(const struct image *img)
{
    return img->state;
}

/* map.c */
int vpc_map_open(struct image *img, struct vpc *v, struct err *e);
void vpc_map_close(struct vpc *v);
int vpc_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e);

#endif
