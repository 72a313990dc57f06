/*
 * VDI, VirtualBox's own format.
 *
 *     header │ block map: an index for each MiB │ … data: MiB │ MiB │ …
 *
 * There is no specification; sections named here are those of the "VDI image tutorial" of the
 * VirtualBox forum. All numbers are little-endian.
 */
#ifndef FORMATS_VDI_VDI_H
#define FORMATS_VDI_VDI_H

#include "formats/format.h"
#include "formats/table.h"
#include "formats/table_edit.h"
#include "formats/uuid.h"

#define VDI_HEADER_SIZE  512u
#define VDI_SIGNATURE    UINT32_C(0xbeda107f)
#define VDI_SIGNATURE_AT 0x40u
#define VDI_BLOCK        (UINT32_C(1) << 20)
#define VDI_BLOCKS_MAX   UINT32_C(0x1fffff80)
#define VDI_SIZE_MAX     ((uint64_t)VDI_BLOCKS_MAX * VDI_BLOCK)

/* entries of the block map that are no place */
#define VDI_ABSENT UINT32_C(0xffffffff)
#define VDI_ZERO   UINT32_C(0xfffffffe)

enum vdi_type { VDI_DYNAMIC = 1, VDI_STATIC = 2 };

struct vdi_header {
    uint32_t type;
    uint32_t map_offset;
    uint32_t data_offset;
    uint64_t size;      /* guest bytes, whole sectors */
    uint32_t blocks;    /* of the map */
    uint32_t allocated; /* of them with a place */
    uint8_t uuid_image[UUID_SIZE];
    uint8_t uuid_snapshot[UUID_SIZE];
};

/* From VDI_HEADER_SIZE bytes, zeros where the file ends before. Refuses what we cannot read. */
int vdi_header_load(const uint8_t *buf, struct vdi_header *out, struct err *e);
/* To VDI_HEADER_SIZE bytes. */
void vdi_header_store(const struct vdi_header *h, uint8_t *buf);
/* "Unsupported VDI image size ..." */
int vdi_size_check(uint64_t size, struct err *e);

extern const struct table_format vdi_table_format;

struct vdi {
    struct table_edit edit;
    struct vdi_header header;
    struct table *table;
    uint32_t top;  /* while it is changed: above the places that were in use when that began */
    uint8_t *used; /* of those below it: a bit for each; NULL: all */
    uint32_t n_used, next;
};

int vdi_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
              struct check_result *out, struct err *e);

extern const struct option_def vdi_create_options[];
extern const struct writer_ops vdi_writer;
extern const struct edit_ops vdi_edit;

#endif
