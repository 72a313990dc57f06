/*
 * Changing an image that is there already: what a driver implements for writes in place.
 *
 *     place ──▶ the core writes the data there ──▶ link ──▶ … ──▶ flush
 *
 * Data goes either where the guest's bytes are already (they are this image's own, plain, and
 * nobody shares them), or to a fresh place that becomes part of the image by link. A driver moves
 * no data and copies none: what a request does not cover of a fresh unit, the core fills in.
 *
 * What must hold at every single write to the storage, so that a stop there loses nothing: data is
 * on storage before anything refers to it, space is counted before anything refers to it, and is
 * given free only after nothing does any more. So flush goes data, counts, tables, frees, with a
 * sync between them; until flush, link changes nothing on storage that an old table needs.
 *
 * One thread at a time calls these, on rank 0; mapping and reading go on beside them, so a driver
 * changes its map under a lock of its own (base: the image's map must see what is linked).
 */
#ifndef FORMATS_EDIT_H
#define FORMATS_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/file.h"

struct image;
struct crypt;

struct edit_place {
    uint64_t guest;  /* of its first byte: the offset asked, or before it where more has to move */
    uint64_t length; /* guest bytes, beyond the offset asked */
    struct file *file; /* borrowed from the image */
    uint64_t host;
    bool fresh;   /* not part of the image before link, and to be written as a whole */
    bool is_zero; /* fresh, and known to read as zeros: what is zero needs no writing */
    const struct crypt *crypt; /* as in struct extent */
    uint64_t crypt_at;
    uint32_t packed_len; /* > 0: so many encoded bytes stand for all of it (place_packed) */
};

enum edit_zero {
    EDIT_ZERO_DROP, /* space that is not needed for zeros is given back */
    EDIT_ZERO_KEEP  /* it stays with the image */
};

enum edit_prealloc {
    EDIT_PREALLOC_OFF,
    EDIT_PREALLOC_METADATA,
    EDIT_PREALLOC_FALLOC,
    EDIT_PREALLOC_FULL
};

/* Images whose clusters can be encoded ("packed") one by one. */
struct packer;
struct edit_packing {
    /* Does this image hold nothing but encoded blocks, asked for or not? NULL: none does. */
    bool (*always)(struct image *img);
    /* Guest bytes that are encoded together; not less than a unit. */
    uint64_t (*block)(struct image *img);
    /* Most bytes that one takes. NULL: no more than the block. */
    uint32_t (*packed_max)(struct image *img);
    /* One thread's encoder; pack: *len = 0 for what does not get smaller. `level`: 0 = default. */
    int (*packer_new)(struct image *img, int level, struct packer **out, struct err *e);
    void (*packer_free)(struct packer *p);
    int (*pack)(struct packer *p, uint64_t guest, const void *block, void *out, size_t cap,
                size_t *len, struct err *e);
    /* Where `len` encoded bytes of the block at `guest` may be written: fresh. As place. */
    int (*place)(struct image *img, uint64_t guest, uint32_t len, struct edit_place *out,
                 struct err *e);
};

struct edit_ops {
    /* The image is about to change: marks that say so (qed's need-check, qcow2's autoclear bits), a
     * log to be replayed. Called before the first of the others. */
    int (*begin)(struct image *img, struct err *e);
    /* Everything is linked and on storage, the marks are taken back. After a failure too. */
    int (*end)(struct image *img, struct err *e);

    /* These guest bytes, exactly, are about to change: whoever keeps account of changes (persistent
     * bitmaps) hears of it before the data of a place is written, before zero and discard. NULL:
     * nobody does. */
    int (*touch)(struct image *img, uint64_t guest, uint64_t length, struct err *e);

    /* Guest bytes of a fresh place: cluster, block, grain. Constant for an image: any number of
     * sectors, a power of two or not. */
    uint64_t (*unit)(struct image *img);
    /* Where [guest, guest + length), whole units, may be written; answers for as many of them as
     * are of one kind and in one place. The last unit may reach beyond the image's end. */
    int (*place)(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                 struct err *e);
    /* A fresh place holds its data: from the next map on it is what the guest reads. */
    int (*link)(struct image *img, const struct edit_place *p, struct err *e);
    const struct edit_packing *packing; /* NULL: cannot */

    /* The units [guest, guest + length) read as zeros from now on, without data. *done = how many
     * bytes of it from the front: what cannot be marked so, the core writes. NULL: nothing can. */
    int (*zero)(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                uint64_t *done, struct err *e);
    /* The units are not needed: give their space back. They read as zeros, or (without a backing
     * image) as anything that is no secret. NULL: nothing is done. */
    int (*discard)(struct image *img, uint64_t guest, uint64_t length, struct err *e);

    /* All that was linked is part of the image on storage. */
    int (*flush)(struct image *img, struct err *e);

    /* Before resize makes the image larger: up to `size` it can be mapped and written from now on
     * (begin … end), so that what is there already can be made to read as zeros, though neither the
     * storage nor the guest knows of more than before. NULL: what is added reads as zeros. */
    int (*reach)(struct image *img, uint64_t size, struct err *e);
    /* New size of the guest's disk, what is added reserved as `prealloc` says; not between begin
     * and end. The size itself changes by one last write. Through flow/resize.h: it sees to the
     * zeros. NULL: "Image format driver does not support resize". */
    int (*resize)(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e);
    /* Store another backing file name and format (NULL: none), by one write. NULL: not supported.
     */
    int (*set_backing)(struct image *img, const char *name, const char *format, struct err *e);
    /* Nothing is allocated any more (after a commit). NULL: the core discards. */
    int (*empty)(struct image *img, struct err *e);

    /* Internal snapshots, each change by one last write; not between begin and end. NULL: none.
     * create: of the state as it is, `seconds` and `nanoseconds` since 1970; its id is chosen.
     * apply: the state becomes the snapshot's. id, name: as snapshots are
     * listed, exactly; several may have one name. */
    int (*snapshot_create)(struct image *img, const char *name, uint64_t seconds,
                           uint32_t nanoseconds, struct err *e);
    int (*snapshot_apply)(struct image *img, const char *id, struct err *e);
    int (*snapshot_delete)(struct image *img, const char *id, const char *name, struct err *e);
};

#endif
