/*
 * The MPI module: the one file that includes <mpi.h>. Built as a shared object of its own and
 * loaded only when a launcher started the program (module.c).
 *
 * A message is one MPI message, head and bytes together. Nothing here blocks: sends are started and
 * looked after at later calls, receives happen when a probe has found something. No one-sided
 * calls: Open MPI has none over TCP in its usual configurations.
 */
#include <errno.h>
#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mpi/wire.h"

#define TAG 0
/* Messages up to this keep their memory for the next one: parcels do. */
#define SMALL 4096
/* So many sends may be under way before they are looked after, however much there is to receive. */
#define LATE_MAX 64

struct outgoing {
    struct outgoing *next;
    MPI_Request request;
    size_t room;
    unsigned char bytes[];
};

static struct {
    MPI_Comm comm; /* our own, with errors returned */
    struct outgoing *pending;
    struct outgoing *spare; /* all with room SMALL */
    unsigned late;          /* sends that did not leave at once */
    unsigned char *in;
    size_t in_room;
} wire;

static int wire_error(struct err *e, int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int len = 0;
    MPI_Error_string(code, text, &len);
    return err_set(e, EIO, "MPI: %s: %s", what, text);
}

static int wire_start(unsigned *rank, unsigned *size, struct err *e)
{
    int provided, r, n;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS)
        return wire_error(e, code, "start");
    if (provided < MPI_THREAD_FUNNELED)
        return err_set(e, 0, "This MPI library does not work with threads");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    code = MPI_Comm_dup(MPI_COMM_WORLD, &wire.comm);
    if (code != MPI_SUCCESS)
        return wire_error(e, code, "start");
    MPI_Comm_set_errhandler(wire.comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(wire.comm, &r);
    MPI_Comm_size(wire.comm, &n);
    *rank = (unsigned)r;
    *size = (unsigned)n;
    return 0;
}

static int wire_host_sum(uint32_t *v, unsigned n, struct err *e)
{
    MPI_Comm host;
    int code = MPI_Comm_split_type(wire.comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    if (code == MPI_SUCCESS) {
        code = MPI_Allreduce(MPI_IN_PLACE, v, (int)n, MPI_UINT32_T, MPI_SUM, host);
        MPI_Comm_free(&host);
    }
    return code == MPI_SUCCESS ? 0 : wire_error(e, code, "start");
}

static struct outgoing *outgoing_new(size_t len, struct err *e)
{
    struct outgoing *o = wire.spare;
    if (o && len <= SMALL) {
        wire.spare = o->next;
        return o;
    }
    size_t room = len < SMALL ? SMALL : len;
    o = mem_new(1, sizeof *o + room, e);
    if (o)
        o->room = room;
    return o;
}

static void outgoing_free(struct outgoing *o)
{
    if (o->room > SMALL) {
        free(o);
        return;
    }
    o->next = wire.spare;
    wire.spare = o;
}

/* Look after the sends under way. */
static int wire_reap(struct err *e)
{
    for (struct outgoing **p = &wire.pending; *p;) {
        struct outgoing *o = *p;
        int done = 0;
        int code = MPI_Test(&o->request, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS)
            return wire_error(e, code, "send");
        if (!done) {
            p = &o->next;
            continue;
        }
        *p = o->next;
        outgoing_free(o);
    }
    return 0;
}

static int wire_send(unsigned to, const struct wire_head *h, const void *bytes, struct err *e)
{
    size_t len = sizeof *h + h->len;
    if (len > INT_MAX)
        return err_set(e, EFBIG, "MPI: message too long");
    struct outgoing *o = outgoing_new(len, e);
    if (!o)
        return -1;
    memcpy(o->bytes, h, sizeof *h);
    if (h->len)
        memcpy(o->bytes + sizeof *h, bytes, h->len);
    int code = MPI_Isend(o->bytes, (int)len, MPI_BYTE, (int)to, TAG, wire.comm, &o->request);
    if (code != MPI_SUCCESS) {
        outgoing_free(o);
        return wire_error(e, code, "send");
    }
    int done = 0; /* a small one has often left at once */
    code = MPI_Test(&o->request, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
        return wire_error(e, code, "send");
    if (done) {
        outgoing_free(o);
        return 0;
    }
    o->next = wire.pending;
    wire.pending = o;
    return ++wire.late % LATE_MAX ? 0 : wire_reap(e);
}

static int wire_make_room(size_t len, struct err *e)
{
    if (len <= wire.in_room)
        return 0;
    void *in = mem_grow(wire.in, len, 1, e);
    if (!in)
        return -1;
    wire.in = in;
    wire.in_room = len;
    return 0;
}

/* The message that a probe has found. */
static int wire_receive(const MPI_Status *found, struct wire_head *h, struct err *e)
{
    int len = 0;
    MPI_Get_count(found, MPI_BYTE, &len);
    if (len < (int)sizeof *h)
        return err_set(e, EPROTO, "MPI: message of another program");
    if (wire_make_room((size_t)len, e) < 0)
        return -1;
    int code =
        MPI_Recv(wire.in, len, MPI_BYTE, found->MPI_SOURCE, TAG, wire.comm, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
        return wire_error(e, code, "receive");
    memcpy(h, wire.in, sizeof *h);
    if (h->len != (size_t)len - sizeof *h)
        return err_set(e, EPROTO, "MPI: message of another program");
    return 0;
}

static int wire_poll(bool *got, unsigned *from, struct wire_head *h, const void **bytes,
                     struct err *e)
{
    int found = 0;
    MPI_Status status;
    *got = false;
    int code = MPI_Iprobe(MPI_ANY_SOURCE, TAG, wire.comm, &found, &status);
    if (code != MPI_SUCCESS)
        return wire_error(e, code, "receive");
    if (!found)
        return wire_reap(e);
    if (wire_receive(&status, h, e) < 0)
        return -1;
    *got = true;
    *from = (unsigned)status.MPI_SOURCE;
    *bytes = wire.in + sizeof *h;
    return 0;
}

/* The barrier: no rank ends before its last message has been taken. */
static void wire_end(void)
{
    while (wire.pending) {
        struct outgoing *o = wire.pending;
        wire.pending = o->next;
        MPI_Wait(&o->request, MPI_STATUS_IGNORE);
        free(o);
    }
    while (wire.spare) {
        struct outgoing *o = wire.spare;
        wire.spare = o->next;
        free(o);
    }
    free(wire.in);
    MPI_Barrier(wire.comm);
    MPI_Comm_free(&wire.comm);
    MPI_Finalize();
}

extern const struct wire_ops mpi_img_wire;
__attribute__((visibility("default"))) const struct wire_ops mpi_img_wire = {
    .name = WIRE_NAME,
    .start = wire_start,
    .host_sum = wire_host_sum,
    .send = wire_send,
    .poll = wire_poll,
    .end = wire_end,
};
