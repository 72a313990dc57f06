/*
 * The Format Extension: a cluster of features, each with a header.
 *
 *     magic 8 │ MD5 of what follows 16 │ feature │ feature … │ end
 *
 * Features that we do not know change how the data is to be read, so they are refused. Dirty
 * bitmaps, the one known, do not.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/parallels/md5.h"
#include "formats/parallels/parallels.h"

#define EXT_MAGIC      UINT64_C(0xab234cef23dcea87)
#define EXT_HEAD       24u /* magic and checksum */
#define FEATURE_HEAD   24u /* magic 8, flags 8, size 4, unused 4 */
#define FEATURE_END    UINT64_C(0)
#define FEATURE_BITMAP UINT64_C(0x20385fae252cb34a)
#define BITMAP_HEAD    32u /* sectors 8, id 16, granularity 4, entries 4 */
#define PIECE          (64u * 1024)

/* What is left of the extension: read in pieces, a cluster may be large. */
struct reader {
    struct file *file;
    uint64_t at, left;
};

static int take(struct reader *r, void *buf, size_t n, struct err *e)
{
    if (n > r->left)
        return err_set(e, EINVAL,
                       "Can not read feature header, as remaining bytes (%" PRIu64
                       ") in Format Extension is less than Feature header size (%zu)",
                       r->left, n);
    if (file_read_padded(r->file, buf, n, r->at, NULL, e))
        return -1;
    r->at += n;
    r->left -= n;
    return 0;
}

/* ---- the checksum ---------------------------------------------------------------------------- */

static int check_sum(struct reader r, const uint8_t *expected, struct err *e)
{
    struct md5 sum;
    uint8_t is[MD5_SIZE];
    AUTO_FREE uint8_t *buf = mem_io(PIECE, e);
    if (!buf)
        return -1;
    md5_init(&sum);
    while (r.left) {
        size_t n = num_min(r.left, PIECE);
        if (take(&r, buf, n, e))
            return -1;
        md5_add(&sum, buf, n);
    }
    md5_end(&sum, is);
    if (!memcmp(is, expected, MD5_SIZE))
        return 0;
    return err_set(e, EINVAL,
                   "Wrong checksum in Format Extension header. Format extension is corrupted.");
}

/* ---- features -------------------------------------------------------------------------------- */

static int check_bitmap(struct reader r, uint32_t size, uint64_t sectors, struct err *e)
{
    uint8_t head[BITMAP_HEAD];
    if (size < BITMAP_HEAD)
        return err_set(e, EINVAL,
                       "Too small Bitmap Feature area in Parallels Format Extension: %" PRIu32
                       " bytes, expected at least %u bytes",
                       size, BITMAP_HEAD);
    if (take(&r, head, sizeof head, e))
        return -1;
    if (le64_load(head) != sectors)
        return err_set(e, EINVAL,
                       "Bitmap size (in sectors) %" PRIu64 " differs from disk size in sectors "
                       "%" PRIu64,
                       le64_load(head), sectors);
    if (le32_load(head + 28) > (size - BITMAP_HEAD) / 8)
        return err_set(e, EINVAL,
                       "Bitmaps feature corrupted: l1 table exceeds extension data_size");
    return 0;
}

static int check_features(struct reader r, uint64_t sectors, struct err *e)
{
    for (;;) {
        uint8_t head[FEATURE_HEAD];
        if (take(&r, head, sizeof head, e))
            return -1;
        uint64_t magic = le64_load(head), flags = le64_load(head + 8);
        uint32_t size = le32_load(head + 16);
        if (magic == FEATURE_END)
            return 0;
        if (flags)
            return err_set(e, ENOTSUP, "Flags for extension feature are unsupported");
        if (size > r.left)
            return err_set(e, EINVAL, "Feature data_size exceedes Format Extension cluster");
        if (magic != FEATURE_BITMAP)
            return err_set(e, ENOTSUP, "Unknown feature: 0x%" PRIx64, magic);
        if (check_bitmap(r, size, sectors, e))
            return -1;
        uint64_t whole = num_min(num_up(size, 8), r.left);
        r.at += whole;
        r.left -= whole;
    }
}

int parallels_extension_check(struct file *f, const struct parallels_header *h, struct err *e)
{
    uint64_t cluster = parallels_cluster_bytes(h), at = 0, magic;
    uint8_t head[EXT_HEAD];
    struct reader r = {.file = f, .left = cluster};
    if (!num_mul(h->ext_offset, PARALLELS_SECTOR, &at) || at > INT64_MAX - cluster)
        return err_set(e, EINVAL, "Format Extension at sector %" PRIu64 " is out of range",
                       h->ext_offset);
    r.at = at;
    if (take(&r, head, sizeof head, e))
        return -1;
    magic = le64_load(head);
    if (magic != EXT_MAGIC)
        return err_set(e, EINVAL,
                       "Wrong parallels Format Extension magic: 0x%" PRIx64
                       ", expected: 0x%" PRIx64,
                       magic, EXT_MAGIC);
    return check_sum(r, head + 8, e) ? -1 : check_features(r, h->sectors, e);
}
