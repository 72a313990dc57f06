/*
 * A file in memory that remembers every change, so that a test can have it as it stood after any of
 * them: what a stop there leaves. Needs cmocka.h included before.
 */
#ifndef TESTS_TAPE_H
#define TESTS_TAPE_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file_ops.h"
#include "io/memory.h"

enum tape_op { TAPE_WRITE, TAPE_ZERO, TAPE_TRUNCATE };

struct tape_step {
    enum tape_op op;
    uint64_t off, len;
    uint8_t *data;  /* TAPE_WRITE */
    unsigned epoch; /* syncs before it */
};

struct tape_log {
    uint8_t *start; /* the file as it was */
    size_t start_len;
    struct tape_step *steps;
    size_t n;
    unsigned epoch;
};

struct tape {
    struct file file;
    struct file *below;
    struct tape_log *log; /* borrowed */
};

static inline struct tape *tape_of(const struct file *f)
{
    return (struct tape *)(uintptr_t)f;
}

static inline void tape_add(struct file *f, enum tape_op op, uint64_t off, uint64_t len,
                            const void *data)
{
    struct tape_log *t = tape_of(f)->log;
    t->steps = realloc(t->steps, (t->n + 1) * sizeof *t->steps);
    assert_non_null(t->steps);
    t->steps[t->n] = (struct tape_step){op, off, len, NULL, t->epoch};
    if (data) {
        t->steps[t->n].data = malloc(len);
        assert_non_null(t->steps[t->n].data);
        memcpy(t->steps[t->n].data, data, len);
    }
    t->n++;
}

static inline int tape_close(struct file *f, struct err *e)
{
    struct tape *t = tape_of(f);
    int r = file_close(t->below, e);
    free(t);
    return r;
}

static inline uint64_t tape_size(const struct file *f)
{
    return file_size(tape_of(f)->below);
}

static inline int tape_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                            struct err *e)
{
    return file_read_padded(tape_of(f)->below, buf, len, off, got, e);
}

static inline int tape_write(struct file *f, const void *buf, size_t len, uint64_t off,
                             struct err *e)
{
    tape_add(f, TAPE_WRITE, off, len, buf);
    return file_write(tape_of(f)->below, buf, len, off, e);
}

static inline int tape_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how,
                            bool *done, struct err *e)
{
    *done = true;
    tape_add(f, TAPE_ZERO, off, len, NULL);
    return file_zero(tape_of(f)->below, off, len, how, e);
}

static inline void tape_discard(struct file *f, uint64_t off, uint64_t len)
{
    tape_add(f, TAPE_ZERO, off, len, NULL);
    file_discard(tape_of(f)->below, off, len);
}

static inline int tape_truncate(struct file *f, uint64_t size, struct err *e)
{
    tape_add(f, TAPE_TRUNCATE, size, 0, NULL);
    return file_truncate(tape_of(f)->below, size, e);
}

static inline int tape_sync(struct file *f, struct err *e)
{
    tape_of(f)->log->epoch++;
    return file_sync(tape_of(f)->below, e);
}

static const struct file_ops tape_ops = {
    .protocol = "tape",
    .close = tape_close,
    .size = tape_size,
    .read = tape_read,
    .write = tape_write,
    .zero = tape_zero,
    .discard = tape_discard,
    .truncate = tape_truncate,
    .sync = tape_sync,
};

/* A file that begins with `data`; what happens to it goes to `log`, which outlives it. */
static inline struct file *tape_new(const void *data, size_t len, struct tape_log *log)
{
    struct err e = ERR_INIT;
    struct tape *t = calloc(1, sizeof *t);
    assert_non_null(t);
    assert_int_equal(memory_new("tape", data, len, &t->below, &e), 0);
    t->file = *t->below;
    t->file.ops = &tape_ops;
    t->file.name = mem_strdup("tape", &e);
    t->log = log;
    *log = (struct tape_log){.start = malloc(len), .start_len = len};
    assert_non_null(log->start);
    memcpy(log->start, data, len);
    return &t->file;
}

static inline void tape_log_release(struct tape_log *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->steps[i].data);
    free(l->steps);
    free(l->start);
    *l = (struct tape_log){0};
}

static inline void tape_play(const struct tape_step *s, struct file *f)
{
    struct err e = ERR_INIT;
    int r = s->op == TAPE_WRITE  ? file_write(f, s->data, s->len, s->off, &e)
            : s->op == TAPE_ZERO ? file_zero(f, s->off, s->len, FILE_ZERO_UNMAP, &e)
                                 : file_truncate(f, s->off, &e);
    assert_int_equal(r, 0);
}

/* The file as a stop in step `at` may leave it: all syncs before it have done their work; of what
 * came after the last of them, the steps that are asked for have arrived. */
enum tape_stop {
    TAPE_IN_ORDER, /* those before `at` */
    TAPE_ALONE,    /* `at` alone, and changes of the length */
    TAPE_BUT_ONE   /* all but `at` */
};

static inline struct file *tape_stopped(const struct tape_log *l, size_t at, enum tape_stop how)
{
    struct err e = ERR_INIT;
    struct file *f;
    unsigned epoch = at < l->n ? l->steps[at].epoch : UINT32_MAX;
    assert_int_equal(memory_new("stopped", l->start, l->start_len, &f, &e), 0);
    for (size_t i = 0; i < l->n && l->steps[i].epoch <= epoch; i++) {
        bool now = l->steps[i].epoch == epoch;
        bool plays = !now                   ? true
                     : how == TAPE_IN_ORDER ? i < at
                     : how == TAPE_ALONE    ? i == at || l->steps[i].op == TAPE_TRUNCATE
                                            : i != at;
        if (plays)
            tape_play(&l->steps[i], f);
    }
    return f;
}

#endif
