#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "formats/qcow/qcow.h"

static void fields_load(const uint8_t *b, struct qcow_header *h)
{
    h->backing_offset = be64_load(b + 8);
    h->backing_length = be32_load(b + 16);
    h->size = be64_load(b + 24);
    h->cluster_bits = b[32];
    h->l2_bits = b[33];
    h->crypt_method = be32_load(b + 36);
    h->l1_offset = be64_load(b + 40);
}

/* The time at offset 20 is left 0, as qemu does. */
void qcow_header_store(const struct qcow_header *h, uint8_t b[QCOW_HEADER])
{
    memset(b, 0, QCOW_HEADER);
    be32_store(b, QCOW_MAGIC);
    be32_store(b + 4, QCOW_VERSION);
    be64_store(b + 8, h->backing_offset);
    be32_store(b + 16, h->backing_length);
    be64_store(b + 24, h->size);
    b[32] = h->cluster_bits;
    b[33] = h->l2_bits;
    be32_store(b + 36, h->crypt_method);
    be64_store(b + 40, h->l1_offset);
}

static int version_check(uint32_t version, struct err *e)
{
    if (version == QCOW_VERSION)
        return 0;
    err_set(e, ENOTSUP, "qcow (v1) does not support qcow version %" PRIu32, version);
    return version == 2 || version == 3 ? err_hint(e, "Try the 'qcow2' driver instead.") : -1;
}

static int limits_check(const struct qcow_header *h, struct err *e)
{
    if (h->size <= 1)
        return err_set(e, EINVAL, "Image size is too small (must be at least 2 bytes)");
    if (h->cluster_bits < QCOW_MIN_CLUSTER_BITS || h->cluster_bits > QCOW_MAX_CLUSTER_BITS)
        return err_set(e, EINVAL, "Cluster size must be between 512 and 64k");
    if (h->l2_bits < QCOW_MIN_L2_BITS || h->l2_bits > QCOW_MAX_L2_BITS)
        return err_set(e, EINVAL, "L2 table size must be between 512 and 64k");
    if (h->crypt_method > QCOW_CRYPT_AES)
        return err_set(e, EINVAL, "invalid encryption method in qcow header");
    if (qcow_l1_entries(h) > QCOW_MAX_L1)
        return err_set(e, EINVAL, "Image too large");
    if (h->backing_offset && h->backing_length > QCOW_MAX_BACKING)
        return err_set(e, EINVAL, "Backing file name too long");
    return 0;
}

int qcow_header_load(const uint8_t b[QCOW_HEADER], struct qcow_header *out, struct err *e)
{
    struct qcow_header h = {0};
    if (be32_load(b) != QCOW_MAGIC)
        return err_set(e, EINVAL, "Image not in qcow format");
    if (version_check(be32_load(b + 4), e))
        return -1;
    fields_load(b, &h);
    if (limits_check(&h, e))
        return -1;
    *out = h;
    return 0;
}
