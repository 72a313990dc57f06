/*
 * Block tables: the one description that most formats share.
 *
 * A guest offset is a block number and an offset in the block; one or two levels of tables hold an
 * entry a block. A format describes its entries once (struct table_format); reading
 * (formats/table.c) decodes by it and writing (formats/table_writer.c) encodes by it, one the
 * inverse of the other.
 */
#ifndef FORMATS_TABLE_H
#define FORMATS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "formats/slices.h"
#include "image/extent.h"
#include "io/file.h"

/* How an entry stands on disk. Constant for a format (or for a variant of it). */
struct table_format {
    unsigned entry_size; /* 4 or 8 bytes */
    bool big_endian;
    uint64_t place_mask;  /* host = (entry & place_mask) * place_scale + base */
    uint64_t place_scale; /* 1, 512, block size ... */
    uint64_t used;        /* bits set in the entry of every plain block (qcow2: bit 63; vhdx: 6) */
    uint64_t absent;      /* the entry of a block that is not there: 0 or all ones */
    bool has_zero;        /* blocks can be marked as zeros: */
    bool zero_is_bit;     /*   by this bit, a place may stand beside it (qcow2) */
    uint64_t zero;        /*   or by this whole value (qed 1, vdi 0xfffffffe) */
    uint64_t packed;      /* bit that marks an encoded block; 0 = none */
};

/* What one entry says. */
struct table_entry {
    enum extent_kind kind;
    bool has_host;
    uint64_t host; /* DATA, PACKED, or has_host */
    uint32_t packed_len;
    const struct codec *codec;
};

/* The tables of one image that is read. Second-level tables are cached in slices within a budget;
 * safe for many threads. */
struct table;

struct table_params {
    const struct table_format *format;
    struct file *file;      /* holds the tables; borrowed */
    struct file *data_file; /* holds the blocks; borrowed */
    uint64_t size;          /* guest bytes */
    uint32_t block_size;
    unsigned levels;        /* 1 or 2 */
    uint64_t table_entries; /* of a second-level table (levels == 2) */
    uint64_t first_offset;  /* of the only or first-level table */
    uint64_t first_entries; /* as many as the file says; fewer than needed = absent behind */
    uint64_t table_mask;    /* first-level entry: host of the table = (entry & mask) * scale */
    uint64_t table_scale;
    uint64_t base; /* added to every place */
    uint32_t lead; /* bytes of a block on disk before its data (vhd's bitmap) */
    uint64_t
        gap_every;   /* levels == 1: after so many entries comes one of no block (vhdx); 0 = no */
    uint64_t budget; /* bytes for caches; 0 = default */
    /* The files may end inside their last unit of so many bytes (a power of two: the cluster size);
     * what lacks there reads as zeros. 0 or 1: nothing may lack. Goes into extent.tail too. */
    uint32_t tail;
    /* Optional: decode what the format's description cannot say (packed entries, checks). Returns
     * -1 with the error set for an entry that must not be followed. */
    int (*decode)(void *ctx, uint64_t guest_block, uint64_t raw, struct table_entry *out,
                  struct err *e);
    /* Optional: the place of second-level table `index`, checked; 0 = absent. */
    int (*decode_first)(void *ctx, uint64_t index, uint64_t raw, uint64_t *host, struct err *e);
    void *ctx;
};

int table_open(const struct table_params *p, struct table **out, struct err *e);
void table_free(struct table *t);

/* A driver's map: fills kind, length, file, host, packed fields. Merges neighbours, skips absent
 * first-level entries at once. */
int table_map(struct table *t, uint64_t guest, uint64_t length, struct extent *out, struct err *e);

/* Raw entry of one block (0-based), for checks. */
int table_raw(struct table *t, uint64_t block, uint64_t *raw, struct err *e);

/* ---- changing entries (formats/table_edit.h): by one thread, while others map
 * --------------------- */

const struct table_params *table_params_of(const struct table *t);
/* Has the entry of `block` no table to stand in? Only with two levels. */
bool table_lacks(const struct table *t, uint64_t block);
/* Set the entry, or the first-level entry by which `block` is found (a table of zeros at `host`):
 * table_map answers by it from now on, the file has it after the write. */
int table_set(struct table *t, uint64_t block, uint64_t raw, struct err *e);
int table_add(struct table *t, uint64_t block, uint64_t host, struct err *e);
/* Bytes of memory that wait for the write; 0: nothing has changed. */
uint64_t table_changed(const struct table *t);
/* The entries that are to be written, as slices_changes (formats/slices.h) has them. */
int table_changes(struct table *t, slices_change_fn *see, void *ctx, struct err *e);
/* Write the entries of both levels; the caller syncs before (a table that was added is there, full
 * of zeros, so its entries may come in any order) and after. */
int table_write(struct table *t, struct err *e);

/* ---- one entry, both ways -------------------------------------------------------------------- */

static inline uint64_t table_load(const struct table_format *f, const void *p)
{
    if (f->entry_size == 4)
        return f->big_endian ? be32_load(p) : le32_load(p);
    return f->big_endian ? be64_load(p) : le64_load(p);
}

static inline void table_store(const struct table_format *f, void *p, uint64_t v)
{
    if (f->entry_size == 4 && f->big_endian)
        be32_store(p, (uint32_t)v);
    else if (f->entry_size == 4)
        le32_store(p, (uint32_t)v);
    else if (f->big_endian)
        be64_store(p, v);
    else
        le64_store(p, v);
}

/* The entry of a plain block at `host`. */
static inline uint64_t table_encode(const struct table_format *f, uint64_t host, uint64_t base)
{
    return ((host - base) / f->place_scale) | f->used;
}

#endif
