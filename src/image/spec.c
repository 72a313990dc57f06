/* What the user typed becomes one JSON object: {"driver": "qcow2", "file": {"driver": ...}}. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "image/json_text.h"
#include "image/node.h"
#include "image/uri.h"
#include "io/file_ops.h"

#define NESTING_MAX 64

/* ---- dotted keys ----------------------------------------------------------------------------- */

/* Value and children under one key: there is no such device that could be referred to. */
static int conflict(struct err *e)
{
    return err_set(e, EINVAL,
                   "Cannot reference an existing block device with additional options or a new "
                   "filename");
}

static int put(json_t *object, const char *key, json_t *value, struct err *e)
{
    return json_object_set_new_nocheck(object, key, value) ? err_nomem(e) : 0;
}

/* The object under `key`, made if it is not there. Borrowed. */
static json_t *child_object(json_t *object, const char *key, struct err *e)
{
    json_t *child = json_object_get(object, key);
    if (!child && !put(object, key, json_object(), e))
        child = json_object_get(object, key);
    if (child && !json_is_object(child)) {
        conflict(e);
        return NULL;
    }
    return child;
}

/* Set "a.b.c". Takes `value`. */
static int put_dotted(json_t *object, const char *dotted, json_t *value, struct err *e)
{
    AUTO_FREE char *path = value ? mem_strdup(dotted, e) : NULL;
    char *key = path, *dot;
    if (!value)
        return err_nomem(e);
    for (unsigned depth = 0; key && (dot = strchr(key, '.')); key = dot + 1) {
        *dot = '\0';
        if (depth++ == NESTING_MAX)
            err_set(e, EINVAL, "Option '%s' is nested too deeply", dotted);
        else
            object = child_object(object, key, e);
        if (e->set || !object)
            break;
    }
    if (!key || dot || json_is_object(json_object_get(object, key))) {
        json_decref(value);
        return e->set ? -1 : conflict(e);
    }
    return put(object, key, value, e);
}

static int merge(json_t *into, const json_t *from, struct err *e);

static int merge_member(json_t *into, const char *key, json_t *value, struct err *e)
{
    if (!json_is_object(value) || !json_object_size(value)) {
        if (json_is_object(json_object_get(into, key)))
            return conflict(e);
        return put(into, key, json_incref(value), e);
    }
    json_t *child = child_object(into, key, e);
    return child ? merge(child, value, e) : -1;
}

/* Both spellings may be mixed; what is written as nested objects wins. */
static int merge(json_t *into, const json_t *from, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)from, key, value)
    {
        if (strchr(key, '.') && put_dotted(into, key, json_incref(value), e))
            return -1;
    }
    json_object_foreach((json_t *)from, key, value)
    {
        if (!strchr(key, '.') && merge_member(into, key, value, e))
            return -1;
    }
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static json_t *spec_from_json(const char *text, struct err *e)
{
    json_t *given = json_text_parse(text, e);
    if (!given) {
        err_prefix(e, "Could not parse the JSON options: ");
        return NULL;
    }
    json_t *spec = json_object();
    int rc = -1;
    if (!json_is_object(given))
        err_set(e, EINVAL, "Invalid JSON object given");
    else
        rc = spec ? merge(spec, given, e) : err_nomem(e);
    json_decref(given);
    if (!rc)
        return spec;
    json_decref(spec);
    return NULL;
}

static json_t *path_node(const char *path, struct err *e)
{
    json_t *node = json_pack("{s:s, s:o}", "driver", node_is_device(path) ? "host_device" : "file",
                             "filename", json_string_nocheck(path));
    if (!node)
        err_nomem(e);
    return node;
}

static json_t *protocol_node(const char *name, size_t scheme, struct err *e)
{
    json_t *node = uri_node(name, scheme, e);
    if (!node || file_protocol_find(json_string_value(json_object_get(node, "driver"))))
        return node;
    json_decref(node);
    err_set(e, ENOENT, "Unknown protocol '%.*s'", (int)scheme, name);
    return NULL;
}

json_t *image_spec_of_name(const char *name, struct err *e)
{
    if (!strncmp(name, "json:", 5))
        return spec_from_json(name + 5, e);
    size_t scheme = uri_scheme(name);
    json_t *node = scheme ? protocol_node(name, scheme, e) : path_node(name, e);
    json_t *spec = node ? json_pack("{s:o}", "file", node) : NULL;
    if (node && !spec)
        err_nomem(e);
    return spec;
}

json_t *image_spec_from_name(const char *name, struct err *e)
{
    json_t *spec = image_spec_of_name(name, e);
    if (!spec)
        err_prefix(e, "Could not open '%s': ", name);
    return spec;
}

/* ---- option strings -------------------------------------------------------------------------- */

/* Copy up to a single comma to `out`, ",," as one; returns what follows. */
static const char *take_value(const char *s, char *out)
{
    for (; *s; *out++ = *s++) {
        if (*s == ',' && *++s != ',') {
            break;
        }
    }
    *out = '\0';
    return s;
}

static int put_flag(json_t *spec, const char *key, struct err *e)
{
    bool off = !strncmp(key, "no", 2) && strcmp(key, "node-name");
    return put_dotted(spec, off ? key + 2 : key, json_string(off ? "off" : "on"), e);
}

/* One option at s; `room` is as large as the whole text. Returns what follows, NULL on error. */
static const char *take_option(json_t *spec, const char *s, bool first, char *room, struct err *e)
{
    size_t n = strcspn(s, "=,");
    bool valued = s[n] == '=';
    memcpy(room, s, n);
    room[n] = '\0';
    const char *next = valued ? take_value(s + n + 1, room + n + 1) : take_value(s, room);
    int rc = 0;
    if (valued)
        rc = put_dotted(spec, room, json_string_nocheck(room + n + 1), e);
    else if (first)
        rc = put_dotted(spec, "file", json_string_nocheck(room), e);
    else if (*room)
        rc = put_flag(spec, room, e);
    return rc ? NULL : next;
}

json_t *image_spec_from_opts(const char *text, struct err *e)
{
    json_t *spec = json_object();
    AUTO_FREE char *room = mem_new(strlen(text) + 1, 1, e);
    const char *s = text;
    if (!spec)
        err_nomem(e);
    while (spec && room && s && *s)
        s = take_option(spec, s, s == text, room, e);
    if (spec && room && s)
        return spec;
    json_decref(spec);
    err_prefix(e, "Could not open '%s': ", text);
    return NULL;
}
