/* writer_ops' encoder for clusters that stand packed as they come out of a codec (qcow, qcow2). */
#ifndef FORMATS_CLUSTER_PACKER_H
#define FORMATS_CLUSTER_PACKER_H

#include "formats/writer.h"

struct codec;

/* Bits: readers of these formats inflate with a window of 4 KiB. */
#define CLUSTER_PACKER_WINDOW 12

/* One thread's encoder of blocks of block_size bytes; `level` and `window_bits` as codec.h has
 * them. */
int cluster_packer_new(const struct codec *codec, int level, int window_bits, size_t block_size,
                       struct packer **out, struct err *e);
/* writer_ops.packer_free and pack */
void cluster_packer_free(struct packer *p);
int cluster_pack(struct packer *p, uint64_t guest, const void *block, void *out, size_t cap,
                 size_t *len, struct err *e);

#endif
