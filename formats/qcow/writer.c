/* qcow_writer: a fresh image, from its options to its header. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/cluster_packer.h"
#include "formats/codec/codec.h"
#include "formats/crypt/crypt.h"
#include "formats/qcow/qcow.h"
#include "formats/tree_writer.h"

struct qcow_writer {
    struct tree_writer tree; /* first: the core's pointer is to its writer */
    struct qcow_header header;
    char *backing_name; /* NULL: none */
    struct crypt *crypt;
    const struct codec *codec;
    int level;
};

/* ---- opening --------------------------------------------------------------------------------- */

static void qcow_writer_free(struct writer *base)
{
    struct qcow_writer *w = (struct qcow_writer *)base;
    if (!w)
        return;
    tree_writer_release(&w->tree);
    crypt_free(w->crypt);
    free(w->backing_name);
    free(w);
}

static void tree_set(struct qcow_writer *w, struct file *file)
{
    const struct qcow_header *h = &w->header;
    uint64_t entries = UINT64_C(1) << h->l2_bits, l1 = qcow_l1_entries(h);
    w->tree.layout = (struct layout){
        .unit = qcow_cluster(h),
        .block = qcow_cluster(h),
        .align = qcow_cluster(h),
        .begin = num_up(h->l1_offset + l1 * 8, qcow_cluster(h)),
        .table_blocks = entries,
        .table_bytes = entries * 8,
        .packed_align = 1,
    };
    w->tree.first_offset = h->l1_offset;
    w->tree.packed_shift = qcow_packed_shift(h);
    w->tree.table_params.first_entries = l1;
    tree_writer_init(&w->tree, &qcow_table_format, file);
    w->tree.writer.crypt = w->crypt;
    w->tree.writer.crypt_by_guest = true;
}

static int params_take(struct qcow_writer *w, const struct writer_params *p, struct err *e)
{
    struct qcow_create c;
    if (qcow_create_parse(p, &c, e))
        return -1;
    w->header = c.header;
    w->level = p->level;
    w->codec = codec_find("deflate");
    if (p->backing_name && !(w->backing_name = mem_strdup(p->backing_name, e)))
        return -1;
    if (c.header.crypt_method == QCOW_CRYPT_NONE)
        return 0;
    return qcow_crypto_create(p->secrets, c.key_secret, &w->crypt, e);
}

static int qcow_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    struct qcow_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    if (params_take(w, p, e)) {
        qcow_writer_free(&w->tree.writer);
        return -1;
    }
    tree_set(w, p->file);
    *out = &w->tree.writer;
    return 0;
}

/* ---- placing, publishing --------------------------------------------------------------------- */

/* The place of a compressed cluster must fit below its length. */
static int qcow_writer_place(const struct writer *base, uint64_t chunk, const need_t *need,
                             size_t n, struct cursor *c, struct placing *out, struct err *e)
{
    const struct qcow_writer *w = (const struct qcow_writer *)base;
    if (tree_writer_place(base, chunk, need, n, c, out, e))
        return -1;
    if (c->end >> w->tree.packed_shift == 0)
        return 0;
    return err_set(e, EFBIG, "File too large");
}

static int qcow_writer_finish(struct writer *base, struct cursor *c, struct pages *pages,
                              struct err *e)
{
    struct qcow_writer *w = (struct qcow_writer *)base;
    size_t length = w->header.backing_length;
    AUTO_FREE uint8_t *head = mem_new(QCOW_HEADER + length, 1, e);
    if (!head || tree_writer_tables(&w->tree, c, pages, e))
        return -1;
    qcow_header_store(&w->header, head);
    if (w->backing_name)
        memcpy(head + QCOW_HEADER, w->backing_name, length);
    return file_write(base->data_file, head, QCOW_HEADER + length, 0, e);
}

/* ---- packing --------------------------------------------------------------------------------- */

static int qcow_packer_new(const struct writer *base, struct packer **out, struct err *e)
{
    const struct qcow_writer *w = (const struct qcow_writer *)base;
    return cluster_packer_new(w->codec, w->level, CLUSTER_PACKER_WINDOW, base->block_size, out, e);
}

const struct writer_ops qcow_writer = {
    .open = qcow_writer_open,
    .free = qcow_writer_free,
    .begin = tree_writer_begin,
    .place = qcow_writer_place,
    .publish = tree_writer_publish,
    .finish = qcow_writer_finish,
    .packer_new = qcow_packer_new,
    .packer_free = cluster_packer_free,
    .pack = cluster_pack,
};
