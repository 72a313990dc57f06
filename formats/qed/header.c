#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/qed/qed.h"

static void fields_load(const uint8_t *b, struct qed_header *h)
{
    h->cluster_size = le32_load(b + 4);
    h->table_size = le32_load(b + 8);
    h->header_size = le32_load(b + 12);
    h->features = le64_load(b + 16);
    h->compat_features = le64_load(b + 24);
    h->autoclear_features = le64_load(b + 32);
    h->l1_offset = le64_load(b + 40);
    h->size = le64_load(b + 48);
    h->backing_offset = le32_load(b + 56);
    h->backing_length = le32_load(b + 60);
}

void qed_header_store(const struct qed_header *h, uint8_t b[QED_HEADER])
{
    le32_store(b, QED_MAGIC);
    le32_store(b + 4, h->cluster_size);
    le32_store(b + 8, h->table_size);
    le32_store(b + 12, h->header_size);
    le64_store(b + 16, h->features);
    le64_store(b + 24, h->compat_features);
    le64_store(b + 32, h->autoclear_features);
    le64_store(b + 40, h->l1_offset);
    le64_store(b + 48, h->size);
    le32_store(b + 56, h->backing_offset);
    le32_store(b + 60, h->backing_length);
}

uint64_t qed_size_max(const struct qed_header *h)
{
    uint64_t entries = qed_table_bytes(h) / 8, bytes;
    return num_mul(entries * entries, h->cluster_size, &bytes) ? bytes : UINT64_MAX;
}

static int geometry_check(const struct qed_header *h, struct err *e)
{
    if (!num_is_pow2(h->cluster_size) || h->cluster_size < QED_MIN_CLUSTER ||
        h->cluster_size > QED_MAX_CLUSTER)
        return err_set(e, EINVAL, "QED cluster size is invalid");
    if (!num_is_pow2(h->table_size) || h->table_size > QED_MAX_TABLE)
        return err_set(e, EINVAL, "QED table size is invalid");
    if (h->size % 512 || h->size > qed_size_max(h))
        return err_set(e, EINVAL, "QED image size is invalid");
    return 0;
}

int qed_header_load(const uint8_t buf[QED_HEADER], struct qed_header *out, struct err *e)
{
    struct qed_header h;
    if (le32_load(buf) != QED_MAGIC)
        return err_set(e, EINVAL, "Image not in QED format");
    fields_load(buf, &h);
    if (h.features & ~QED_FEATURES)
        return err_set(e, ENOTSUP, "Unsupported QED features: %" PRIx64,
                       h.features & ~QED_FEATURES);
    if (geometry_check(&h, e))
        return -1;
    if ((h.features & QED_BACKING) &&
        !num_inside(h.backing_offset, h.backing_length, qed_header_bytes(&h)))
        return err_set(e, EINVAL, "QED backing filename offset is invalid");
    *out = h;
    return 0;
}

int qed_header_update(struct file *f, const struct qed_header *h, struct err *e)
{
    uint8_t buf[QED_HEADER];
    qed_header_store(h, buf);
    return file_write(f, buf, sizeof buf, 0, e);
}

bool qed_offset_valid(const struct qed_header *h, uint64_t offset, uint64_t bytes, uint64_t limit)
{
    return offset % h->cluster_size == 0 && offset >= qed_header_bytes(h) &&
           num_inside(offset, bytes, limit);
}
