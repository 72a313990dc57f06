#include "image/uri.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "image/json_text.h"
#include "io/nbd_spec.h"

#define NBD_PORT "10809"

size_t uri_scheme(const char *name)
{
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || (name[n] && strchr("+-._", name[n])))
        n++;
    return name[n] == ':' ? n : 0;
}

/* {"driver": driver, key: value}, or without the pair when value is NULL */
static json_t *node_new(const char *driver, const char *key, const char *value, struct err *e)
{
    json_t *node = json_object();
    if (node && !json_object_set_new(node, "driver", json_string(driver)) &&
        (!value || !json_object_set_new(node, key, json_string_nocheck(value))))
        return node;
    json_decref(node);
    err_nomem(e);
    return NULL;
}

/* ---- nbd ------------------------------------------------------------------------------------- */

/* `port` NULL: `host` is the path of a Unix socket. An empty export is the default one. */
static json_t *nbd_node(const char *host, const char *port, const char *export, struct err *e)
{
    json_t *server =
        port ? json_pack("{s:s, s:o, s:o}", "type", "inet", "host", json_string_nocheck(host),
                         "port", json_string_nocheck(port))
             : json_pack("{s:s, s:o}", "type", "unix", "path", json_string_nocheck(host));
    json_t *node = server ? node_new("nbd", "export", export && *export ? export : NULL, e) : NULL;
    if (node && !json_object_set_new(node, "server", server))
        return node;
    if (!node)
        json_decref(server);
    json_decref(node);
    err_nomem(e);
    return NULL;
}

/* HOST:PORT, the host perhaps in brackets; `text` is cut in place. */
static json_t *nbd_address(char *text, const char *export, struct err *e)
{
    char *colon = *text == '[' ? strstr(text, "]:") : strchr(text, ':');
    if (!colon || !colon[1 + (*text == '[')]) {
        err_set(e, EINVAL, "error parsing address '%s'", text);
        return NULL;
    }
    char *host = text;
    if (*text == '[') {
        host++;
        *colon++ = '\0';
    }
    *colon = '\0';
    return nbd_node(host, colon + 1, export, e);
}

/* nbd:HOST:PORT[:exportname=N], nbd:unix:PATH[:exportname=N] */
static json_t *nbd_old_form(const char *rest, struct err *e)
{
    static const char mark[] = ":exportname=";
    AUTO_FREE char *text = mem_strdup(rest, e);
    if (!text)
        return NULL;
    char *export = strstr(text, mark);
    if (export) {
        *export = '\0';
        export += sizeof mark - 1;
    }
    if (!*text || (export && !*export)) {
        err_set(e, EINVAL, "NBD server address missing");
        return NULL;
    }
    if (!strncmp(text, "unix:", 5))
        return nbd_node(text + 5, NULL, export, e);
    return nbd_address(text, export, e);
}

/* Undo %XX in place; false if a '%' is not followed by two digits, or if it says NUL. */
static bool percent_decode(char *s)
{
    char *out = s;
    for (; *s; s++) {
        if (*s != '%') {
            *out++ = *s;
            continue;
        }
        if (!isxdigit((unsigned char)s[1]) || !isxdigit((unsigned char)s[2]))
            return false;
        char hex[] = {s[1], s[2], '\0'};
        *out = (char)strtoul(hex, NULL, 16);
        if (!*out++)
            return false;
        s += 2;
    }
    *out = '\0';
    return true;
}

/* [user@]host[:port], cut in place */
static json_t *nbd_authority(char *host, const char *export, struct err *e)
{
    char *at = strrchr(host, '@');
    host = at ? at + 1 : host;
    char *colon = strrchr(host, ':');
    if (*host == '[') {
        char *close = strchr(host, ']');
        if (!close)
            return NULL;
        colon = close[1] == ':' ? close + 1 : NULL;
        *close = '\0';
        host++;
    }
    const char *port = colon ? colon + 1 : NBD_PORT;
    if (colon)
        *colon = '\0';
    size_t n = strspn(port, "0123456789");
    if (!*host || port[n] || n == 0 || n > 5 || atoi(port) > 65535)
        return NULL;
    return nbd_node(host, port, export, e);
}

/* nbd[+tcp]://HOST[:PORT][/EXPORT], nbd+unix://[/EXPORT]?socket=PATH; `rest` follows "://" */
static json_t *nbd_uri(const char *rest, bool is_unix, struct err *e)
{
    AUTO_FREE char *text = mem_strdup(rest, e);
    if (!text)
        return NULL;
    char *query = strchr(text, '?');
    if (query)
        *query++ = '\0';
    char *path = strchr(text, '/');
    if (path)
        *path++ = '\0';
    json_t *node = NULL;
    bool ok = (!path || percent_decode(path)) && (!query || percent_decode(query));
    if (ok && is_unix && !*text && query && !strncmp(query, "socket=", 7))
        node = nbd_node(query + 7, NULL, path, e);
    else if (ok && !is_unix && !query)
        node = nbd_authority(text, path, e);
    if (!node && !e->set)
        err_set(e, EINVAL, "No valid URL specified");
    return node;
}

/* ---- schemes --------------------------------------------------------------------------------- */

static json_t *from_nbd(const char *name, const char *rest, struct err *e)
{
    if (strncmp(rest, "//", 2))
        return nbd_old_form(rest, e);
    return nbd_uri(rest + 2, !strncmp(name, "nbd+unix:", 9), e);
}

static json_t *from_null(const char *name, const char *rest, struct err *e)
{
    const char *driver = strncmp(name, "null-co", 7) ? "null-aio" : "null-co";
    if (!strcmp(rest, "//"))
        return node_new(driver, NULL, NULL, e);
    err_set(e, EINVAL, "The only allowed filename for this driver is '%s://'", driver);
    return NULL;
}

static json_t *from_file(const char *name, const char *rest, struct err *e)
{
    AUTO_FREE char *driver = strndup(name, uri_scheme(name));
    /* what is shown later must not look like a protocol */
    AUTO_FREE char *path = mem_printf(e, "%s%s", uri_scheme(rest) ? "./" : "", rest);
    if (!driver)
        err_nomem(e);
    return driver && path ? node_new(driver, "filename", path, e) : NULL;
}

static json_t *from_url(const char *name, const char *rest, struct err *e)
{
    (void)rest;
    AUTO_FREE char *driver = strndup(name, uri_scheme(name));
    if (!driver) {
        err_nomem(e);
        return NULL;
    }
    return node_new(driver, "url", name, e);
}

static const struct {
    const char *scheme;
    json_t *(*node)(const char *name, const char *rest, struct err *e);
} schemes[] = {
    {"file", from_file},    {"host_device", from_file}, {"host_cdrom", from_file},
    {"null-co", from_null}, {"null-aio", from_null},    {"nbd", from_nbd},
    {"nbd+tcp", from_nbd},  {"nbd+unix", from_nbd},     {"http", from_url},
    {"https", from_url},    {"ftp", from_url},          {"ftps", from_url},
};

json_t *uri_node(const char *name, size_t n, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (strlen(schemes[i].scheme) == n && !memcmp(schemes[i].scheme, name, n))
            return schemes[i].node(name, name + n + 1, e);
    err_set(e, ENOENT, "Unknown protocol '%.*s'", (int)n, name);
    return NULL;
}

/* ---- back to a name -------------------------------------------------------------------------- */

static const char *text(const json_t *node, const char *key)
{
    return json_string_value(json_object_get(node, key));
}

static char *null_name(const json_t *node)
{
    if (json_object_get(node, "size") || json_object_get(node, "read-zeroes"))
        return NULL;
    char *s = NULL;
    return asprintf(&s, "%s://", text(node, "driver")) < 0 ? NULL : s;
}

static char *url_name(const json_t *node)
{
    static const char *const strong[] = {
        "sslverify",       "cookie",         "cookie-secret",        "username",
        "password-secret", "proxy-username", "proxy-password-secret"};
    for (size_t i = 0; i < ARRAY_LEN(strong); i++)
        if (json_object_get(node, strong[i]))
            return NULL;
    const char *url = text(node, "url");
    return url ? strdup(url) : NULL;
}

char *uri_name(const json_t *node)
{
    const char *filename = text(node, "filename"), *driver = text(node, "driver");
    if (filename)
        return strdup(filename);
    if (driver && !strcmp(driver, "nbd"))
        return nbd_spec_name(node);
    if (driver && !strncmp(driver, "null-", 5))
        return null_name(node);
    return url_name(node);
}
