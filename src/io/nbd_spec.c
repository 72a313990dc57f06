#include "io/nbd_spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/mem.h"
#include "io/keys.h"

#define DEFAULT_PORT "10809"
#define EXPORT_MAX   4096u

/* ---- names ----------------------------------------------------------------------------------- */

static char *unix_name(const char *path, const char *export)
{
    char *s = NULL;
    return asprintf(&s, "nbd+unix://%s%s?socket=%s", *export ? "/" : "", export, path) < 0 ? NULL
                                                                                           : s;
}

static char *inet_name(const char *host, const char *port, const char *export)
{
    const char *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";
    char *s = NULL;
    return asprintf(&s, "nbd://%s%s%s:%s%s%s", open, host, close, port, *export ? "/" : "",
                    export) < 0
               ? NULL
               : s;
}

/* The server stands in an object, or (an older form) in keys of the node itself. */
static const json_t *server_of(const json_t *node)
{
    const json_t *server = json_object_get(node, "server");
    return server ? server : node;
}

char *nbd_spec_name(const json_t *node)
{
    struct err ignored = ERR_INIT;
    AUTO_FREE char *path = NULL, *host = NULL, *port = NULL, *export = NULL;
    const json_t *server = server_of(node);
    if (keys_text(server, "path", &path, &ignored) || keys_text(server, "host", &host, &ignored) ||
        keys_text(server, "port", &port, &ignored) || keys_text(node, "export", &export, &ignored))
        return NULL;
    if (path)
        return unix_name(path, export ? export : "");
    return host ? inet_name(host, port ? port : DEFAULT_PORT, export ? export : "") : NULL;
}

/* ---- the server ------------------------------------------------------------------------------ */

static int take(const json_t *server, const char *key, char **out, struct err *e)
{
    if (keys_text(server, key, out, e))
        return -1;
    return *out ? 0 : err_set(e, EINVAL, "Parameter '%s' is missing", key);
}

static int check_server(const json_t *server, const char *const *known, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)server, key, value)
    {
        const char *const *k = known;
        while (*k && strcmp(*k, key))
            k++;
        if (!*k)
            return err_set(e, EINVAL, "Parameter '%s' is unexpected", key);
    }
    return 0;
}

static int parse_inet(const json_t *server, struct nbd_spec *s, struct err *e)
{
    static const char *const known[] = {"type", "host", "port",       "numeric", "to",
                                        "ipv4", "ipv6", "keep-alive", "mptcp",   NULL};
    bool ipv4 = false, ipv6 = false, unused = false;
    if (take(server, "host", &s->host, e) || take(server, "port", &s->port, e) ||
        keys_bool(server, "ipv4", &ipv4, e) || keys_bool(server, "ipv6", &ipv6, e) ||
        keys_bool(server, "numeric", &unused, e) || keys_bool(server, "keep-alive", &unused, e) ||
        check_server(server, known, e))
        return -1;
    /* one that is on leaves the other out, unless that is on too */
    s->ipv4 = ipv4 || (!ipv6 && !json_object_get(server, "ipv4"));
    s->ipv6 = ipv6 || (!ipv4 && !json_object_get(server, "ipv6"));
    return 0;
}

static int parse_unix(const json_t *server, struct nbd_spec *s, struct err *e)
{
    static const char *const known[] = {"type", "path", "abstract", "tight", NULL};
    return take(server, "path", &s->path, e) || check_server(server, known, e) ? -1 : 0;
}

static int parse_vsock(const json_t *server, struct nbd_spec *s, struct err *e)
{
    static const char *const known[] = {"type", "cid", "port", NULL};
    return take(server, "cid", &s->host, e) || take(server, "port", &s->port, e) ||
                   check_server(server, known, e)
               ? -1
               : 0;
}

static int parse_server(const json_t *server, struct nbd_spec *s, struct err *e)
{
    static const struct {
        const char *name;
        enum nbd_family family;
        int (*parse)(const json_t *server, struct nbd_spec *s, struct err *e);
    } types[] = {
        {"inet", NBD_INET, parse_inet},
        {"unix", NBD_UNIX, parse_unix},
        {"vsock", NBD_VSOCK, parse_vsock},
    };
    AUTO_FREE char *type = NULL;
    if (take(server, "type", &type, e))
        return -1;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i].name))
            continue;
        s->family = types[i].family;
        return types[i].parse(server, s, e);
    }
    if (!strcmp(type, "fd"))
        return err_set(e, ENOTSUP, "NBD servers by file descriptor are not supported");
    return err_set(e, EINVAL, "Parameter 'type' does not accept value '%s'", type);
}

/* path=, or host= and port=, in the node itself */
static int parse_old(const json_t *node, struct nbd_spec *s, struct err *e)
{
    if (keys_text(node, "path", &s->path, e) || keys_text(node, "host", &s->host, e) ||
        keys_text(node, "port", &s->port, e))
        return -1;
    if (s->path && s->host)
        return err_set(e, EINVAL, "path and host may not be used at the same time");
    if (s->path && s->port)
        return err_set(e, EINVAL, "port may not be used without host");
    if (!s->path && !s->host)
        return err_set(e, EINVAL, "NBD server address missing");
    s->family = s->path ? NBD_UNIX : NBD_INET;
    s->ipv4 = s->ipv6 = true;
    if (s->host && !s->port)
        s->port = mem_strdup(DEFAULT_PORT, e);
    return s->path || s->port ? 0 : -1;
}

static int parse_address(const json_t *node, struct nbd_spec *s, struct err *e)
{
    const json_t *server = json_object_get(node, "server");
    bool old = json_object_get(node, "path") || json_object_get(node, "host") ||
               json_object_get(node, "port");
    if (server && old)
        return err_set(e, EINVAL, "Cannot use 'server' and path/host/port at the same time");
    if (!json_is_object(server) || !json_object_size(server))
        return parse_old(node, s, e);
    return parse_server(server, s, e);
}

/* ---- all ------------------------------------------------------------------------------------- */

static int check_lengths(const struct nbd_spec *s, struct err *e)
{
    struct sockaddr_un *un = NULL;
    if (strlen(s->export) > EXPORT_MAX)
        return err_set(e, EINVAL, "export name too long to send to server");
    if (!s->path || strlen(s->path) <= sizeof un->sun_path)
        return 0;
    err_set(e, EINVAL, "UNIX socket path '%s' is too long", s->path);
    return err_hint(e, "Path must be less than %zu bytes", sizeof un->sun_path);
}

static int parse(const json_t *node, struct nbd_spec *s, struct err *e)
{
    static const char *const known[] = {"server",
                                        "host",
                                        "port",
                                        "path",
                                        "export",
                                        "tls-creds",
                                        "tls-hostname",
                                        "reconnect-delay",
                                        "open-timeout",
                                        "x-dirty-bitmap",
                                        NULL};
    if (parse_address(node, s, e) || keys_check(node, "nbd", known, e) ||
        keys_text(node, "export", &s->export, e) ||
        keys_text(node, "tls-creds", &s->tls_creds, e) ||
        keys_text(node, "tls-hostname", &s->tls_hostname, e) ||
        keys_number(node, "reconnect-delay", &s->reconnect, e) ||
        keys_number(node, "open-timeout", &s->open_timeout, e))
        return -1;
    if (s->tls_creds)
        return err_set(e, ENOTSUP, "NBD over TLS (tls-creds) is not supported");
    if (json_object_get(node, "x-dirty-bitmap"))
        return err_set(e, ENOTSUP, "x-dirty-bitmap is not supported");
    if (!s->export && !(s->export = mem_strdup("", e)))
        return -1;
    return check_lengths(s, e);
}

static int name(struct nbd_spec *s, struct err *e)
{
    s->address = s->path ? mem_strdup(s->path, e) : mem_printf(e, "%s:%s", s->host, s->port);
    s->name = s->path ? unix_name(s->path, s->export) : inet_name(s->host, s->port, s->export);
    if (s->address && !s->name)
        err_nomem(e);
    return s->address && s->name ? 0 : -1;
}

int nbd_spec_parse(const json_t *node, struct nbd_spec *out, struct err *e)
{
    *out = (struct nbd_spec){0};
    if (!parse(node, out, e) && !name(out, e))
        return 0;
    nbd_spec_release(out);
    return -1;
}

void nbd_spec_release(struct nbd_spec *s)
{
    char **all[] = {&s->host,      &s->port,         &s->path,    &s->export,
                    &s->tls_creds, &s->tls_hostname, &s->address, &s->name};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(*all[i]);
    *s = (struct nbd_spec){0};
}
