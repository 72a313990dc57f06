/*
 * luks: a LUKS 1 header (formats/crypt/luks.h), behind it the guest's bytes, encrypted in place.
 * Nothing says that a part of it is absent: all is data, zeros too.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/amend.h"
#include "formats/crypt/luks.h"
#include "formats/crypt/passphrase.h"
#include "formats/edit.h"
#include "formats/format.h"
#include "formats/safety.h"
#include "formats/writer.h"

#define LUKS_CHUNK (1 * MIB)
#define FILE_MAX   (INT64_MAX - GIB + 1) /* as the original has it */

struct luks {
    struct luks_header header;
    struct luks_key key;
    struct crypt *crypt; /* NULL: opened for its metadata alone */
};

/* ---- reading --------------------------------------------------------------------------------- */

static int luks_probe_format(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return luks_probe(head, n) ? 100 : 0;
}

static int luks_open_key(struct image *img, const struct luks_area *area, struct err *e)
{
    struct luks *s = img->state;
    const char *id = json_string_value(json_object_get(img->spec, "key-secret"));
    const uint8_t *pass;
    size_t len;
    if (img->flags.no_io)
        return 0;
    if (crypt_passphrase(img->flags.secrets, id, "key-secret", &pass, &len, e))
        return -1;
    if (luks_find_key(area, &s->header, pass, len, &s->key, e))
        return -1;
    return crypt_sectors_new(&s->header.spec, s->key.master, s->header.key_len, &s->crypt, e);
}

static void luks_close(struct image *img)
{
    struct luks *s = img->state;
    img->state = NULL;
    if (!s)
        return;
    crypt_free(s->crypt);
    explicit_bzero(&s->key, sizeof s->key);
    free(s);
}

static int luks_open_steps(struct image *img, struct err *e)
{
    struct luks *s = img->state;
    uint64_t size = file_size(img->file);
    struct luks_area area = {.file = img->file, .length = num_max(size, LUKS_HEADER)};
    if (luks_header_read(&area, &s->header, e))
        return -1;
    area.length = s->header.payload;
    if (luks_open_key(img, &area, e))
        return -1;
    if (size < s->header.payload)
        return err_errno(e, EIO, "Could not refresh total sector count");
    img->size = num_up(size - s->header.payload, CRYPT_SECTOR);
    img->encrypted = true;
    return 0;
}

static int luks_open(struct image *img, struct err *e)
{
    img->state = mem_new(1, sizeof(struct luks), e);
    if (!img->state)
        return -1;
    if (!luks_open_steps(img, e))
        return 0;
    luks_close(img);
    return -1;
}

static int luks_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                    struct err *e)
{
    const struct luks *s = img->state;
    if (!s->crypt)
        return err_set(e, EINVAL, "The image was opened for its metadata alone");
    out->kind = EXTENT_DATA;
    out->length = length;
    out->file = img->file;
    out->host = s->header.payload + guest;
    out->tail = CRYPT_SECTOR;
    out->crypt = s->crypt;
    out->crypt_at = guest;
    return 0;
}

static int luks_info_format(struct image *img, struct format_info *out, struct err *e)
{
    const struct luks *s = img->state;
    out->has_dirty = true;
    out->specific = luks_info(&s->header, false);
    return out->specific ? 0 : err_nomem(e);
}

/* ---- create options -------------------------------------------------------------------------- */

static const struct option_def luks_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"key-secret", OPTION_STR, "ID of the secret that provides the keyslot passphrase", NULL},
    {"cipher-alg", OPTION_STR, "Name of encryption cipher algorithm", NULL},
    {"cipher-mode", OPTION_STR, "Name of encryption cipher mode", NULL},
    {"ivgen-alg", OPTION_STR, "Name of IV generator algorithm", NULL},
    {"ivgen-hash-alg", OPTION_STR, "Name of IV generator hash algorithm", NULL},
    {"hash-alg", OPTION_STR, "Name of encryption hash algorithm", NULL},
    {"iter-time", OPTION_NUM, "Time to spend in PBKDF in milliseconds", NULL},
    {NULL, 0, NULL, NULL},
};

/* There is no metadata to preallocate: it is the same as off. */
static int luks_preallocation(const struct options *o, enum file_prealloc *out, struct err *e)
{
    const char *mode = options_str(o, "preallocation", "off");
    *out = FILE_PREALLOC_OFF;
    if (!strcmp(mode, "off") || !strcmp(mode, "metadata"))
        return 0;
    *out = !strcmp(mode, "full") ? FILE_PREALLOC_FULL : FILE_PREALLOC_FALLOC;
    if (!strcmp(mode, "full") || !strcmp(mode, "falloc"))
        return 0;
    return err_set(e, EINVAL, "invalid parameter value: %s", mode);
}

/* The secret is looked up before anything is said of what the options ask for. */
static int luks_measure(const struct options *o, uint64_t size, struct image *src,
                        struct measure_result *out, struct err *e)
{
    struct luks_params p;
    if (luks_params_parse(o, "", &p, e))
        return -1;
    if (!options_str(o, "key-secret", NULL))
        return err_set(e, EINVAL, "Parameter 'key-secret' is required for cipher");
    if (luks_params_check(&p, e))
        return -1;
    size = src ? src->size : size;
    if (size > INT64_MAX - luks_payload(&p))
        return err_set(e, EFBIG, "The requested file size is too large");
    out->required = out->fully_allocated = luks_payload(&p) + size;
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct luks_writer {
    struct writer writer;
    struct crypt *crypt;
    uint8_t *header;   /* rank 0: luks_payload() bytes, written when all else is */
    uint64_t file_end; /* length of the file */
};

static void luks_writer_free(struct writer *base)
{
    struct luks_writer *w = (struct luks_writer *)base; /* its first member */
    crypt_free(w->crypt);
    free(w->header);
    free(w);
}

/* Before any data comes: a lack of space shows early. A device keeps its size. */
static int luks_reserve(struct file *f, uint64_t size, enum file_prealloc mode, struct err *e)
{
    if (!file_is_regular(f))
        return file_size(f) >= size ? 0 : err_set(e, ENOSPC, "Device is too small");
    if (mode != FILE_PREALLOC_OFF && file_preallocate(f, 0, size, mode, e))
        return -1;
    return file_size(f) == size ? 0 : file_truncate(f, size, e);
}

/* Rank 0: the passphrase is needed here alone. */
static int luks_begin_file(struct luks_writer *w, const struct writer_params *p,
                           const struct luks_params *params, const uint8_t *pass, size_t len,
                           enum file_prealloc mode, struct err *e)
{
    return luks_create(params, p->random, pass, len, &w->header, e) ||
                   luks_reserve(p->file, w->file_end, mode, e)
               ? -1
               : 0;
}

static int luks_writer_steps(struct luks_writer *w, const struct writer_params *p, struct err *e)
{
    struct luks_params params;
    enum file_prealloc mode;
    const char *id = options_str(p->options, "key-secret", NULL);
    const uint8_t *pass = NULL;
    size_t len = 0;
    if (luks_params_parse(p->options, "", &params, e) || luks_preallocation(p->options, &mode, e) ||
        crypt_passphrase(p->secrets, id, "key-secret", &pass, &len, e) ||
        luks_params_check(&params, e))
        return -1;
    uint64_t payload = luks_payload(&params);
    if (p->size > INT64_MAX - payload)
        return err_set(e, EFBIG, "The requested file size is too large");
    w->file_end = payload + p->size;
    if (luks_crypt_new(&params, p->random, &w->crypt, e) ||
        (p->first && luks_begin_file(w, p, &params, pass, len, mode, e)))
        return -1;
    w->writer.chunk_size = LUKS_CHUNK;
    w->writer.in_place = true;
    w->writer.data_offset = payload;
    w->writer.data_file = p->file;
    w->writer.crypt = w->crypt;
    return 0;
}

static int luks_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    struct luks_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    if (luks_writer_steps(w, p, e)) {
        luks_writer_free(&w->writer);
        return -1;
    }
    *out = &w->writer;
    return 0;
}

static void luks_begin(const struct writer *w, struct cursor *c)
{
    (void)w;
    *c = (struct cursor){0};
}

/* O_DIRECT may have written beyond the end. */
static int luks_finish(struct writer *base, struct cursor *c, struct pages *pages, struct err *e)
{
    struct luks_writer *w = (struct luks_writer *)base;
    struct file *f = base->data_file;
    (void)c;
    if (file_is_regular(f) && file_size(f) != w->file_end && file_truncate(f, w->file_end, e))
        return -1;
    if (file_sync(f, e) || writer_put(f, pages, 0, w->header, base->data_offset, e))
        return -1;
    return file_sync(f, e);
}

static const struct writer_ops luks_writer_ops = {
    .open = luks_writer_open,
    .free = luks_writer_free,
    .begin = luks_begin,
    .finish = luks_finish,
};

/* ---- changing what is there ------------------------------------------------------------------ */

/* Every byte has its place, and zeros are bytes like others: they are encrypted. */
static int luks_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                      struct err *e)
{
    const struct luks *s = img->state;
    if (!s->crypt)
        return err_set(e, EINVAL, "The image was opened for its metadata alone");
    out->length = length;
    out->file = img->file;
    out->host = s->header.payload + guest;
    out->crypt = s->crypt;
    out->crypt_at = guest;
    return 0;
}

static int luks_flush(struct image *img, struct err *e)
{
    return file_sync(img->file, e);
}

/* What is new is whatever the file's zeros decrypt to. */
static int luks_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    const struct luks *s = img->state;
    uint64_t old = file_size(img->file), end;
    enum file_prealloc how =
        prealloc == EDIT_PREALLOC_FULL ? FILE_PREALLOC_FULL : FILE_PREALLOC_FALLOC;
    if (!num_add(s->header.payload, size, &end) || end > FILE_MAX)
        return err_set(e, EFBIG, "offset(%" PRIu64 ") exceeds maximum(%" PRIu64 ")", end, FILE_MAX);
    if (prealloc == EDIT_PREALLOC_METADATA)
        return err_set(e, ENOTSUP, "Unsupported preallocation mode: metadata");
    if (!file_is_regular(img->file))
        return end <= old ? 0 : err_set(e, EINVAL, "Cannot grow device files");
    if (file_truncate(img->file, end, e) || (prealloc != EDIT_PREALLOC_OFF && end > old &&
                                             file_preallocate(img->file, old, end - old, how, e)))
        return -1;
    img->size = num_up(size, CRYPT_SECTOR);
    return 0;
}

static const struct edit_ops luks_edit = {
    .place = luks_place,
    .flush = luks_flush,
    .resize = luks_resize,
};

/* ---- changing key slots ---------------------------------------------------------------------- */

static const struct option_def luks_amend_options[] = {
    LUKS_AMEND_OPTIONS(""),
    {NULL, 0, NULL, NULL},
};

static int luks_amend_run(struct image *img, const struct amend_request *r, struct err *e)
{
    struct luks *s = img->state;
    const struct luks_area area = {.file = img->file, .length = s->header.payload};
    struct luks_amend *plan = NULL;
    if (luks_amend_plan(&area, &s->header, &s->key, r->options, "", img->flags.secrets, r->force,
                        &plan, e))
        return -1;
    int rc = luks_amend_apply(&area, &s->header, plan, e);
    luks_amend_free(plan);
    return rc;
}

static const struct amend_ops luks_amend = {
    .options = luks_amend_options,
    .run = luks_amend_run,
};

static const char *const luks_runtime_options[] = {"key-secret", NULL};

/* Version 2 is known by its first bytes, but nothing here reads it. */
static int luks_check_version(const struct safety_subject *s, struct err *e)
{
    unsigned version = be16_load(s->head + 6);
    return version == 1 ? 0 : err_set(e, ENOTSUP, "LUKS version %u is not supported", version);
}

static const struct safety_check luks_safety[] = {
    {.name = "luks.version", .help = "The version is 1", .file = luks_check_version}, {0}};

const struct format format_luks = {
    .name = "luks",
    .probe = luks_probe_format,
    .safety = luks_safety,
    .runtime_options = luks_runtime_options,
    .open = luks_open,
    .close = luks_close,
    .map = luks_map,
    .info = luks_info_format,
    .create_options = luks_create_options,
    .measure = luks_measure,
    .writer = &luks_writer_ops,
    .edit = &luks_edit,
    .amend = &luks_amend,
};
