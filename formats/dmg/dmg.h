/*
 * dmg: Apple's universal disk image format (UDIF), read only.
 *
 *   data fork | resource fork and/or property list | trailer "koly"
 *
 *   trailer.c  where the parts are, how large the disk is
 *   fork.c     the resource fork: tables one behind the other
 *   plist.c    the property list: tables as base64
 *   mish.c     one table: what each run of sectors is packed with and where
 *   chunks.c   all runs, in order
 *   open.c     the driver
 *
 * All numbers are big-endian. Tables are taken as a stream: of a file of any size only the chunks
 * are kept.
 */
#ifndef FORMATS_DMG_DMG_H
#define FORMATS_DMG_DMG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/num.h"
#include "io/file.h"

#define DMG_SECTOR      512u
#define DMG_SECTORS_MAX (INT64_MAX / DMG_SECTOR)
#define DMG_PACKED_MAX  (64 * MIB) /* of one chunk, packed or not */

#define DMG_ZERO    0u
#define DMG_RAW     1u
#define DMG_IGNORE  2u /* not stored: nobody looks at what it holds */
#define DMG_COMMENT 0x7ffffffeu
#define DMG_ADC     0x80000004u
#define DMG_ZLIB    0x80000005u
#define DMG_BZIP2   0x80000006u
#define DMG_LZFSE   0x80000007u
#define DMG_LZMA    0x80000008u
#define DMG_END     0xffffffffu

static inline bool dmg_is_packed(uint32_t type)
{
    return type >= DMG_ADC && type <= DMG_LZMA;
}

/* ---- chunks.c -------------------------------------------------------------------------------- */

struct dmg_chunk {
    uint64_t sector, sectors;
    uint64_t host;       /* RAW and what is packed */
    uint32_t packed_len; /* what is packed */
    uint32_t type;       /* IGNORE is ZERO here */
};

struct dmg_chunks {
    struct dmg_chunk *of; /* in order, none on top of another, once they are finished */
    size_t n, cap;
};

int dmg_chunks_add(struct dmg_chunks *c, const struct dmg_chunk *chunk, struct err *e);
int dmg_chunks_finish(struct dmg_chunks *c, struct err *e);
void dmg_chunks_release(struct dmg_chunks *c);
/* The one that holds `sector`, or NULL. */
const struct dmg_chunk *dmg_chunks_find(const struct dmg_chunks *c, uint64_t sector);

/* ---- mish.c ---------------------------------------------------------------------------------- */

#define DMG_MISH_HEADER 204u
#define DMG_MISH_ROW    40u

/* One table, as its bytes come. */
struct dmg_mish {
    struct dmg_chunks *chunks; /* borrowed */
    uint64_t data_fork;        /* where in the file it begins */

    uint8_t part[DMG_MISH_HEADER]; /* a header or a row that is not complete yet */
    size_t have;
    bool in_rows;
    bool done; /* it was no table, or its end was met */
    uint64_t first_sector, data;
    uint32_t row; /* number of the next one */
};

/* Another table begins. */
void dmg_mish_begin(struct dmg_mish *m);
int dmg_mish_feed(struct dmg_mish *m, const uint8_t *bytes, size_t n, struct err *e);

/* ---- where tables are kept ------------------------------------------------------------------- */

struct dmg_trailer {
    uint64_t data_fork;
    uint64_t fork, fork_len;
    uint64_t plist, plist_len;
    uint64_t sectors;
    uint32_t segments;
};

void dmg_trailer_load(struct dmg_trailer *t, const uint8_t *koly);
int dmg_trailer_read(struct file *f, struct dmg_trailer *t, struct err *e);

int dmg_fork_read(struct file *f, uint64_t offset, uint64_t len, struct dmg_mish *m, struct err *e);
int dmg_plist_read(struct file *f, uint64_t offset, uint64_t len, struct dmg_mish *m,
                   struct err *e);

/* Bytes [offset, offset + len) of the file, piece by piece. */
int dmg_stream(struct file *f, uint64_t offset, uint64_t len,
               int (*take)(void *ctx, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
               struct err *e);

#endif
