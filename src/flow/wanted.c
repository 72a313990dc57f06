#include "flow/wanted.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/size.h"
#include "formats/protocol.h"
#include "image/node.h"

#define SPARSE_MAX (16 * MIB)
#define SECTOR     512
#define LEVEL_MAX  19 /* zstd's; zlib ends at 9 */

/* ---- values ---------------------------------------------------------------------------------- */

int wanted_sparse(const char *text, uint64_t *out, struct err *e)
{
    if (size_take(text, "buffer size for sparse output", out, e))
        return -1;
    if (*out % SECTOR || *out > SPARSE_MAX)
        return err_set(e, EINVAL,
                       "Invalid buffer size for sparse output specified. Valid sizes are multiples "
                       "of %d up to %" PRIu64 ". Select 0 to disable sparse detection (fully "
                       "allocates output).",
                       SECTOR, SPARSE_MAX);
    return 0;
}

int wanted_level(const char *text, uint64_t *out, struct err *e)
{
    return size_count(text, "compression level", 1, LEVEL_MAX, out, e);
}

int wanted_max_size(const char *text, uint64_t *out, struct err *e)
{
    if (size_take(text, "largest size", out, e))
        return -1;
    return *out ? 0 : err_set(e, EINVAL, "The largest size cannot be 0");
}

int wanted_block_size(const char *text, uint64_t *out, struct err *e)
{
    if (size_take(text, "block size", out, e))
        return -1;
    if (num_is_pow2(*out) && *out >= BLKHASH_BLOCK_MIN && *out <= BLKHASH_BLOCK_MAX)
        return 0;
    return err_set(e, EINVAL,
                   "Invalid block size '%s': it must be a power of two between %u and %u", text,
                   BLKHASH_BLOCK_MIN, BLKHASH_BLOCK_MAX);
}

int wanted_hash(const char *text, struct blkhash_params *out, struct err *e)
{
    const char *name = text ? text : BLKHASH_ALGORITHM;
    size_t n = strcspn(name, "/");
    uint64_t size = BLKHASH_BLOCK;
    out->kind = digest_find(name, n, e);
    if (!out->kind || (name[n] && wanted_block_size(name + n + 1, &size, e)))
        return -1;
    out->block_size = (uint32_t)size;
    return 0;
}

/* ---- an image that is to be made ------------------------------------------------------------- */

const struct format *wanted_format(const char *name, struct err *e)
{
    const struct format *format = format_find(name);
    if (!format)
        err_set(e, EINVAL, "Unknown file format '%s'", name);
    return format;
}

const struct format *wanted_format_creatable(const char *name, struct err *e)
{
    const struct format *format = wanted_format(name, e);
    if (format && !format->create_options) {
        err_set(e, ENOTSUP, "Format driver '%s' does not support image creation", name);
        return NULL;
    }
    return format;
}

const char *wanted_protocol(const json_t *spec)
{
    const json_t *file = json_object_get(spec, "file");
    return spec ? json_string_value(json_object_get(file, "driver")) : "file";
}

json_t *wanted_spec(const char *name, struct err *e)
{
    json_t *spec = NULL;
    if (strncmp(name, "json:", 5) == 0)
        err_set(e, ENOENT, "Unknown protocol 'json'");
    else
        spec = image_spec_of_name(name, e);
    if (!spec || protocol_options_of(wanted_protocol(spec)))
        return spec;
    err_set(e, ENOTSUP, "Protocol driver '%s' does not support image creation",
            wanted_protocol(spec));
    json_decref(spec);
    return NULL;
}

int wanted_options(const struct format *format, const json_t *spec, const char *list,
                   struct options **out, struct err *e)
{
    static const struct option_def none[] = {{0}};
    const struct option_def *tables[] = {format->create_options ? format->create_options : none,
                                         protocol_options_of(wanted_protocol(spec)), NULL};
    AUTO(options_cleanup) struct options *o = options_new(tables, e);
    if (!o || options_parse(o, list, NULL, e))
        return -1;
    *out = MEM_TAKE(o);
    return 0;
}

static bool takes_backing(const struct format *format)
{
    const struct option_def *d = format->create_options;
    while (d && d->name && strcmp(d->name, "backing_file") != 0)
        d++;
    return d && d->name;
}

int wanted_backing(const struct format *format, struct options *o, const char *backing,
                   const char *backing_format, struct err *e)
{
    if ((backing || backing_format) && !takes_backing(format))
        return err_set(e, ENOTSUP, "Backing file %snot supported for file format '%s'",
                       backing ? "" : "format ", format->name);
    if (backing && options_set(o, "backing_file", backing, e))
        return -1;
    return backing_format ? options_set(o, "backing_fmt", backing_format, e) : 0;
}

/* ---- a conversion ---------------------------------------------------------------------------- */

int wanted_check_compress(const struct format *format, const struct options *o, struct err *e)
{
    const char *preallocation = options_str(o, "preallocation", "off");
    if (!format->supports_compression)
        return err_set(e, ENOTSUP, "Compression not supported for this file format");
    if (options_bool(o, "encryption", false) || options_str(o, "encrypt.format", NULL))
        return err_set(e, ENOTSUP, "Compression and encryption not supported at the same time");
    if (strcmp(preallocation, "off") != 0)
        return err_set(e, ENOTSUP, "Compression and preallocation not supported at the same time");
    return 0;
}

/* A backing file must come with its format, and there is no telling what it would mean for joined
 * sources. */
int wanted_check_backing(const struct options *o, unsigned n_sources, struct err *e)
{
    const char *backing = options_str(o, "backing_file", NULL);
    if (!backing)
        return 0;
    if (n_sources > 1)
        return err_set(e, EINVAL,
                       "Having a backing file for the target makes no sense when concatenating "
                       "multiple input images");
    if (!options_str(o, "backing_fmt", NULL))
        return err_set(e, EINVAL, "Use of backing file requires explicit backing format");
    return 0;
}
