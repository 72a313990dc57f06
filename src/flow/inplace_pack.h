/* Chunks that go into an existing image encoded, block by block, where that makes them smaller. */
#ifndef FLOW_INPLACE_PACK_H
#define FLOW_INPLACE_PACK_H

#include "flow/inplace_chunk.h"

/* After inplace_cut: the blocks that are asked for are filled with what the image holds besides,
 * and encoded: chunk.need says which, chunk.packed has their bytes. */
int inplace_pack(const struct inplace_rules *rules, struct packer *packer, struct image_reader *r,
                 struct inplace_slot *s, struct err *e);

#endif
