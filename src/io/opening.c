#include "io/opening.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file_ops.h"
#include "io/join.h"

#define OPENING_MAX MIB /* bytes: what one rank can send to a thousand */

enum { NOTE_FILE, NOTE_READ };

/* Then the name, then what was read; each padded to 8 bytes. */
struct note {
    uint32_t kind, name;
    uint64_t off, len; /* of the read; of a file: its inode, its size */
    uint64_t got;
};

struct opening {
    bool records, replays; /* neither: it has ended */
    uint8_t *bytes;
    size_t len, room;
    size_t
        at; /* replaying: behind the last answer; they come in order, but for what is read twice */
};

/* ---- life ------------------------------------------------------------------------------------ */

int opening_new(struct opening **out, struct err *e)
{
    *out = mem_new(1, sizeof **out, e);
    if (!*out)
        return -1;
    (*out)->records = true;
    return 0;
}

int opening_load(const void *bytes, size_t len, struct opening **out, struct err *e)
{
    struct opening *o = *out = mem_new(1, sizeof *o, e);
    if (!o || !(o->bytes = mem_new(len, 1, e)))
        return -1;
    if (len)
        memcpy(o->bytes, bytes, len);
    o->len = len;
    o->replays = true;
    return 0;
}

void opening_free(struct opening *o)
{
    if (o)
        free(o->bytes);
    free(o);
}

/* What was recorded may still be sent. */
void opening_end(struct opening *o)
{
    if (!o)
        return;
    if (o->replays) {
        free(o->bytes);
        o->bytes = NULL;
        o->len = 0;
    }
    o->records = o->replays = false;
}

const void *opening_bytes(const struct opening *o, size_t *len)
{
    *len = o->len;
    return o->bytes;
}

bool opening_is_replayed(const struct opening *o)
{
    return o && o->replays;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static size_t padded(size_t n)
{
    return num_up(n, 8);
}

static size_t note_bytes(const struct note *n)
{
    return sizeof *n + padded(n->name) + (n->kind == NOTE_READ ? padded(n->got) : 0);
}

static void append(struct opening *o, const void *bytes, size_t n)
{
    if (n)
        memcpy(o->bytes + o->len, bytes, n);
    memset(o->bytes + o->len + n, 0, padded(n) - n);
    o->len += padded(n);
}

/* Recording is a help: what has no room is read by each rank itself. */
static void note_add(struct opening *o, const struct note *n, const char *name, const void *data)
{
    struct err ignored = ERR_INIT;
    size_t need = o->len + note_bytes(n);
    if (need > OPENING_MAX)
        return;
    if (need > o->room) {
        void *grown = mem_grow(o->bytes, num_max(need, 2 * o->room), 1, &ignored);
        if (!grown)
            return;
        o->bytes = grown;
        o->room = num_max(need, 2 * o->room);
    }
    append(o, n, sizeof *n);
    append(o, name, n->name);
    if (n->kind == NOTE_READ)
        append(o, data, n->got);
}

/* The note at `at`, if there is a whole one. */
static bool note_load(const struct opening *o, size_t at, struct note *n)
{
    if (o->len - at < sizeof *n)
        return false;
    memcpy(n, o->bytes + at, sizeof *n);
    return n->got <= o->len && n->name <= o->len && note_bytes(n) <= o->len - at;
}

static bool is_wanted(const struct opening *o, size_t at, const struct note *n,
                      const struct note *want, const char *name)
{
    return n->kind == want->kind && n->name == want->name &&
           (n->kind == NOTE_FILE || (n->off == want->off && n->len == want->len)) &&
           !memcmp(o->bytes + at + sizeof *n, name, n->name);
}

/* In [at, end): sets *want to it, and *at to its place. */
static bool search(const struct opening *o, size_t *at, size_t end, struct note *want,
                   const char *name)
{
    struct note n;
    for (; *at < end && note_load(o, *at, &n); *at += note_bytes(&n)) {
        if (!is_wanted(o, *at, &n, want, name))
            continue;
        *want = n;
        return true;
    }
    return false;
}

/* NULL, or what stands in the note behind the name. */
static const uint8_t *note_find(struct opening *o, struct note *want, const char *name)
{
    size_t at = o->at;
    if (!search(o, &at, o->len, want, name)) {
        at = 0;
        if (!search(o, &at, o->at, want, name))
            return NULL;
    }
    o->at = at + note_bytes(want);
    return o->bytes + at + sizeof *want + padded(want->name);
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct note note_of(const struct file *f)
{
    return (struct note){
        .kind = NOTE_FILE, .name = (uint32_t)strlen(f->name), .off = f->inode, .len = file_size(f)};
}

static enum join_verdict compare(struct opening *o, const struct file *f)
{
    struct note here = note_of(f), want = here;
    if (!f->regular || !note_find(o, &want, f->name))
        return JOIN_SAME;
    enum join_verdict verdict = join_compare(f, want.off);
    return here.len == want.len ? verdict : JOIN_OTHER;
}

/* Rank 0 could open it: so it is there. */
static int open_again(struct opening *o, const json_t *node, const struct file_options *fo,
                      struct file **out, struct err *e)
{
    const char *path = json_string_value(json_object_get(node, "filename"));
    struct join j = {0};
    enum join_verdict verdict = JOIN_SAME;
    do {
        file_cleanup(out);
        err_clear(e);
        if (file_open(node, fo, out, e) < 0)
            continue;
        verdict = compare(o, *out);
        if (verdict == JOIN_SAME || join_is_enough(&j, verdict))
            return 0;
    } while (path && join_again(&j, path, *out ? ESTALE : e->no));
    if (!*out)
        return -1;
    file_cleanup(out);
    return join_other(path, e);
}

int opening_file(struct opening *o, const json_t *node, const struct file_options *fo,
                 struct file **out, struct err *e)
{
    *out = NULL;
    if (opening_is_replayed(o))
        return open_again(o, node, fo, out, e);
    if (file_open(node, fo, out, e) < 0)
        return -1;
    if (o && o->records) {
        struct note n = note_of(*out);
        note_add(o, &n, (*out)->name, NULL);
    }
    return 0;
}

/* ---- reads ----------------------------------------------------------------------------------- */

static struct note note_of_read(const struct file *f, uint64_t off, size_t len, size_t got)
{
    return (struct note){
        .kind = NOTE_READ, .name = (uint32_t)strlen(f->name), .off = off, .len = len, .got = got};
}

bool opening_answers(struct opening *o, const struct file *f, void *buf, size_t len, uint64_t off,
                     size_t *got)
{
    if (!o->replays)
        return false;
    struct note want = note_of_read(f, off, len, 0);
    const uint8_t *data = note_find(o, &want, f->name);
    if (!data || want.got > len)
        return false;
    memcpy(buf, data, want.got);
    *got = want.got;
    return true;
}

void opening_note(struct opening *o, const struct file *f, const void *buf, size_t len,
                  uint64_t off, size_t got)
{
    if (!o->records)
        return;
    const struct note n = note_of_read(f, off, len, got);
    note_add(o, &n, f->name, buf);
}
