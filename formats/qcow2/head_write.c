/* The header of an image that is there: one write makes a change come about. */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

int qcow2_header_write(struct qcow2 *q, struct err *e)
{
    uint8_t buf[QCOW2_HEADER_V3] = {0};
    const struct qcow2_header *h = &q->head.header;
    qcow2_header_store(h, buf);
    size_t n = num_min(h->version < 3 ? QCOW2_HEADER_V2 : h->header_length, sizeof buf);
    return file_write(q->file, buf, n, 0, e);
}

int qcow2_head_write(struct qcow2 *q, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(q->cluster_size, e);
    if (!buf || qcow2_head_store(&q->head, buf, q->cluster_size, e))
        return -1;
    return file_write(q->file, buf, q->cluster_size, 0, e);
}
