/* One image: its options, its file, its format. The chain below it is in chain.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "base/tree.h"
#include "formats/format.h"
#include "image/inspect.h"
#include "image/node.h"

/* As many bytes as every version of qemu-img looks at: what is probed must not depend on us. */
#define PROBE_BYTES 512

/* ---- which format ---------------------------------------------------------------------------- */

/* -f, then the spec's own word. NULL: to be probed. */
static const char *wanted_driver(const struct image *img)
{
    return img->flags.driver ? img->flags.driver : node_driver(img->spec);
}

static int check_driver(const struct image *img, struct err *e)
{
    const char *driver = wanted_driver(img);
    if (driver && !node_is_protocol(driver) && !format_find(driver))
        return err_set(e, ENOENT, "Unknown driver '%s'", driver);
    if (!driver && !json_object_get(img->spec, "file"))
        return err_set(e, EINVAL, "Must specify either driver or file");
    return 0;
}

/* -f file: the spec becomes that of the file alone. */
static int drop_format(struct image *img, const char *protocol, struct err *e)
{
    json_t *file = json_object_get(img->spec, "file");
    if (json_is_object(file)) {
        json_incref(file);
        json_decref(img->spec);
        img->spec = file;
    }
    return json_object_set_new(img->spec, "driver", json_string(protocol)) ? err_nomem(e) : 0;
}

static int open_file(struct image *img, struct err *e)
{
    const char *driver = wanted_driver(img);
    if (!driver || !node_is_protocol(driver))
        return node_open_file(img->spec, "file", &img->flags, &img->file, e);
    if (drop_format(img, driver, e))
        return -1;
    return node_open(img->spec, &img->flags, &img->file, e);
}

/* An empty file is raw. A head that cannot be read is no reason to guess: taken for raw, an image
 * of another format would be copied as if its tables were the guest's data. */
static const struct format *probe(struct image *img, struct err *e)
{
    uint8_t head[PROBE_BYTES];
    size_t got = 0;
    if (file_read_padded(img->file, head, sizeof head, 0, &got, e)) {
        err_prefix(e, "Could not read image for determining its format: ");
        return NULL;
    }
    return got ? format_probe(head, got, file_name(img->file)) : format_find("raw");
}

/* Also makes the spec say what it was taken for. */
static int choose_format(struct image *img, struct err *e)
{
    const char *driver = wanted_driver(img);
    if (driver && node_is_protocol(driver)) {
        img->format = format_find("raw");
        return 0;
    }
    img->probed = !driver;
    img->format = driver ? format_find(driver) : probe(img, e);
    if (!img->format)
        return -1;
    return json_object_set_new(img->spec, "driver", json_string(img->format->name)) ? err_nomem(e)
                                                                                    : 0;
}

/* ---- one layer ------------------------------------------------------------------------------- */

/* A driver's own options, and those of the core. */
static int check_options(const struct image *img, struct err *e)
{
    static const char *const core[] = {"file", "backing"};
    const char *known[64];
    size_t n = 0;
    if (node_is_protocol(node_driver(img->spec)))
        return 0; /* its open has looked at them */
    for (; n < ARRAY_LEN(core); n++)
        known[n] = core[n];
    const char *const *own = img->format->runtime_options;
    for (; own && *own && n < ARRAY_LEN(known) - 1; own++)
        known[n++] = *own;
    known[n] = NULL;
    return node_check_options(img->spec, known, img->format->name, e);
}

static struct image *image_new(const json_t *spec, const char *name,
                               const struct image_flags *flags, struct err *e)
{
    AUTO(image_cleanup) struct image *img = mem_new(1, sizeof *img, e);
    if (!img)
        return NULL;
    img->flags = *flags;
    img->chain_length = 1;
    img->name = mem_strdup(name, e);
    img->spec = json_deep_copy(spec);
    if (img->name && !img->spec)
        err_nomem(e);
    return img->name && img->spec ? MEM_TAKE(img) : NULL;
}

/* Nothing of the driver's is left behind when its open fails, so close must not see it. */
static int open_format(struct image *img, struct err *e)
{
    const struct format *format = img->format;
    img->format = NULL;
    if (format->open(img, e))
        return -1;
    img->format = format;
    if (img->size > INT64_MAX)
        return err_set(e, EFBIG, "Image is too large: %llu bytes", (unsigned long long)img->size);
    return inspect_opened(img, e);
}

int image_open_layer(const json_t *spec, const char *name, const struct image_flags *flags,
                     struct image **out, struct err *e)
{
    *out = NULL;
    AUTO(image_cleanup) struct image *img = image_new(spec, name, flags, e);
    if (!img)
        return -1;
    if (check_driver(img, e) || node_common(img->spec, &img->flags, e) || open_file(img, e) ||
        choose_format(img, e) || check_options(img, e) || inspect_before(img, e) ||
        open_format(img, e))
        return -1;
    TRACE(image_open, img->name, img->format->name, img->size, flags->write);
    *out = MEM_TAKE(img);
    return 0;
}

/* The file's node is what names that are found inside resolve against, and messages show. */
static json_t *spec_on_file(const struct file *f, const json_t *options, struct err *e)
{
    json_t *file = json_pack("{s:s,s:o}", "driver", file_protocol(f), "filename",
                             json_string_nocheck(file_name(f)));
    json_t *spec = tree_set(options ? json_deep_copy(options) : json_object(), "file", file);
    if (!spec)
        err_nomem(e);
    return spec;
}

/* ---- public ---------------------------------------------------------------------------------- */

int image_open_plain(const json_t *spec, const char *name, const struct image_flags *flags,
                     struct image **out, struct err *e)
{
    *out = NULL;
    AUTO(image_cleanup) struct image *img = NULL;
    if (image_open_layer(spec, name, flags, &img, e) || chain_open(img, e))
        return -1;
    *out = MEM_TAKE(img);
    return 0;
}

int image_open(const json_t *spec, const char *name, const struct image_flags *flags,
               struct image **out, struct err *e)
{
    if (image_open_plain(spec, name, flags, out, e))
        return err_prefix(e, "Could not open '%s': ", name);
    return 0;
}

int image_open_name(const char *name, const struct image_flags *flags, struct image **out,
                    struct err *e)
{
    *out = NULL;
    json_t *spec = image_spec_from_name(name, e);
    int rc = spec ? image_open(spec, name, flags, out, e) : -1;
    json_decref(spec);
    return rc;
}

int image_open_take_file(struct file *f, const json_t *options, const struct image_flags *flags,
                         struct image **out, struct err *e)
{
    *out = NULL;
    json_t *spec = spec_on_file(f, options, e);
    AUTO(image_cleanup) struct image *img = spec ? image_new(spec, file_name(f), flags, e) : NULL;
    json_decref(spec);
    if (!img) {
        file_cleanup(&f);
        return -1;
    }
    img->file = f;
    if (check_driver(img, e) || choose_format(img, e) || inspect_before(img, e) ||
        open_format(img, e))
        return -1;
    *out = MEM_TAKE(img);
    return 0;
}

/* The first error counts; whatever comes, all of it is gone. */
static int close_file(struct file *f, bool failed, struct err *e)
{
    struct err *ignored = failed ? mem_new(1, sizeof *ignored, e) : NULL;
    int rc = file_close(f, ignored ? ignored : e);
    free(ignored);
    return failed ? -1 : rc;
}

int image_close(struct image *img, struct err *e)
{
    int rc = 0;
    while (img) {
        struct image *backing = img->backing;
        TRACE(image_close, img->name);
        if (img->format && img->format->close && img->state) /* opened */
            img->format->close(img);
        rc = close_file(img->file, rc != 0, e);
        json_decref(img->spec);
        free(img->name);
        free(img->backing_name);
        free(img->backing_format);
        free(img);
        img = backing;
    }
    return rc;
}

void image_cleanup(struct image **img)
{
    if (*img) {
        struct err ignored = ERR_INIT;
        image_close(*img, &ignored);
    }
    *img = NULL;
}

bool image_is_remote(const struct image *img)
{
    for (; img; img = img->backing)
        if (file_is_remote(img->file))
            return true;
    return false;
}

const char *image_format_name(const struct image *img)
{
    const char *driver = node_driver(img->spec);
    return driver && node_is_protocol(driver) ? driver : img->format->name;
}
