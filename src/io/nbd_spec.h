/* Which NBD server and export a protocol node means. Needs no libnbd. */
#ifndef IO_NBD_SPEC_H
#define IO_NBD_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"

enum nbd_family { NBD_INET, NBD_UNIX, NBD_VSOCK };

struct nbd_spec {
    enum nbd_family family;
    char *host, *port;     /* inet; vsock: its two numbers */
    char *path;            /* unix */
    bool ipv4, ipv6;       /* which of them may be used */
    char *export;          /* "" is the default one */
    char *tls_creds;       /* id of an object, or NULL */
    char *tls_hostname;    /* the name in the server's certificate, or NULL */
    uint64_t open_timeout; /* seconds to go on trying; 0 = try once */
    uint64_t reconnect;    /* seconds to wait for a server that was lost */
    char *address;         /* "HOST:PORT" or the path: for messages */
    char *name;            /* as an URI: the name of the file */
};

int nbd_spec_parse(const json_t *node, struct nbd_spec *out, struct err *e);
void nbd_spec_release(struct nbd_spec *s);

/* The URI of a node; NULL if it names no server. free() it. */
char *nbd_spec_name(const json_t *node);

#endif
