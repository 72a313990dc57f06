/*
 * A connection that is ready for commands. Sockets are ours, so that names, limits of time and
 * messages are; libnbd does the talking.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "io/nbd.h"

#define GLANCE_MS 200 /* how long a wait may not see that it is to stop */

/* ---- time ------------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait for the socket. 0, or an errno value. */
static int wait_for(int fd, short events, int64_t end)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = end - now_ms();
        if (left <= 0)
            return ETIMEDOUT;
        if (signals_stop())
            return EINTR;
        int r = poll(&p, 1, (int)(left < GLANCE_MS ? left : GLANCE_MS));
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return errno;
    }
}

/* ---- sockets --------------------------------------------------------------------------------- */

/* A peer that went away without a word is noticed, however long a living one may take. */
static void tune(int fd)
{
    int on = 1, idle = 30, interval = 10, count = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/* 0, or an errno value */
static int finish_connect(int fd, const struct sockaddr *to, socklen_t len, int64_t end)
{
    int no = 0;
    socklen_t size = sizeof no;
    if (!connect(fd, to, len))
        return 0;
    if (errno == EAGAIN) /* a Unix socket whose server has a long queue */
        return EAGAIN;
    if (errno != EINPROGRESS)
        return errno;
    no = wait_for(fd, POLLOUT, end);
    if (no)
        return no;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &no, &size) ? errno : no;
}

static int try_address(const struct sockaddr *to, socklen_t len, int64_t end, int *fd)
{
    *fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return errno;
    int no = finish_connect(*fd, to, len, end);
    while (no == EAGAIN && now_ms() < end && !signals_stop()) {
        poll(NULL, 0, GLANCE_MS / 10);
        no = finish_connect(*fd, to, len, end);
    }
    if (no) {
        close(*fd);
        *fd = -1;
    } else if (to->sa_family == AF_INET || to->sa_family == AF_INET6) {
        tune(*fd);
    }
    return no;
}

static int connect_failed(const struct nbd_spec *s, int no, struct err *e)
{
    return err_errno(e, no, "Failed to connect to '%s'", s->address);
}

static int resolve(const struct nbd_spec *s, struct addrinfo **out, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    if (!s->ipv4 && !s->ipv6)
        return err_set(e, EINVAL, "Cannot disable IPv4 and IPv6 at same time");
    hints.ai_family = s->ipv4 && s->ipv6 ? AF_UNSPEC : s->ipv4 ? AF_INET : AF_INET6;
    int rc = getaddrinfo(s->host, s->port, &hints, out);
    if (!rc)
        return 0;
    hints.ai_flags = 0; /* a machine that has nothing but a loopback device */
    if (!getaddrinfo(s->host, s->port, &hints, out))
        return 0;
    return err_set(e, ENXIO, "address resolution failed for %s: %s", s->address, gai_strerror(rc));
}

static int connect_inet(const struct nbd_spec *s, int64_t end, int *fd, struct err *e)
{
    struct addrinfo *all;
    if (resolve(s, &all, e))
        return -1;
    int no = EADDRNOTAVAIL;
    for (const struct addrinfo *a = all; a && no; a = a->ai_next)
        no = try_address(a->ai_addr, a->ai_addrlen, end, fd);
    freeaddrinfo(all);
    return no ? connect_failed(s, no, e) : 0;
}

static int connect_unix(const struct nbd_spec *s, int64_t end, int *fd, struct err *e)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, s->path, strnlen(s->path, sizeof un.sun_path));
    int no = try_address((struct sockaddr *)&un, sizeof un, end, fd);
    return no ? connect_failed(s, no, e) : 0;
}

static int connect_vsock(const struct nbd_spec *s, int64_t end, int *fd, struct err *e)
{
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK};
    char *after_cid, *after_port;
    vm.svm_cid = (unsigned)strtoul(s->host, &after_cid, 10);
    vm.svm_port = (unsigned)strtoul(s->port, &after_port, 10);
    if (*after_cid || *after_port || !*s->host || !*s->port)
        return err_set(e, EINVAL, "Failed to parse cid and port '%s'", s->address);
    int no = try_address((struct sockaddr *)&vm, sizeof vm, end, fd);
    return no ? connect_failed(s, no, e) : 0;
}

static int connect_socket(const struct nbd_spec *s, int64_t end, int *fd, struct err *e)
{
    if (s->family == NBD_UNIX)
        return connect_unix(s, end, fd, e);
    return s->family == NBD_INET ? connect_inet(s, end, fd, e) : connect_vsock(s, end, fd, e);
}

/* ---- handshake ------------------------------------------------------------------------------- */

/* libnbd puts the names of its own functions before what happened. */
static const char *reason(void)
{
    const char *text = nbd_get_error(), *colon;
    while (text && !strncmp(text, "nbd_", 4) && (colon = strstr(text, ": ")))
        text = colon + 2;
    return text ? text : "unknown error";
}

static int handshake_failed(struct err *e)
{
    int no = nbd_get_errno();
    if (no == ENOENT)
        return err_set(e, no, "Requested export not available");
    if (no == ENOTSUP && strstr(reason(), "TLS")) {
        err_set(e, no, "TLS negotiation required before option 7 (go)");
        return err_hint(e, "NBD over TLS is not supported.");
    }
    return err_set(e, no ? no : EIO, "%s", reason());
}

static int prepare(struct nbd_handle *h, const struct nbd_spec *s, struct err *e)
{
    if (nbd_set_export_name(h, s->export) ||
        nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) ||
        nbd_set_pread_initialize(h, false))
        return handshake_failed(e);
    return 0;
}

static int step(struct nbd_handle *h, int64_t end, int *no)
{
    unsigned dir = nbd_aio_get_direction(h);
    short events = (dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                   (dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0);
    *no = wait_for(nbd_aio_get_fd(h), events, end);
    if (*no)
        return -1;
    struct pollfd p = {.fd = nbd_aio_get_fd(h), .events = events};
    poll(&p, 1, 0);
    if (dir & LIBNBD_AIO_DIRECTION_READ && p.revents & (POLLIN | POLLHUP | POLLERR))
        return nbd_aio_notify_read(h);
    return nbd_aio_notify_write(h);
}

/* Takes fd. */
static int shake(struct nbd_handle *h, const struct nbd_spec *s, int fd, int64_t end, struct err *e)
{
    int no = 0;
    if (nbd_aio_connect_socket(h, fd))
        return handshake_failed(e);
    while (!nbd_aio_is_ready(h)) {
        bool over = nbd_aio_is_dead(h) || nbd_aio_is_closed(h);
        if (!over && !step(h, end, &no))
            continue;
        if (no == ETIMEDOUT)
            return err_set(e, no, "The NBD server at '%s' does not answer", s->address);
        return no ? file_fail(e, no) : handshake_failed(e);
    }
    return 0;
}

static int attempt(const struct nbd_spec *s, int64_t end, struct nbd_handle **out, struct err *e)
{
    int fd = -1;
    struct nbd_handle *h = nbd_create();
    if (!h)
        return err_nomem(e);
    if (prepare(h, s, e) || connect_socket(s, end, &fd, e) || shake(h, s, fd, end, e)) {
        nbd_close(h);
        return -1;
    }
    *out = h;
    return 0;
}

/* With a time to wait, a server that is not there yet may come. */
int export_connect(const struct nbd_spec *s, unsigned seconds, bool insist, struct nbd_handle **out,
                   struct err *e)
{
    int64_t end = now_ms() + (int64_t)seconds * 1000;
    while (attempt(s, end, out, e)) {
        if (!insist || signals_stop() || now_ms() + GLANCE_MS >= end)
            return -1;
        err_clear(e);
        poll(NULL, 0, GLANCE_MS);
    }
    return 0;
}
