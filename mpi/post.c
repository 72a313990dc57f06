#include "mpi/post.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "base/num.h"

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
    if (!p->host)
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
    return p->wire->send(to, h, bytes, e) < 0 ? post_break(p) : 0;
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
        enum post_handled handled = post_deliver(p, from, &h, bytes, handle, ctx, e);
        if (handled != POST_GO_ON)
            return handled == POST_ENOUGH ? 0 : p->left ? -1 : post_break(p);
    }
}

/* Messages of own workers: all of them, since a thread that has said GONE says it only once. */
static int post_take(struct post *p, unsigned nap, bool *any, post_handler *handle, void *ctx,
                     struct err *e)
{
    bool failed = false;
    struct message *m = mailbox_take_all(&p->inbox, nap);
    while (m) {
        struct message *next = m->next; /* once handled, the message may be posted again */
        failed |= handle(ctx, p->rank, &m->head, m->bytes, e) == POST_FAILED;
        *any = true;
        m = next;
    }
    return failed ? post_break(p) : 0;
}

int post_receive(struct post *p, post_handler *handle, void *ctx, struct err *e)
{
    bool any = false;
    bool polls = p->size > 1 && !p->broken && !p->left;
    if (post_take(p, polls ? p->nap : NAP_ALONE, &any, handle, ctx, e) < 0)
        return -1;
    if (polls && post_poll(p, &any, handle, ctx, e) < 0)
        return -1;
    /* Slow growth: two ranks that wait for each other in turn would else lengthen each other's
     * naps. */
    p->nap = any ? 0 : (unsigned)num_min(num_max(p->nap + p->nap / 2, NAP_WIRE_MIN), NAP_WIRE_MAX);
    return 0;
}
