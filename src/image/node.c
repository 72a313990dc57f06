#include "image/node.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "formats/options.h"
#include "image/secret.h"
#include "io/file_ops.h"
#include "io/opening.h"

/* ---- protocols ------------------------------------------------------------------------------- */

/* Those of qemu-img; a build may be without some of them. */
static const char *const protocols[] = {"file",     "host_device", "host_cdrom", "null-co",
                                        "null-aio", "nbd",         "http",       "https",
                                        "ftp",      "ftps",        "ssh",        NULL};

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

bool node_is_protocol(const char *driver)
{
    return is_one_of(driver, protocols) || file_protocol_find(driver);
}

bool node_is_device(const char *path)
{
    struct stat st;
    return !stat(path, &st) && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode));
}

/* ---- values ---------------------------------------------------------------------------------- */

int node_bool(const json_t *node, const char *key, bool *out, struct err *e)
{
    static const char *const yes[] = {"on", "yes", "true", "y"}, *const no[] = {"off", "no",
                                                                                "false", "n"};
    const json_t *v = json_object_get(node, key);
    const char *s = json_string_value(v);
    if (!v)
        return 0;
    if (json_is_boolean(v)) {
        *out = json_is_true(v);
        return 0;
    }
    for (size_t i = 0; s && i < ARRAY_LEN(yes); i++) {
        if (strcmp(s, yes[i]) && strcmp(s, no[i]))
            continue;
        *out = !strcmp(s, yes[i]);
        return 0;
    }
    return err_set(e, EINVAL, "Parameter '%s' expects 'on' or 'off'", key);
}

int node_size(const json_t *node, const char *key, uint64_t *out, struct err *e)
{
    const json_t *v = json_object_get(node, key);
    const char *s = json_string_value(v);
    if (!v)
        return 0;
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *out = (uint64_t)json_integer_value(v);
        return 0;
    }
    int rc = s ? size_parse(s, out) : -EINVAL;
    if (rc == -ERANGE)
        return err_set(e, ERANGE, "Value '%s' is out of range for parameter '%s'", s, key);
    if (!rc)
        return 0;
    err_set(e, EINVAL, "Parameter '%s' expects a non-negative number below 2^64", key);
    err_hint(e, "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                "and exabytes, respectively.");
    return -1;
}

/* ---- what all nodes take --------------------------------------------------------------------- */

static const char *const common[] = {"driver",         "node-name",   "read-only",
                                     "auto-read-only", "discard",     "detect-zeroes",
                                     "cache.",         "force-share", NULL};

static int check_words(const json_t *node, struct err *e)
{
    static const char *const discards[] = {"ignore", "off", "unmap", "on", NULL};
    static const char *const detects[] = {"off", "on", "unmap", NULL};
    const char *discard = json_string_value(json_object_get(node, "discard"));
    const char *detect = json_string_value(json_object_get(node, "detect-zeroes"));
    bool unmaps = discard && (!strcmp(discard, "unmap") || !strcmp(discard, "on"));
    if (discard && !is_one_of(discard, discards))
        return err_set(e, EINVAL, "Invalid discard option");
    if (detect && !is_one_of(detect, detects))
        return err_set(e, EINVAL, "invalid parameter value: %s", detect);
    if (detect && !strcmp(detect, "unmap") && !unmaps)
        return err_set(e, EINVAL,
                       "setting detect-zeroes to unmap is not allowed without setting discard "
                       "operation to unmap");
    return 0;
}

int node_common(const json_t *node, struct image_flags *flags, struct err *e)
{
    bool read_only = false, auto_read_only = false;
    const json_t *cache = json_object_get(node, "cache");
    if (node_bool(node, "read-only", &read_only, e) ||
        node_bool(node, "auto-read-only", &auto_read_only, e) ||
        node_bool(node, "force-share", &flags->force_share, e) ||
        node_bool(cache, "direct", &flags->cache.direct, e) ||
        node_bool(cache, "no-flush", &flags->cache.no_flush, e) || check_words(node, e))
        return -1;
    if (flags->write && read_only)
        return err_set(e, EACCES, "Block node is read-only");
    if (flags->write && flags->force_share)
        return err_set(e, EINVAL, "force-share=on can only be used with read-only images");
    return 0;
}

/* ---- options that nobody knows --------------------------------------------------------------- */

static bool is_known(const char *key, const char *const *known)
{
    for (; known && *known; known++) {
        size_t n = strlen(*known);
        bool prefix = n && (*known)[n - 1] == '.';
        if (prefix ? !strncmp(key, *known, n - 1) && (!key[n - 1] || key[n - 1] == '.')
                   : !strcmp(key, *known))
            return true;
    }
    return false;
}

/* The dotted name of the first value at or below `v`; free() it. */
static char *first_leaf(const char *key, const json_t *v, struct err *e)
{
    char *name = mem_strdup(key, e);
    while (name && (json_object_size(v) || json_array_size(v))) {
        AUTO_FREE char *parent = name;
        void *i = json_object_iter((json_t *)v);
        name = mem_printf(e, "%s.%s", parent, i ? json_object_iter_key(i) : "0");
        v = i ? json_object_iter_value(i) : json_array_get(v, 0);
    }
    return name;
}

/* What "cache" holds that no node takes; NULL: nothing. */
static const char *bad_cache_option(const json_t *cache)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)cache, key, v)
    {
        if (strcmp(key, "direct") != 0 && strcmp(key, "no-flush") != 0)
            return key;
    }
    return NULL;
}

int node_check_options(const json_t *node, const char *const *known, const char *format,
                       struct err *e)
{
    const char *key;
    json_t *v;
    const char *cache = bad_cache_option(json_object_get(node, "cache"));
    if (cache)
        return err_set(e, EINVAL, "Block format '%s' does not support the option 'cache.%s'",
                       format, cache);
    json_object_foreach((json_t *)node, key, v)
    {
        if (is_known(key, common) || is_known(key, known))
            continue;
        AUTO_FREE char *name = first_leaf(key, v, e);
        if (!name)
            return -1;
        return err_set(e, EINVAL, "Block format '%s' does not support the option '%s'", format,
                       name);
    }
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int find_secret(const void *ctx, const char *id, const uint8_t **data, size_t *len,
                       struct err *e)
{
    return secrets_find(ctx, id, data, len, e);
}

/* What messages and maps show: where the URL does not say all, the options. */
static int name_file(const json_t *node, struct file *f, struct err *e)
{
    char *name = file_is_regular(f) ? NULL : image_spec_name(node, e);
    if (!name)
        return file_is_regular(f) ? 0 : -1;
    free(f->name);
    f->name = name;
    return 0;
}

static int open_protocol(const json_t *node, const char *driver, const struct image_flags *flags,
                         struct file **out, struct err *e)
{
    struct file_options o = {.write = flags->write,
                             .cache = flags->cache,
                             .forget = flags->forget,
                             .secrets = {find_secret, flags->secrets},
                             .opening = flags->opening};
    o.lock = opening_is_replayed(flags->opening) ? FILE_LOCK_NONE
             : flags->force_share                ? FILE_LOCK_SHARED
             : flags->write                      ? FILE_LOCK_WRITER
                                                 : FILE_LOCK_READER;
    const char *filename = json_string_value(json_object_get(node, "filename"));
    if (filename && !*filename)
        return err_set(e, EINVAL, "The '%s' block driver requires a file name", driver);
    /* where rank 0 has looked already, nobody else does */
    if (filename && !opening_is_replayed(flags->opening) && !strcmp(driver, "file") &&
        node_is_device(filename))
        return err_set(e, EINVAL, "'file' driver requires '%s' to be a regular file", filename);
    AUTO(file_cleanup) struct file *f = NULL;
    if (opening_file(flags->opening, node, &o, &f, e) || name_file(node, f, e))
        return -1;
    *out = MEM_TAKE(f);
    return 0;
}

/* raw between a format and its file: nothing, or a window */
static int open_raw(const json_t *node, const struct image_flags *flags, struct file **out,
                    struct err *e)
{
    static const char *const known[] = {"file", "offset", "size", "backing", NULL};
    AUTO(file_cleanup) struct file *base = NULL;
    uint64_t offset, size;
    if (node_check_options(node, known, "raw", e) ||
        node_open_file(node, "file", flags, &base, e) ||
        image_window(node, base, &offset, &size, e))
        return -1;
    if (json_object_get(node, "offset") || json_object_get(node, "size"))
        return window_open(MEM_TAKE(base), offset, size, out, e);
    *out = MEM_TAKE(base);
    return 0;
}

static int open_format(const json_t *node, const struct image_flags *flags, struct file **out,
                       struct err *e)
{
    if (flags->write)
        return err_set(e, ENOTSUP, "Cannot write to a '%s' node below another format",
                       node_driver(node));
    struct image_flags below = *flags;
    below.driver = NULL;
    below.no_backing = below.no_io = below.check = false;
    struct image *img = NULL;
    if (image_open_plain(node, "", &below, &img, e))
        return -1;
    return image_file_open(img, out, e);
}

/* A name without a driver is a path, whatever it looks like. */
static int open_by_name(const json_t *node, const struct image_flags *flags, struct file **out,
                        struct err *e)
{
    const char *filename = json_string_value(json_object_get(node, "filename"));
    if (!filename)
        return err_set(e, EINVAL, "A block device must be specified for \"file\"");
    const char *driver = node_is_device(filename) ? "host_device" : "file";
    json_t *copy = json_copy((json_t *)node);
    int rc = copy && !json_object_set_new(copy, "driver", json_string(driver))
                 ? open_protocol(copy, driver, flags, out, e)
                 : err_nomem(e);
    json_decref(copy);
    return rc;
}

int node_open(const json_t *node, const struct image_flags *above, struct file **out, struct err *e)
{
    struct image_flags flags = *above;
    const char *driver = node_driver(node);
    if (node_common(node, &flags, e))
        return -1;
    if (!driver)
        return open_by_name(node, &flags, out, e);
    if (node_is_protocol(driver))
        return open_protocol(node, driver, &flags, out, e);
    if (!format_find(driver))
        return err_set(e, ENOENT, "Unknown driver '%s'", driver);
    return strcmp(driver, "raw") ? open_format(node, &flags, out, e)
                                 : open_raw(node, &flags, out, e);
}

int node_open_file(const json_t *parent, const char *key, const struct image_flags *flags,
                   struct file **out, struct err *e)
{
    const json_t *node = json_object_get(parent, key);
    const char *reference = json_string_value(node);
    if (reference)
        return err_set(e, ENODEV, "Cannot find device='%s' nor node-name='%s'", reference,
                       reference);
    if (!json_is_object(node))
        return err_set(e, EINVAL, "A block device must be specified for \"%s\"", key);
    return node_open(node, flags, out, e);
}
