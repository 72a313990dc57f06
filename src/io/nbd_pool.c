#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "io/nbd.h"

#define GLANCE_MS 1000 /* how long a wait may not see that it is to stop */

/* ---- one connection -------------------------------------------------------------------------- */

struct export_conn *export_conn_new(struct nbd_handle *h, struct err *e)
{
    struct export_conn *c = mem_new(1, sizeof *c, e);
    int wake = c ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (wake < 0) {
        if (c)
            file_fail(e, errno);
        free(c);
        nbd_close(h);
        return NULL;
    }
    c->h = h;
    c->wake = wake;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void export_conn_free(struct export_conn *c)
{
    if (!c)
        return;
    if (nbd_aio_is_ready(c->h))
        nbd_aio_disconnect(c->h, 0);
    nbd_close(c->h);
    close(c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- waiting --------------------------------------------------------------------------------- */

void export_call_init(struct export_call *call)
{
    *call = (struct export_call){.failed = SIZE_MAX};
    pthread_cond_init(&call->ready, NULL);
}

void export_call_release(struct export_call *call)
{
    pthread_cond_destroy(&call->ready);
}

void export_answered(struct export_call *call, size_t index, int error)
{
    if (error && index < call->failed) {
        call->failed = index;
        call->error = error;
    }
    if (--call->left == 0)
        pthread_cond_signal(&call->ready);
}

void export_enter(struct export_conn *c)
{
    pthread_mutex_lock(&c->lock);
}

static void lose(struct export_conn *c)
{
    c->lost = true;
    for (struct export_call *call = c->calls; call; call = call->next)
        pthread_cond_signal(&call->ready);
}

void export_refused(struct export_conn *c, struct export_call *call, size_t index)
{
    int no = nbd_get_errno();
    export_answered(call, index, no ? no : EIO);
    if (nbd_aio_is_dead(c->h) || nbd_aio_is_closed(c->h))
        lose(c);
}

static short events_of(unsigned dir)
{
    return (dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
           (dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0);
}

/* Only one of the two: the first may change what the second would be about. */
static void move(struct export_conn *c, short revents)
{
    unsigned dir = nbd_aio_get_direction(c->h);
    int r = 0;
    if (revents & (POLLIN | POLLHUP) && dir & LIBNBD_AIO_DIRECTION_READ)
        r = nbd_aio_notify_read(c->h);
    else if (revents & POLLOUT && dir & LIBNBD_AIO_DIRECTION_WRITE)
        r = nbd_aio_notify_write(c->h);
    else if (revents & (POLLERR | POLLNVAL))
        r = -1;
    if (r || nbd_aio_is_dead(c->h) || nbd_aio_is_closed(c->h))
        lose(c);
}

/* Wait for the socket once, for all. A server that does not answer holds up nobody who was told to
 * stop. */
static void watch(struct export_conn *c)
{
    uint64_t count;
    c->watched = true;
    c->watched_for = nbd_aio_get_direction(c->h);
    struct pollfd p[2] = {{.fd = nbd_aio_get_fd(c->h), .events = events_of(c->watched_for)},
                          {.fd = c->wake, .events = POLLIN}};
    pthread_mutex_unlock(&c->lock);
    int r = poll(p, 2, GLANCE_MS);
    pthread_mutex_lock(&c->lock);
    c->watched = false;
    if (p[1].revents && read(c->wake, &count, sizeof count) < 0)
        p[1].revents = 0; /* it was drained already */
    if (r == 0 && signals_stop())
        shutdown(p[0].fd, SHUT_RDWR);
    else if (r > 0 && p[0].revents)
        move(c, p[0].revents);
}

static void wait_turn(struct export_conn *c, struct export_call *call)
{
    call->next = c->calls;
    c->calls = call;
    pthread_cond_wait(&call->ready, &c->lock);
    struct export_call **at = &c->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
}

void export_leave(struct export_conn *c, struct export_call *call)
{
    uint64_t one = 1;
    /* what did not fit the socket at once must be waited for too */
    if (c->watched && nbd_aio_get_direction(c->h) != c->watched_for &&
        write(c->wake, &one, sizeof one) < 0)
        errno = 0; /* full: it is awake */
    while (call->left && !c->lost) {
        if (c->watched)
            wait_turn(c, call);
        else
            watch(c);
    }
    if (c->lost && call->left && !call->error)
        call->error = ENOTCONN;
    if (!c->watched && c->calls)
        pthread_cond_signal(&c->calls->ready);
    pthread_mutex_unlock(&c->lock);
}

static bool is_lost(int no)
{
    return no == ENOTCONN || no == ECONNRESET || no == EPIPE || no == ESHUTDOWN;
}

int export_outcome(const struct export *f, const struct export_call *call, struct err *e)
{
    if (!call->error)
        return 0;
    if (signals_stop())
        return file_fail(e, EINTR);
    if (!is_lost(call->error))
        return file_fail(e, call->error);
    return err_set(e, EIO, "%s (the NBD server at '%s' is gone)", strerror(EIO), f->spec.address);
}

/* ---- all of a file --------------------------------------------------------------------------- */

static void drop_lost(struct export *f)
{
    for (unsigned i = 0; i < f->n;) {
        struct export_conn *c = f->conns[i];
        if (c->users || !c->lost) {
            i++;
            continue;
        }
        export_conn_free(c);
        f->conns[i] = f->conns[--f->n];
    }
}

/* NULL: none is left */
static struct export_conn *least_used(const struct export *f)
{
    struct export_conn *best = NULL;
    for (unsigned i = 0; i < f->n; i++) {
        struct export_conn *c = f->conns[i];
        if (!c->lost && (!best || c->users < best->users))
            best = c;
    }
    return best;
}

/* Is it the same export still? */
static bool is_same(const struct export *f, struct nbd_handle *h)
{
    int64_t size = nbd_get_size(h);
    return size >= 0 && (uint64_t)size == f->size;
}

static struct export_conn *connect_more(const struct export *f, unsigned seconds, bool insist,
                                        struct err *e)
{
    struct nbd_handle *h;
    if (export_connect(&f->spec, seconds, insist, &h, e))
        return NULL;
    if (is_same(f, h))
        return export_conn_new(h, e);
    nbd_close(h);
    err_set(e, EIO, "The export of the NBD server at '%s' has changed its size", f->spec.address);
    return NULL;
}

/* One more connection while others work. A server that gives no more is not asked again. */
static struct export_conn *grow(struct export *f, struct err *e)
{
    f->growing = true;
    pthread_mutex_unlock(&f->lock);
    struct export_conn *c = connect_more(f, f->patience, false, e);
    pthread_mutex_lock(&f->lock);
    f->growing = false;
    if (c)
        f->conns[f->n++] = c;
    else
        f->most = f->n;
    return c;
}

/* All connections are lost. What a server had taken but not yet stored may be gone with it, so one
 * that was written to is not sought again. */
static struct export_conn *come_back(struct export *f, struct err *e)
{
    if (!f->spec.reconnect || f->file.opt.write || f->n == EXPORT_CONNECTIONS) {
        err_set(e, EIO, "%s (the NBD server at '%s' is gone)", strerror(EIO), f->spec.address);
        return NULL;
    }
    struct export_conn *c =
        connect_more(f, (unsigned)num_min(f->spec.reconnect, UINT32_MAX), true, e);
    if (c)
        f->conns[f->n++] = c;
    return c;
}

struct export_conn *export_take(struct export *f, struct err *e)
{
    pthread_mutex_lock(&f->lock);
    drop_lost(f);
    struct export_conn *c = least_used(f);
    if (c && c->users && f->n < f->most && !f->growing && !(c = grow(f, e))) {
        err_clear(e);
        c = least_used(f);
    }
    if (!c)
        c = come_back(f, e);
    if (c)
        c->users++;
    pthread_mutex_unlock(&f->lock);
    return c;
}

void export_give(struct export *f, struct export_conn *c)
{
    pthread_mutex_lock(&f->lock);
    c->users--;
    pthread_mutex_unlock(&f->lock);
}
