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

/* Only what differs: a small change stays inside a sector, which storage writes as a whole. */
int qcow2_head_write(struct qcow2 *q, struct err *e)
{
    size_t from = 0, to = q->cluster_size;
    AUTO_FREE uint8_t *was = mem_io(to, e);
    AUTO_FREE uint8_t *buf = mem_io(to, e);
    if (!was || !buf || file_read_padded(q->file, was, to, 0, NULL, e) ||
        qcow2_head_store(&q->head, buf, to, e))
        return -1;
    while (from < to && buf[from] == was[from])
        from++;
    while (to > from && buf[to - 1] == was[to - 1])
        to--;
    return from < to ? file_write(q->file, buf + from, to - from, from, e) : 0;
}
