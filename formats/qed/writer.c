/* qed_writer: a fresh image, from its options to its header. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/driver_names.h"
#include "formats/qed/qed.h"
#include "formats/tree_writer.h"

const struct option_def qed_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"backing_file", OPTION_STR, "File name of a base image", NULL},
    {"backing_fmt", OPTION_STR, "Image format of the base image", NULL},
    {"cluster_size", OPTION_SIZE, "Cluster size (in bytes)", "65536"},
    {"table_size", OPTION_SIZE, "L1/L2 table size (in clusters)", NULL},
    {NULL, 0, NULL, NULL},
};

#define TABLE_CLUSTERS 4

struct qed_writer {
    struct tree_writer tree; /* first: the core's pointer is to its writer */
    struct qed_header header;
    char *backing_name; /* NULL: none */
};

/* ---- create options -------------------------------------------------------------------------- */

static int geometry_parse(const struct options *o, struct qed_header *h, struct err *e)
{
    uint64_t cluster = options_size(o, "cluster_size", 65536);
    uint64_t table = options_size(o, "table_size", TABLE_CLUSTERS);
    if (!num_is_pow2(cluster) || cluster < QED_MIN_CLUSTER || cluster > QED_MAX_CLUSTER)
        return err_set(e, EINVAL,
                       "QED cluster size must be within range [%" PRIu32 ", %" PRIu32
                       "] and power of 2",
                       QED_MIN_CLUSTER, QED_MAX_CLUSTER);
    if (!num_is_pow2(table) || table > QED_MAX_TABLE)
        return err_set(e, EINVAL, "QED table size must be within range [1, %u] and power of 2",
                       QED_MAX_TABLE);
    h->cluster_size = (uint32_t)cluster;
    h->table_size = (uint32_t)table;
    return 0;
}

/* What qemu works out modulo 2^64: it does not open an image that is larger, so none is made. */
static int size_parse_header(uint64_t size, struct qed_header *h, struct err *e)
{
    uint64_t entries = qed_table_bytes(h) / 8;
    uint64_t max = entries * entries * h->cluster_size;
    h->size = size > UINT64_MAX - 511 ? UINT64_MAX : num_up(size, 512);
    if (h->size <= max)
        return 0;
    return err_set(e, EINVAL,
                   "QED image size must be a non-zero multiple of cluster size and less than "
                   "%" PRIu64 " bytes",
                   max);
}

static int backing_parse(const struct writer_params *p, struct qed_writer *w, struct err *e)
{
    struct qed_header *h = &w->header;
    if (!p->backing_name)
        return 0;
    size_t length = strlen(p->backing_name);
    if (length > num_min(QED_MAX_BACKING, h->cluster_size - QED_HEADER))
        return err_set(e, EINVAL, "Backing file name too long");
    h->features |= QED_BACKING;
    if (p->backing_format && !strcmp(p->backing_format, "raw"))
        h->features |= QED_BACKING_RAW;
    h->backing_offset = QED_HEADER;
    h->backing_length = (uint32_t)length;
    w->backing_name = mem_strdup(p->backing_name, e);
    return w->backing_name ? 0 : -1;
}

static int header_parse(const struct writer_params *p, struct qed_writer *w, struct err *e)
{
    struct qed_header *h = &w->header;
    enum file_prealloc none; /* the file grows as it is written: the mode must only be one */
    if (file_create_prealloc(p->options, &none, e))
        return -1;
    if (p->backing_format && !driver_name_known(p->backing_format))
        return err_set(e, EINVAL, "Parameter 'backing-fmt' does not accept value '%s'",
                       p->backing_format);
    if (geometry_parse(p->options, h, e) || size_parse_header(p->size, h, e))
        return -1;
    h->header_size = 1;
    h->l1_offset = h->cluster_size;
    return backing_parse(p, w, e);
}

/* ---- the writer ------------------------------------------------------------------------------ */

static void qed_writer_free(struct writer *base)
{
    struct qed_writer *w = (struct qed_writer *)base;
    if (!w)
        return;
    tree_writer_release(&w->tree);
    free(w->backing_name);
    free(w);
}

/* A block that reads from a backing image where nothing is written must be written whole. */
static void tree_set(struct qed_writer *w, struct file *file)
{
    const struct qed_header *h = &w->header;
    uint64_t table = qed_table_bytes(h), cover = table / 8 * h->cluster_size;
    w->tree.layout = (struct layout){
        .unit = w->backing_name ? h->cluster_size : layout_unit(h->cluster_size),
        .block = h->cluster_size,
        .align = h->cluster_size,
        .begin = h->l1_offset + table,
        .table_blocks = table / 8,
        .table_bytes = table,
    };
    w->tree.first_offset = h->l1_offset;
    w->tree.table_params.first_entries = num_div_up(h->size, cover);
    tree_writer_init(&w->tree, &qed_table_format, file);
    w->tree.writer.zero_flag = true;
}

static int qed_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    struct qed_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    if (header_parse(p, w, e)) {
        qed_writer_free(&w->tree.writer);
        return -1;
    }
    tree_set(w, p->file);
    *out = &w->tree.writer;
    return 0;
}

static int qed_writer_finish(struct writer *base, struct cursor *c, struct pages *pages,
                             struct err *e)
{
    struct qed_writer *w = (struct qed_writer *)base;
    size_t length = w->header.backing_length;
    AUTO_FREE uint8_t *head = mem_new(QED_HEADER + length, 1, e);
    if (!head || tree_writer_tables(&w->tree, c, pages, e))
        return -1;
    qed_header_store(&w->header, head);
    if (w->backing_name)
        memcpy(head + QED_HEADER, w->backing_name, length);
    return file_write(base->data_file, head, QED_HEADER + length, 0, e);
}

const struct writer_ops qed_writer = {
    .open = qed_writer_open,
    .free = qed_writer_free,
    .begin = tree_writer_begin,
    .place = tree_writer_place,
    .publish = tree_writer_publish,
    .finish = qed_writer_finish,
};
