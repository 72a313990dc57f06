#include "formats/qcow2/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/qcow2.h"

#define BLOCKS_MAX (QCOW2_MAX_REFTABLE_BYTES / 8)

int qcow2_batch_init(struct qcow2_batch *b, size_t most, unsigned block_bits, struct err *e)
{
    *b = (struct qcow2_batch){.most = most, .block_bits = block_bits};
    b->of = mem_new(most, sizeof *b->of, e);
    b->spare = mem_new(most, sizeof *b->spare, e);
    return b->of && b->spare ? 0 : -1;
}

void qcow2_batch_release(struct qcow2_batch *b)
{
    free(b->of);
    free(b->spare);
}

void qcow2_batch_clear(struct qcow2_batch *b)
{
    b->n = 0;
    b->end = 0;
}

/* A reference stays inside a block, so that sorting by blocks is sorting. */
void qcow2_batch_add(struct qcow2_batch *b, uint64_t cluster, uint32_t n, uint32_t tag)
{
    struct qcow2_ref *last = b->n ? &b->of[b->n - 1] : NULL;
    if (last && last->cluster + last->n == cluster && last->tag + last->n == tag &&
        last->cluster >> b->block_bits == (cluster + n - 1) >> b->block_bits) {
        last->n += n;
        return;
    }
    b->of[b->n++] = (struct qcow2_ref){cluster, n, tag};
    b->end = num_max(b->end, (cluster >> b->block_bits) + 1);
}

int qcow2_batch_sort(struct qcow2_batch *b, struct err *e)
{
    if (b->end > BLOCKS_MAX)
        return err_set(e, EIO, "qcow2: Image is corrupt: a cluster is out of range");
    AUTO_FREE uint32_t *at = mem_new(b->end + 1, sizeof *at, e);
    if (!at)
        return -1;
    for (size_t i = 0; i < b->n; i++)
        at[(b->of[i].cluster >> b->block_bits) + 1]++;
    for (uint64_t k = 0; k < b->end; k++)
        at[k + 1] += at[k];
    for (size_t i = 0; i < b->n; i++)
        b->spare[at[b->of[i].cluster >> b->block_bits]++] = b->of[i];
    struct qcow2_ref *sorted = b->spare;
    b->spare = b->of;
    b->of = sorted;
    return 0;
}
