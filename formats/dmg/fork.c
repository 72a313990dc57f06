/* Resources stand one behind the other, each after its length: which of them are tables shows by
 * their magic, so the fork's own map is not needed. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "formats/dmg/dmg.h"

#define STREAM_PIECE (64 * KIB)

int dmg_stream(struct file *f, uint64_t offset, uint64_t len,
               int (*take)(void *ctx, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
               struct err *e)
{
    AUTO_FREE uint8_t *piece = mem_new(1, STREAM_PIECE, e);
    if (!piece)
        return -1;
    while (len) {
        size_t n = num_min(len, STREAM_PIECE);
        if (file_read(f, piece, n, offset, e) || take(ctx, piece, n, e))
            return -1;
        offset += n;
        len -= n;
    }
    return 0;
}

struct fork {
    struct dmg_mish *mish;
    uint8_t length[4]; /* of the next resource, as far as it is known */
    size_t have;
    uint64_t left;   /* of the resource that comes */
    uint64_t unread; /* of the fork's data */
};

static int fork_length(struct fork *k, uint8_t byte, struct err *e)
{
    k->length[k->have++] = byte;
    k->unread--;
    if (k->have < sizeof k->length)
        return 0;
    k->have = 0;
    k->left = be32_load(k->length);
    if (k->left > k->unread)
        return err_set(e, EINVAL, "Resource is outside of the resource fork");
    dmg_mish_begin(k->mish);
    return 0;
}

static int fork_take(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
    struct fork *k = ctx;
    while (n) {
        size_t part = k->left ? num_min(n, k->left) : 1;
        if (!k->left) {
            if (fork_length(k, *bytes, e))
                return -1;
        } else {
            if (dmg_mish_feed(k->mish, bytes, part, e))
                return -1;
            k->left -= part;
            k->unread -= part;
        }
        bytes += part;
        n -= part;
    }
    return 0;
}

int dmg_fork_read(struct file *f, uint64_t offset, uint64_t len, struct dmg_mish *m, struct err *e)
{
    uint8_t head[16];
    if (len < sizeof head)
        return err_set(e, EINVAL, "Resource fork is too short");
    if (file_read(f, head, sizeof head, offset, e))
        return err_prefix(e, "Could not read the resource fork: ");
    uint64_t data = be32_load(head), data_len = be32_load(head + 8);
    struct fork k = {.mish = m, .unread = data_len};
    if (!num_inside(data, data_len, len))
        return err_set(e, EINVAL, "Resources are outside of the resource fork");
    return dmg_stream(f, offset + data, data_len, fork_take, &k, e);
}
