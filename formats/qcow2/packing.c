/* Encoded clusters in an image that is there: edit_packing of formats/edit.h. */
#include <errno.h>

#include "formats/cluster_packer.h"
#include "formats/edit.h"
#include "formats/qcow2/change.h"

static uint64_t qcow2_packing_block(struct image *img)
{
    return qcow2_of(img)->cluster_size;
}

static int qcow2_packing_new(struct image *img, int level, struct packer **out, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    if (q->crypt)
        return err_set(e, ENOTSUP, "Compression and encryption not supported at the same time");
    if (q->has_data_file)
        return err_set(e, ENOTSUP,
                       "Compression and an external data file not supported at the "
                       "same time");
    return cluster_packer_new(q->codec, level, CLUSTER_PACKER_WINDOW, q->cluster_size, out, e);
}

static int qcow2_packing_place(struct image *img, uint64_t guest, uint32_t len,
                               struct edit_place *out, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    (void)guest;
    if (qcow2_change_take_packed(q->change, len, &out->host, e))
        return -1;
    if ((out->host + len) >> qcow2_packed_bits(q->cluster_bits))
        return err_set(e, EFBIG, "File too large");
    out->file = q->file;
    return 0;
}

const struct edit_packing qcow2_packing = {
    .block = qcow2_packing_block,
    .packer_new = qcow2_packing_new,
    .packer_free = cluster_packer_free,
    .pack = cluster_pack,
    .place = qcow2_packing_place,
};
