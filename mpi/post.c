#include "mpi/post.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "base/num.h"
#include "mpi/pulse.h"

/* How often the caller gets to show progress and to look for signals. */
#define NAP_ALONE 100000
/* Microseconds. A rank often has one core, for its worker too, and each nap's end takes it away:
 * with naps of 20 us four bound ranks needed a quarter more CPU than four threads. */
#define NAP_WIRE_MIN 100
#define NAP_WIRE_MAX 1000

int post_init(struct post *p, struct err *e)
{
    *p = (struct post){.size = 1};
    return mailbox_init(&p->inbox, e);
}

int post_connect(struct post *p, const struct wire_ops *wire, struct err *e)
{
    if (wire->start(&p->rank, &p->size, e) < 0)
        return -1;
    p->host = mem_new(p->size, sizeof *p->host, e);
    if (!p->host || outbox_init(&p->out, wire, p->size, e) < 0)
        return -1;
    p->wire = wire;
    /* Else a nap of 20 us takes 70; latency between ranks is mostly naps. */
    if (p->size > 1)
        prctl(PR_SET_TIMERSLACK, 1000);
    return 0;
}

void post_release(struct post *p)
{
    free(p->host);
    outbox_release(&p->out);
    mailbox_release(&p->inbox);
}

static int post_break(struct post *p)
{
    p->broken = true;
    return -1;
}

int post_send(struct post *p, unsigned to, const struct wire_head *h, const void *bytes,
              struct err *e)
{
    if (p->broken)
        return err_set(e, EIO, "The connection between the ranks has failed");
    int sent = message_of_unit(h->kind) ? outbox_put(&p->out, to, h, bytes, e)
                                        : outbox_send(&p->out, to, h, bytes, e);
    return sent < 0 ? post_break(p) : 0;
}

int post_send_all(struct post *p, const struct wire_head *h, const void *bytes, struct err *e)
{
    for (unsigned i = 0; i < p->size; i++)
        if (i != p->rank && post_send(p, i, h, bytes, e) < 0)
            return -1;
    return 0;
}

void post_name(struct post *p, unsigned rank, const void *name, size_t len)
{
    len = num_min(len, POST_HOST - 1);
    if (len)
        memcpy(p->host[rank], name, len);
    p->host[rank][len] = '\0';
}

int post_lose(struct post *p, unsigned rank, double seconds, struct err *e)
{
    const char *host = p->host[rank];
    err_set(
        e, ETIMEDOUT,
        "Nothing has been heard of rank %u%s%s for %.0f seconds: it, its host or the connection "
        "to it has failed",
        rank, *host ? " on " : "", host, seconds);
    return post_break(p);
}

enum post_handled post_unexpected(unsigned from, const struct wire_head *h, struct err *e)
{
    err_set(e, EPROTO, "Unexpected message %" PRIu32 " from rank %u", h->kind, from);
    return POST_FAILED;
}

static enum post_handled post_deliver(struct post *p, unsigned from, const struct wire_head *h,
                                      const void *bytes, post_handler *handle, void *ctx,
                                      struct err *e)
{
    if (h->kind != MESSAGE_EXIT)
        return handle(ctx, from, h, bytes, e);
    p->left = true;
    p->exit_code = (int)h->slot;
    err_set(e, ECANCELED, "Rank 0 has ended");
    return POST_FAILED;
}

/* All messages of a parcel. */
static enum post_handled post_unpack(struct post *p, unsigned from, const struct wire_head *parcel,
                                     const void *bytes, post_handler *handle, void *ctx,
                                     struct err *e)
{
    struct wire_head h;
    const void *body;
    size_t at = 0;
    int more;
    while ((more = parcel_next(bytes, parcel->len, &at, &h, &body)) > 0) {
        enum post_handled handled = post_deliver(p, from, &h, body, handle, ctx, e);
        if (handled != POST_GO_ON)
            return handled;
    }
    return more < 0 ? post_unexpected(from, parcel, e) : POST_GO_ON;
}

static enum post_handled post_open(struct post *p, unsigned from, const struct wire_head *h,
                                   const void *bytes, post_handler *handle, void *ctx,
                                   struct err *e)
{
    bool parcel = h->kind == MESSAGE_PARCEL;
    if (p->rank != 0 && (parcel || message_of_unit(h->kind)))
        p->pace.us = parcel ? (unsigned)h->unit : 0;
    return parcel ? post_unpack(p, from, h, bytes, handle, ctx, e)
                  : post_deliver(p, from, h, bytes, handle, ctx, e);
}

/* Messages of other ranks; *any says whether there were some. */
static int post_poll(struct post *p, bool *any, post_handler *handle, void *ctx, struct err *e)
{
    for (;;) {
        bool got = false;
        unsigned from = 0;
        struct wire_head h;
        const void *bytes = NULL;
        if (p->wire->poll(&got, &from, &h, &bytes, e) < 0)
            return post_break(p);
        if (!got)
            return 0;
        *any = true;
        enum post_handled handled = post_open(p, from, &h, bytes, handle, ctx, e);
        if (handled != POST_GO_ON)
            return handled == POST_ENOUGH ? 0 : p->left ? -1 : post_break(p);
    }
}

/* Messages of own workers: all of them, since a thread that has said GONE says it only once. */
static int post_handle_own(struct post *p, struct message *m, bool *any, post_handler *handle,
                           void *ctx, struct err *e)
{
    bool failed = false;
    while (m) {
        struct message *next = m->next; /* once handled, the message may be posted again */
        failed |= handle(ctx, p->rank, &m->head, m->bytes, e) == POST_FAILED;
        *any = true;
        m = next;
    }
    return failed ? post_break(p) : 0;
}

/* Send what waits, if it is time to; then 0, else the microseconds until it is. A rank whose
 * workers have nothing to do would wait for nothing. */
static int post_flush(struct post *p, double now, unsigned *left, struct err *e)
{
    bool idle = p->rank != 0 && !p->asked;
    *left = idle ? 0 : pace_left(&p->pace, now);
    if (*left || !p->out.n_list)
        return 0;
    p->pace.sent = now;
    return outbox_flush(&p->out, e) < 0 ? post_break(p) : 0;
}

/* Own workers' messages after some sleep, which one of them cuts short. */
static struct message *post_sleep(struct post *p, double now, unsigned left)
{
    unsigned nap = p->out.n_list && left < p->nap ? left : p->nap;
    struct message *m = mailbox_take_all(&p->inbox, nap);
    if (p->rank == 0) {
        double woken = nap ? pulse_now() : now;
        pace_watch(&p->pace, woken, woken - now);
        p->out.pace = p->pace.us;
    }
    return m;
}

static int post_receive_wired(struct post *p, post_handler *handle, void *ctx, struct err *e)
{
    bool any = false;
    unsigned left;
    double now = pulse_now();
    if (post_flush(p, now, &left, e) < 0)
        return -1;
    struct message *m = post_sleep(p, now, left);
    if (post_handle_own(p, m, &any, handle, ctx, e) < 0 || post_poll(p, &any, handle, ctx, e) < 0)
        return -1;
    /* Slow growth: two ranks that wait for each other in turn would else lengthen each other's
     * naps. */
    p->nap = any ? 0 : (unsigned)num_min(num_max(p->nap + p->nap / 2, NAP_WIRE_MIN), NAP_WIRE_MAX);
    return 0;
}

int post_receive(struct post *p, post_handler *handle, void *ctx, struct err *e)
{
    bool any;
    if (p->size > 1 && !p->broken && !p->left)
        return post_receive_wired(p, handle, ctx, e);
    return post_handle_own(p, mailbox_take_all(&p->inbox, NAP_ALONE), &any, handle, ctx, e);
}
