/*
 * An extent: a run of guest bytes and where they are.
 *
 * A driver answers *where*; the core moves the bytes. See image/image.h for who calls whom.
 */
#ifndef IMAGE_EXTENT_H
#define IMAGE_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct codec;
struct crypt;
struct image;

enum extent_kind {
    EXTENT_HOLE,  /* not allocated in this image: ask the backing image, else zeros */
    EXTENT_ZERO,  /* reads as zeros, whatever the backing image holds */
    EXTENT_DATA,  /* plain bytes at file + host */
    EXTENT_PACKED /* part of one encoded block: packed_len bytes at file + host */
};

struct extent {
    enum extent_kind kind;
    uint64_t guest;  /* where it begins in the image; set by the core */
    uint64_t length; /* guest bytes, > 0 */

    struct file *file; /* DATA, PACKED; ZERO and HOLE if has_host. Borrowed from the image */
    uint64_t host;  /* offset in file of the extent's first byte (PACKED: of the encoded block) */
    bool has_host;  /* ZERO, HOLE: space is there all the same (preallocated); DATA: always */
    bool file_hole; /* DATA that the file below is known not to store: reads as zeros */
    bool past_end;  /* ZERO only because the backing image ends before: no image holds anything */
    /* DATA, PACKED: the file may end inside its last unit of so many bytes (the cluster size, a
     * power of two): what lacks there reads as zeros. 0: reading past the file's end is an error.
     */
    uint32_t tail;

    /* DATA whose bytes in the file are encrypted (formats/crypt/crypt.h); NULL: they are not.
     * crypt_at is the byte that the first sector's initialisation vector counts from: a guest
     * offset for some formats, a host offset for others. Whole sectors, but where a part of them is
     * asked for: then crypt_at says where in its sector the extent begins, and host does not lie
     * before that.
     */
    const struct crypt *crypt;
    uint64_t crypt_at;

    /* PACKED only */
    const struct codec *codec;
    uint32_t packed_len;   /* bytes to read at host; the stream may end before */
    uint32_t block_size;   /* decoded size of the block */
    uint32_t block_offset; /* where in the decoded block this extent begins */

    /* set by image_map_chain: which image of the chain holds it, and how deep (0 = the image asked;
     * one more than the last for HOLE in the whole chain) */
    struct image *image;
    unsigned depth;
};

#endif
