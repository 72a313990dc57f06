#include "flow/journal.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/writer.h"
#include "io/file.h"

#define MAGIC    "MPIIMGJ1"
#define ORDER    UINT32_C(0x01020304)
#define HEAD_MAX (16 * MIB)
#define READ_MAX (1 * MIB) /* read at once, unless a record is longer */

struct file_head {
    char magic[8];
    uint32_t order, len;
};

struct record_head {
    uint32_t len; /* of the whole record, its hash included */
    uint32_t n_need, hash_len, unused;
    uint64_t chunk, data, place;
};

#define RECORD_MIN (sizeof(struct record_head) + sizeof(uint64_t))
#define RECORD_MAX ((uint32_t)1 << 30)

struct bytes {
    unsigned char *data;
    size_t len, room;
};

struct entry {
    uint64_t chunk;
    uint64_t at; /* in the file */
};

struct journal {
    struct file *file;
    struct bytes head;
    uint64_t seed; /* hash of the head */
    uint64_t end;  /* behind the last whole record */
    struct entry *entry;
    size_t n, room;
    struct bytes in;     /* what was read */
    struct bytes kept;   /* added since the last turn */
    struct bytes turned; /* to be written next */
};

/* ---- bytes ----------------------------------------------------------------------------------- */

static int bytes_room(struct bytes *b, size_t more, struct err *e)
{
    if (b->room - b->len >= more)
        return 0;
    size_t room = num_max(b->len + more, 2 * b->room);
    void *grown = mem_grow(b->data, room, 1, e);
    if (!grown)
        return -1;
    b->data = grown;
    b->room = room;
    return 0;
}

/* There is room. */
static void bytes_put(struct bytes *b, const void *from, size_t n)
{
    if (n)
        memcpy(b->data + b->len, from, n);
    b->len += n;
}

uint64_t journal_hash(uint64_t seed, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t h = seed ^ len * UINT64_C(0x9e3779b97f4a7c15);
    for (; len; at += num_min(len, 8), len -= num_min(len, 8)) {
        uint64_t word = 0;
        memcpy(&word, at, num_min(len, 8));
        h = (h ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
        h ^= h >> 29;
    }
    h *= UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 32;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* [at, at + len) of the file into j->in. */
static int read_part(struct journal *j, uint64_t at, size_t len, struct err *e)
{
    j->in.len = 0;
    if (bytes_room(&j->in, len, e) < 0 || file_read(j->file, j->in.data, len, at, e) < 0)
        return -1;
    j->in.len = len;
    return 0;
}

/* 1: whole, 0: not. */
static int read_head(struct journal *j, uint64_t size, struct err *e)
{
    struct file_head h;
    uint64_t hash;
    if (size < sizeof h || read_part(j, 0, sizeof h, e) < 0)
        return size < sizeof h ? 0 : -1;
    memcpy(&h, j->in.data, sizeof h);
    if (memcmp(h.magic, MAGIC, sizeof h.magic) != 0)
        return 0;
    if (h.order != ORDER)
        return err_set(e, ENOTSUP, "'%s' was written on another kind of machine",
                       file_name(j->file));
    size_t all = sizeof h + h.len + sizeof hash;
    if (h.len > HEAD_MAX || size < all)
        return 0;
    if (read_part(j, 0, all, e) < 0)
        return -1;
    memcpy(&hash, j->in.data + sizeof h + h.len, sizeof hash);
    if (hash != journal_hash(0, j->in.data, sizeof h + h.len))
        return 0;
    if (bytes_room(&j->head, h.len + 1, e) < 0)
        return -1;
    bytes_put(&j->head, j->in.data + sizeof h, h.len);
    j->seed = hash;
    j->end = all;
    return 1;
}

/* Is there a whole record in these bytes? 0, or its length; *more = bytes that it would need. */
static uint32_t record_length(const struct journal *j, const unsigned char *at, uint64_t left,
                              uint64_t *more)
{
    struct record_head h;
    uint64_t hash, needs;
    *more = RECORD_MIN;
    if (left < RECORD_MIN)
        return 0;
    memcpy(&h, at, sizeof h);
    needs = (uint64_t)h.n_need * sizeof(need_t) + h.hash_len;
    *more = h.len;
    if (h.len < RECORD_MIN || h.len > RECORD_MAX || needs > h.len - RECORD_MIN) {
        *more = 0; /* it never will be */
        return 0;
    }
    if (left < h.len)
        return 0;
    memcpy(&hash, at + h.len - sizeof hash, sizeof hash);
    *more = 0;
    return hash == journal_hash(j->seed, at, h.len - sizeof hash) ? h.len : 0;
}

static int entry_add(struct journal *j, const unsigned char *at, uint64_t where, struct err *e)
{
    struct record_head h;
    if (j->n == j->room) {
        size_t room = num_max(1024, 2 * j->room);
        struct entry *grown = mem_grow(j->entry, room, sizeof *grown, e);
        if (!grown)
            return -1;
        j->entry = grown;
        j->room = room;
    }
    memcpy(&h, at, sizeof h);
    j->entry[j->n++] = (struct entry){h.chunk, where};
    return 0;
}

/* The whole records in j->in; *missing = how many bytes the next one needs, 0: there is none. */
static int scan_part(struct journal *j, uint64_t *missing, struct err *e)
{
    uint64_t done = 0;
    uint32_t len;
    while ((len = record_length(j, j->in.data + done, j->in.len - done, missing))) {
        if (entry_add(j, j->in.data + done, j->end, e) < 0)
            return -1;
        done += len;
        j->end += len;
    }
    return 0;
}

static int by_chunk(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static void sort_entries(struct journal *j)
{
    size_t n = 0;
    if (j->n)
        qsort(j->entry, j->n, sizeof *j->entry, by_chunk);
    for (size_t i = 0; i < j->n; i++)
        if (!n || j->entry[n - 1].chunk != j->entry[i].chunk)
            j->entry[n++] = j->entry[i];
    j->n = n;
}

static int scan(struct journal *j, uint64_t size, struct err *e)
{
    uint64_t missing = RECORD_MIN;
    while (missing && missing <= size - j->end) {
        uint64_t part = num_min(num_max(missing, READ_MAX), size - j->end);
        if (read_part(j, j->end, part, e) < 0 || scan_part(j, &missing, e) < 0)
            return -1;
    }
    sort_entries(j);
    return 0;
}

static struct journal *journal_new(struct err *e)
{
    return mem_new(1, sizeof(struct journal), e);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    file_cleanup(&j->file);
    free(j->head.data);
    free(j->in.data);
    free(j->kept.data);
    free(j->turned.data);
    free(j->entry);
    free(j);
}

void journal_cleanup(struct journal **j)
{
    journal_close(*j);
}

int journal_open(const char *path, struct journal **out, struct err *e)
{
    AUTO(journal_cleanup) struct journal *j = journal_new(e);
    const struct file_options o = {.write = true};
    *out = NULL;
    if (!j)
        return -1;
    if (file_open_path(path, &o, &j->file, e) < 0) {
        if (e->no != ENOENT)
            return -1;
        err_clear(e);
        return 0;
    }
    uint64_t size = file_size(j->file);
    int whole = read_head(j, size, e);
    if (whole <= 0)
        return whole;
    if (scan(j, size, e) < 0)
        return -1;
    *out = MEM_TAKE(j);
    return 0;
}

const void *journal_head(const struct journal *j, size_t *len)
{
    *len = j->head.len;
    return j->head.data;
}

size_t journal_count(const struct journal *j)
{
    return j->n;
}

uint64_t journal_chunk(const struct journal *j, size_t i)
{
    return j->entry[i].chunk;
}

int journal_read(struct journal *j, size_t i, struct journal_record *out, struct err *e)
{
    struct record_head h;
    uint64_t at = j->entry[i].at, more;
    uint32_t len;
    if (file_read(j->file, &h, sizeof h, at, e) < 0)
        return -1;
    if (h.len < RECORD_MIN || h.len > RECORD_MAX || read_part(j, at, h.len, e) < 0 ||
        !(len = record_length(j, j->in.data, j->in.len, &more)))
        return err_set(e, EIO, "'%s' has changed", file_name(j->file));
    memcpy(&h, j->in.data, sizeof h);
    const unsigned char *need = j->in.data + sizeof h;
    size_t needs = h.n_need * sizeof(need_t);
    *out = (struct journal_record){
        .chunk = h.chunk,
        .data = h.data,
        .place = h.place,
        .need = need,
        .n_need = h.n_need,
        .hash = need + needs,
        .hash_len = h.hash_len,
        .edges = need + needs + h.hash_len,
        .edges_len = len - RECORD_MIN - needs - h.hash_len,
    };
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int write_head(struct journal *j, const void *head, size_t len, struct err *e)
{
    struct file_head h = {.order = ORDER, .len = (uint32_t)len};
    struct bytes *b = &j->in;
    if (len > HEAD_MAX)
        return err_set(e, EFBIG, "Too many words for a journal");
    memcpy(h.magic, MAGIC, sizeof h.magic);
    if (bytes_room(b, sizeof h + len + sizeof j->seed, e) < 0)
        return -1;
    bytes_put(b, &h, sizeof h);
    bytes_put(b, head, len);
    j->seed = journal_hash(0, b->data, b->len);
    bytes_put(b, &j->seed, sizeof j->seed);
    j->end = b->len;
    return file_write(j->file, b->data, b->len, 0, e) < 0 ? -1 : file_sync(j->file, e);
}

int journal_create(const char *path, const void *head, size_t len, struct journal **out,
                   struct err *e)
{
    AUTO(journal_cleanup) struct journal *j = journal_new(e);
    const struct file_options o = {.write = true, .create = FILE_CREATE_NEW};
    if (!j || file_open_path(path, &o, &j->file, e) < 0)
        return -1;
    if (write_head(j, head, len, e) < 0)
        return err_prefix(e, "%s: ", path);
    *out = MEM_TAKE(j);
    return 0;
}

int journal_append(struct journal *j, struct err *e)
{
    return file_size(j->file) == j->end ? 0 : file_truncate(j->file, j->end, e);
}

int journal_add(struct journal *j, const struct journal_record *r, struct err *e)
{
    uint64_t hash, needs = r->n_need * sizeof(need_t);
    uint64_t len = RECORD_MIN + needs + r->hash_len + r->edges_len;
    struct bytes *b = &j->kept;
    if (len > RECORD_MAX)
        return err_set(e, EFBIG, "A chunk has too much to tell the journal");
    const struct record_head h = {
        .len = (uint32_t)len,
        .n_need = (uint32_t)r->n_need,
        .hash_len = (uint32_t)r->hash_len,
        .chunk = r->chunk,
        .data = r->data,
        .place = r->place,
    };
    if (bytes_room(b, len, e) < 0)
        return -1;
    const unsigned char *start = b->data + b->len;
    bytes_put(b, &h, sizeof h);
    bytes_put(b, r->need, needs);
    bytes_put(b, r->hash, r->hash_len);
    bytes_put(b, r->edges, r->edges_len);
    hash = journal_hash(j->seed, start, len - sizeof hash);
    bytes_put(b, &hash, sizeof hash);
    return 0;
}

size_t journal_waiting(const struct journal *j)
{
    return j->kept.len;
}

void journal_turn(struct journal *j)
{
    struct bytes empty = j->turned;
    j->turned = j->kept;
    j->kept = empty;
}

int journal_write(struct journal *j, struct err *e)
{
    struct bytes *b = &j->turned;
    if (!b->len)
        return 0;
    if (file_write(j->file, b->data, b->len, j->end, e) < 0 || file_sync(j->file, e) < 0)
        return err_prefix(e, "%s: ", file_name(j->file));
    j->end += b->len;
    b->len = 0;
    return 0;
}
