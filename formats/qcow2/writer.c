/* qcow2_writer: a fresh image, from its options to its header. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/cluster_packer.h"
#include "formats/codec/codec.h"
#include "formats/crypt/passphrase.h"
#include "formats/qcow2/meta.h"
#include "io/pages.h"

struct qcow2_writer {
    struct writer w;
    struct qcow2_create create;
    struct qcow2_layout layout;
    struct file *file;      /* borrowed */
    struct file *data_file; /* the external one, or NULL */
    char *backing_name, *backing_format, *data_name;
    const struct codec *codec;
    int level;
    struct crypt *crypt;     /* or NULL */
    uint8_t *crypto;         /* rank 0: the LUKS header, layout.crypto_bytes; or NULL */
    struct qcow2_meta *meta; /* rank 0; made when first needed */
};

static struct qcow2_writer *writer_of(const struct writer *w)
{
    return (struct qcow2_writer *)w; /* w is its first member */
}

/* ---- opening --------------------------------------------------------------------------------- */

static void qcow2_writer_free(struct writer *base)
{
    struct qcow2_writer *w = writer_of(base);
    if (!w)
        return;
    struct err late = ERR_INIT; /* finish has synced it */
    file_close(w->data_file, &late);
    qcow2_meta_free(w->meta);
    crypt_free(w->crypt);
    free(w->crypto);
    free(w->backing_name);
    free(w->backing_format);
    free(w->data_name);
    free(w);
}

static void writer_cleanup(struct qcow2_writer **w)
{
    qcow2_writer_free(*w ? &(*w)->w : NULL);
}

/* Rank 0 makes it, the others open what it made. The name is the user's: as qemu takes it, it
 * counts from where we run, not from the image's folder. */
static int data_file_open(struct qcow2_writer *w, const struct writer_params *p, struct err *e)
{
    if (writer_member(p, w->data_name, &w->data_file, e))
        return -1;
    w->w.data_file = w->data_file;
    return p->first ? file_truncate(w->data_file, w->layout.size, e) : 0;
}

static int preallocate(struct qcow2_writer *w, struct err *e)
{
    static const enum file_prealloc how[] = {
        [QCOW2_PREALLOC_OFF] = FILE_PREALLOC_OFF,
        [QCOW2_PREALLOC_METADATA] = FILE_PREALLOC_OFF,
        [QCOW2_PREALLOC_FALLOC] = FILE_PREALLOC_FALLOC,
        [QCOW2_PREALLOC_FULL] = FILE_PREALLOC_FULL,
    };
    uint64_t len = w->data_file ? w->layout.size : qcow2_layout_full_end(&w->layout);
    if (how[w->create.prealloc] == FILE_PREALLOC_OFF || !len)
        return 0;
    return file_preallocate(w->w.data_file, 0, len, how[w->create.prealloc], e);
}

/* The passphrase is needed for the old AES, and by rank 0 for its LUKS header. */
static int begin_crypt(struct qcow2_writer *w, const struct writer_params *p, struct err *e)
{
    const struct qcow2_create *c = &w->create;
    const uint8_t *pass;
    size_t len;
    if (!c->crypt)
        return 0;
    if (crypt_passphrase(p->secrets, c->key_secret, "encrypt.key-secret", &pass, &len, e))
        return -1;
    if (c->crypt == QCOW2_CRYPT_AES)
        return crypt_aes_legacy_new(pass, len, &w->crypt, e);
    if (luks_params_check(&c->luks, e) || luks_crypt_new(&c->luks, p->random, &w->crypt, e))
        return -1;
    return p->first ? luks_create(&c->luks, p->random, pass, len, &w->crypto, e) : 0;
}

static char *dup_or_null(const char *s, bool *failed, struct err *e)
{
    char *copy = s ? mem_strdup(s, e) : NULL;
    *failed |= s && !copy;
    return copy;
}

static int copy_names(struct qcow2_writer *w, const struct writer_params *p, struct err *e)
{
    bool failed = false;
    w->backing_name = dup_or_null(p->backing_name, &failed, e);
    w->backing_format = dup_or_null(p->backing_format, &failed, e);
    w->data_name = dup_or_null(w->create.data_file, &failed, e);
    w->create.data_file = w->data_name;
    return failed ? -1 : 0;
}

static int backing_fails(const char *name, const char *format, int no, struct err *e)
{
    return err_set(e, no, "Could not assign backing file '%s' with format '%s': %s", name,
                   format ? format : "", strerror(no));
}

static int check_params(const struct writer_params *p, const struct qcow2_create *c, struct err *e)
{
    if (p->backing_name && strlen(p->backing_name) > QCOW2_MAX_BACKING_NAME)
        return backing_fails(p->backing_name, p->backing_format, EINVAL, e);
    if (p->compress && c->data_file)
        return err_set(e, ENOTSUP,
                       "Compression and an external data file cannot be used at the "
                       "same time");
    return 0;
}

static void set_writer(struct qcow2_writer *w, const struct writer_params *p)
{
    w->file = p->file;
    w->level = p->level;
    w->codec = codec_find(w->create.zstd ? "zstd" : "deflate");
    w->w = (struct writer){
        .ops = &qcow2_writer,
        .block_size = (uint32_t)w->layout.cluster,
        .chunk_size = qcow2_layout_chunk(&w->layout),
        .data_file = p->file,
        .reserve = w->create.prealloc != QCOW2_PREALLOC_OFF,
        .zero_flag = w->create.version >= 3,
    };
}

static int qcow2_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    AUTO(writer_cleanup) struct qcow2_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    uint64_t size = p->size > UINT64_MAX - 511 ? p->size : num_up(p->size, 512);
    if (qcow2_create_parse(p->options, size, p->backing_name, p->backing_format, &w->create, e) ||
        check_params(p, &w->create, e) || copy_names(w, p, e))
        return -1;
    qcow2_layout_init(&w->layout, &w->create);
    set_writer(w, p);
    if (begin_crypt(w, p, e) || (w->data_name && data_file_open(w, p, e)))
        return -1;
    w->w.crypt = w->crypt;
    w->w.crypt_by_guest = w->create.crypt == QCOW2_CRYPT_AES;
    if (writer_begins(p) && preallocate(w, e))
        return -1;
    *out = &MEM_TAKE(w)->w;
    return 0;
}

/* ---- placing --------------------------------------------------------------------------------- */

static uint64_t first_block(const struct writer *w, uint64_t chunk)
{
    return chunk * (w->chunk_size / w->block_size);
}

static void qcow2_writer_begin(const struct writer *base, struct cursor *c)
{
    struct err none = ERR_INIT; /* only its placing could fail */
    qcow2_layout_begin(&writer_of(base)->layout, c, NULL, &none);
}

static int qcow2_writer_place(const struct writer *base, uint64_t chunk, const need_t *need,
                              size_t n, struct cursor *c, struct placing *out, struct err *e)
{
    return qcow2_layout_place(&writer_of(base)->layout, first_block(base, chunk), need, n, c, out,
                              e);
}

/* ---- metadata: rank 0 ------------------------------------------------------------------------ */

static int need_meta(struct qcow2_writer *w, struct err *e)
{
    return w->meta ? 0 : qcow2_meta_new(&w->layout, &w->create, w->file, &w->meta, e);
}

static int qcow2_writer_publish(struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                                const struct placing *placed, struct pages *pages, struct err *e)
{
    struct qcow2_writer *w = writer_of(base);
    if (need_meta(w, e))
        return -1;
    return qcow2_meta_publish(w->meta, first_block(base, chunk), need, n, placed, pages, e);
}

static bool qcow2_writer_takes_bitmaps(const struct writer *base)
{
    return writer_of(base)->create.version >= 3;
}

static int qcow2_writer_add_bitmap(struct writer *base, struct cursor *c, struct image *from,
                                   struct bitmap *b, struct pages *pages, struct err *e)
{
    struct qcow2_writer *w = writer_of(base);
    if (need_meta(w, e))
        return -1;
    return qcow2_meta_add_bitmap(w->meta, c, from, b, pages, e);
}

static void fill_header(const struct qcow2_writer *w, struct qcow2_header *h)
{
    const struct qcow2_create *c = &w->create;
    h->version = c->version;
    h->cluster_bits = c->cluster_bits;
    h->size = c->size;
    h->crypt_method = (uint32_t)c->crypt;
    h->refcount_order = c->refcount_order;
    h->compression_type = c->zstd ? QCOW2_CODEC_ZSTD : QCOW2_CODEC_DEFLATE;
    h->incompatible |= (w->data_file ? QCOW2_INCOMPAT_DATA_FILE : 0) |
                       (c->zstd ? QCOW2_INCOMPAT_COMPRESSION : 0) |
                       (c->extended_l2 ? QCOW2_INCOMPAT_EXTENDED_L2 : 0);
    h->compatible |= c->lazy ? QCOW2_COMPAT_LAZY : 0;
    h->autoclear |= c->data_file_raw ? QCOW2_AUTOCLEAR_DATA_RAW : 0;
}

static int fill_names(const struct qcow2_writer *w, struct qcow2_head *h, struct err *e)
{
    bool failed = false;
    h->backing_name = dup_or_null(w->backing_name, &failed, e);
    h->ext.backing_format = dup_or_null(w->backing_format, &failed, e);
    h->ext.data_file = dup_or_null(w->data_name, &failed, e);
    if (!failed && w->create.version >= 3 && w->layout.cluster >= QCOW2_FEATURES_MIN_CLUSTER) {
        h->ext.features = qcow2_features_new(e);
        h->ext.features_length = QCOW2_FEATURES_LENGTH;
        failed = !h->ext.features;
    }
    return failed ? -1 : 0;
}

static int put_crypto(const struct qcow2_writer *w, struct qcow2_head *h, struct pages *pages,
                      struct err *e)
{
    if (!w->crypto)
        return 0;
    h->ext.crypto_offset = w->layout.crypto_offset;
    h->ext.crypto_length = w->layout.crypto_bytes;
    return writer_put(w->file, pages, w->layout.crypto_offset, w->crypto, w->layout.crypto_bytes,
                      e);
}

/* The last write. A small cluster shares its page with what is written already. */
static int put_head(const struct qcow2_writer *w, struct qcow2_head *h, struct pages *pages,
                    struct err *e)
{
    size_t cluster = w->layout.cluster;
    AUTO_FREE uint8_t *buf = mem_io(cluster, e);
    if (!buf)
        return -1;
    if (qcow2_head_store(h, buf, cluster, e))
        return w->backing_name ? backing_fails(w->backing_name, w->backing_format, e->no, e) : -1;
    if (cluster < PAGES_SIZE)
        return file_write(w->file, buf, cluster, 0, e);
    return writer_put(w->file, pages, 0, buf, cluster, e);
}

static int qcow2_writer_finish(struct writer *base, struct cursor *c, struct pages *pages,
                               struct err *e)
{
    struct qcow2_writer *w = writer_of(base);
    AUTO(qcow2_head_release) struct qcow2_head head = {0};
    fill_header(w, &head.header);
    if (need_meta(w, e) || fill_names(w, &head, e) || put_crypto(w, &head, pages, e) ||
        qcow2_meta_finish(w->meta, c, pages, &head, e) ||
        (w->data_file && file_sync(w->data_file, e)) || file_sync(w->file, e))
        return -1;
    return put_head(w, &head, pages, e);
}

/* ---- packing --------------------------------------------------------------------------------- */

static int qcow2_packer_new(const struct writer *base, struct packer **out, struct err *e)
{
    const struct qcow2_writer *w = writer_of(base);
    return cluster_packer_new(w->codec, w->level, CLUSTER_PACKER_WINDOW, base->block_size, out, e);
}

const struct writer_ops qcow2_writer = {
    .open = qcow2_writer_open,
    .free = qcow2_writer_free,
    .begin = qcow2_writer_begin,
    .place = qcow2_writer_place,
    .publish = qcow2_writer_publish,
    .takes_bitmaps = qcow2_writer_takes_bitmaps,
    .add_bitmap = qcow2_writer_add_bitmap,
    .finish = qcow2_writer_finish,
    .packer_new = qcow2_packer_new,
    .packer_free = cluster_packer_free,
    .pack = cluster_pack,
};
