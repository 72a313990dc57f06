/*
 * The files that an image names: the backing chain, data files, extents.
 *
 * A chain comes from files that may be damaged or hostile: it is opened in a loop, not by
 * recursion, its length is bounded, and an image that comes back is an error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "image/gate.h"
#include "image/node.h"
#include "image/uri.h"
#include "io/output.h"

#define CHAIN_MAX   10000u
#define PHRASES_MAX 100u

/* ---- names beside an image ------------------------------------------------------------------- */

static bool is_absolute(const char *name)
{
    return *name == '/' || !strncmp(name, "json:", 5) || uri_scheme(name);
}

/* The name of the lowest file: relative names resolve beside it. NULL: it has none. */
static const char *base_name(const json_t *node)
{
    const json_t *file;
    while ((file = json_object_get(node, "file")))
        node = file;
    const char *name = json_string_value(json_object_get(node, "filename"));
    return name ? name : json_string_value(json_object_get(node, "url"));
}

/* `name` in the folder of `base`, by the text of the names alone. */
static char *join(const char *base, const char *name, struct err *e)
{
    const char *slash = strrchr(base, '/');
    return mem_printf(e, "%.*s%s", slash ? (int)(slash + 1 - base) : 0, base, name);
}

char *image_backing_path(const struct image *img, struct err *e)
{
    const char *name = img->backing_name, *base = img->spec ? base_name(img->spec) : img->name;
    if (is_absolute(name))
        return mem_strdup(name, e);
    if (base)
        return join(base, name, e);
    err_set(e, EINVAL,
            "Could not determine absolute backing filename, but backing filename '%s' present",
            name);
    return NULL;
}

int image_open_child(const struct image *img, const char *key, struct file **out, struct err *e)
{
    return node_open_file(img->spec, key, &img->flags, out, e);
}

int image_open_unfinished(const struct image *img, const char *path, struct file **out,
                          struct err *e)
{
    const struct file_options o = {.cache = img->flags.cache, .forget = img->flags.forget};
    return output_member_join(path, &o, out, e);
}

int image_open_member(const struct image *img, const char *name, struct file **out, struct err *e)
{
    const char *base = base_name(img->spec);
    if (gate_member(img, name, e))
        return -1;
    if (*name != '/' && !base)
        return err_set(e, EINVAL, "Cannot find '%s' beside the image: it has no local name", name);
    AUTO_FREE char *path = *name == '/' ? mem_strdup(name, e) : join(base, name, e);
    if (!path)
        return -1;
    if (img->flags.unfinished)
        return image_open_unfinished(img, path, out, e);
    json_t *node = json_pack("{s:o}", "filename", json_string_nocheck(path));
    int rc = node ? node_open(node, &img->flags, out, e) : err_nomem(e);
    json_decref(node);
    return rc;
}

/* ---- loops ----------------------------------------------------------------------------------- */

/* What makes an image the same one again: the same file, read as the same format. Only plain files
 * count; others are caught by the chain's length. */
struct seen {
    const struct file *file;
    const struct format *format;
};

struct chain {
    struct seen *seen;
    size_t n, cap;
    unsigned length;
};

static int chain_add(struct chain *c, const struct seen *s, struct err *e)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        struct seen *more = mem_grow(c->seen, cap, sizeof *more, e);
        if (!more)
            return -1;
        c->seen = more;
        c->cap = cap;
    }
    c->seen[c->n++] = *s;
    return 0;
}

static int chain_enter(struct chain *c, const struct image *img, struct err *e)
{
    if (++c->length > CHAIN_MAX)
        return err_set(e, ELOOP, "Backing chain is longer than %u images", CHAIN_MAX);
    bool ends = !img->backing_name || json_object_get(img->spec, "backing");
    if (ends)
        return 0;
    const struct seen s = {img->file, img->format};
    for (size_t i = 0; i < c->n; i++)
        if (file_is_same(c->seen[i].file, s.file) && c->seen[i].format == s.format)
            return err_set(e, ELOOP, "Backing file '%s' creates an infinite loop.", img->name);
    return chain_add(c, &s, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The options under "backing" in the overlay's spec: they go over those of the stored name. */
static int override(json_t **spec, const json_t *given, struct err *e)
{
    if (json_object_get(given, "file") || json_object_get(given, "filename")) {
        json_decref(*spec);
        *spec = json_deep_copy(given);
    } else if (given && json_object_update(*spec, (json_t *)given)) {
        return err_nomem(e);
    }
    return *spec ? 0 : err_nomem(e);
}

/* Spec and name of the image below: both from the stored name, or from "backing". */
static int backing_spec(const struct image *img, json_t **spec, char **name, struct err *e)
{
    const json_t *given = json_object_get(img->spec, "backing");
    bool whole = json_object_get(given, "file") || json_object_get(given, "filename");
    if (whole) {
        *spec = json_object();
        return override(spec, given, e) || !(*name = image_spec_name(*spec, e)) ? -1 : 0;
    }
    *name = image_backing_path(img, e);
    if (!*name)
        return -1;
    *spec = image_spec_of_name(*name, e);
    if (!*spec || gate_backing(img, img->backing_name, e))
        return err_prefix(e, "Could not open backing file: ");
    return override(spec, given, e);
}

static int open_backing(struct image *img, struct err *e)
{
    json_t *spec = NULL;
    AUTO_FREE char *name = NULL;
    if (backing_spec(img, &spec, &name, e)) {
        json_decref(spec);
        return -1;
    }
    struct image_flags flags = img->flags;
    flags.write = flags.check = flags.unfinished = false;
    if (flags.backing_cache)
        flags.cache = *flags.backing_cache;
    /* The user's word, then the stored format, then what a stored "json:" says. */
    bool told = node_driver(json_object_get(img->spec, "backing"));
    flags.driver = told ? NULL : img->backing_format;
    int rc = image_open_layer(spec, name, &flags, &img->backing, e);
    json_decref(spec);
    return rc ? err_prefix(e, "Could not open backing file: ") : 0;
}

/* "backing": null, or nothing stored: this is the last one. A string would name a device. */
static int has_backing(const struct image *img, bool *has, struct err *e)
{
    const json_t *given = json_object_get(img->spec, "backing");
    const char *reference = json_string_value(given);
    *has = !img->flags.no_backing && img->format->supports_backing &&
           (given ? json_is_object(given) : img->backing_name != NULL);
    if (!img->flags.no_backing && reference && *reference)
        return err_set(e, ENODEV,
                       "Could not open backing file: Cannot find device='%s' nor node-name='%s'",
                       reference, reference);
    return 0;
}

static int open_all(struct image *top, struct chain *c, struct err *e)
{
    bool more;
    for (struct image *img = top;; img = img->backing) {
        if (chain_enter(c, img, e) || has_backing(img, &more, e))
            return -1;
        if (!more)
            return 0;
        if (!open_backing(img, e))
            continue;
        /* one phrase an overlay (the innermost is there already), as long as the cause fits */
        for (unsigned i = 1; i < c->length && i < PHRASES_MAX; i++)
            err_prefix(e, "Could not open backing file: ");
        return -1;
    }
}

int chain_open(struct image *top, struct err *e)
{
    struct chain c = {0};
    int rc = open_all(top, &c, e);
    free(c.seen);
    for (struct image *img = top; img; img = img->backing)
        img->chain_length = c.length--;
    return rc;
}
