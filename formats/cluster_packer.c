#include "formats/cluster_packer.h"

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"

struct packer {
    const struct codec *codec;
    void *state;
    size_t block_size;
};

void cluster_packer_free(struct packer *p)
{
    if (p && p->state)
        p->codec->encoder_free(p->state);
    free(p);
}

int cluster_packer_new(const struct codec *codec, int level, int window_bits, size_t block_size,
                       struct packer **out, struct err *e)
{
    struct packer *p = mem_new(1, sizeof *p, e);
    if (!p)
        return -1;
    p->codec = codec;
    p->block_size = block_size;
    if (codec->encoder_new(level, window_bits, &p->state, e)) {
        cluster_packer_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

/* What does not get smaller stays plain. */
int cluster_pack(struct packer *p, uint64_t guest, const void *block, void *out, size_t cap,
                 size_t *len, struct err *e)
{
    (void)guest;
    return p->codec->encode(p->state, block, p->block_size, out, num_min(cap, p->block_size - 1),
                            len, e);
}
