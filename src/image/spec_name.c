/*
 * The name to show for a spec: the file name where the options reduce to it, else "json:{...}" with
 * those options that decide which bytes are seen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "image/image.h"
#include "image/node.h"
#include "image/uri.h"

/* The order in which keys are shown, and with that the options that are shown at all. Callers
 * compare these names as text, so the order is part of the interface. */
static const char *const shown[] = {
    "encrypt.key-secret",
    "pool",
    "port",
    "server.fd",
    "server.to",
    "password-secret",
    "url",
    "cookie-secret",
    "server.str",
    "read-zeroes",
    "server.path",
    "server.port",
    "server.host",
    "lun",
    "offset",
    "image",
    "conf",
    "portal",
    "snapshot",
    "proxy-username",
    "host",
    "host-key-check",
    "force_size_calc",
    "driver",
    "path",
    "size",
    "proxy-password-secret",
    "username",
    "namespace",
    "export",
    "server.type",
    "volume",
    "cookie",
    "tls-creds",
    "tls-hostname",
    "sslverify",
    "user",
    "target",
    "file",
    "filename",
    "key-secret",
};

static json_t *json_form(const json_t *node);

/* The value at a key that may be dotted. */
static const json_t *lookup(const json_t *node, const char *key)
{
    const char *dot = strchr(key, '.');
    if (!dot)
        return json_object_get(node, key);
    const char *parent = !strncmp(key, "server.", 7) ? "server" : "encrypt";
    return json_object_get(json_object_get(node, parent), dot + 1);
}

/* The options of formats that decide which bytes are seen: with one of them the file name is not
 * all that is to be said. */
static const struct strong {
    const char *driver, *key;
} strong[] = {
    {"luks", "key-secret"},
    {"qcow", "encrypt.key-secret"},
    {"qcow2", "encrypt.key-secret"},
    {"raw", "offset"},
    {"raw", "size"},
    {"vpc", "force_size_calc"},
};

/* Does `key` change what a format node shows? A protocol's keys all do. */
static bool is_strong(const json_t *node, const char *key)
{
    const char *driver = node_driver(node);
    if (!driver || node_is_protocol(driver) || !strcmp(key, "driver") || !strcmp(key, "file"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(strong); i++)
        if (!strcmp(driver, strong[i].driver) && !strcmp(key, strong[i].key))
            return true;
    return false;
}

/* The driver of a file that was given by its name alone. New reference, or NULL. */
static json_t *implied_driver(const json_t *node)
{
    const char *filename = json_string_value(json_object_get(node, "filename"));
    if (node_driver(node) || !filename)
        return NULL;
    return json_string(node_is_device(filename) ? "host_device" : "file");
}

static json_t *json_form(const json_t *node)
{
    json_t *out = json_object(), *driver = implied_driver(node);
    for (size_t i = 0; out && i < ARRAY_LEN(shown); i++) {
        const json_t *v = lookup(node, shown[i]);
        if (!v && !strcmp(shown[i], "driver"))
            v = driver;
        if (!v || !is_strong(node, shown[i]))
            continue;
        json_t *copy = json_is_object(v) ? json_form(v) : json_deep_copy(v);
        if (!copy || json_object_set_new(out, shown[i], copy)) {
            json_decref(out);
            out = NULL;
        }
    }
    json_decref(driver);
    return out;
}

/* The protocol node that says it all, or NULL. */
static const json_t *reduces_to(const json_t *spec)
{
    if (node_driver(spec) && node_is_protocol(node_driver(spec)))
        return spec;
    const json_t *file = json_object_get(spec, "file");
    bool more = false;
    for (size_t i = 0; i < ARRAY_LEN(strong); i++)
        more |= lookup(spec, strong[i].key) != NULL;
    bool nested = node_driver(file) && !node_is_protocol(node_driver(file));
    return more || nested ? NULL : file;
}

char *image_spec_name(const json_t *spec, struct err *e)
{
    const json_t *node = reduces_to(spec);
    char *name = node ? uri_name(node) : NULL;
    if (name)
        return name;
    json_t *form = json_form(spec);
    char *text = form ? json_dumps(form, JSON_ENSURE_ASCII) : NULL;
    json_decref(form);
    name = text ? mem_printf(e, "json:%s", text) : NULL;
    free(text);
    if (!name)
        err_nomem(e);
    return name;
}
