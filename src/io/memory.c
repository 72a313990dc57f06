#include "io/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define BLOCK     (16 * KIB)
#define WRITE_MAX TIB

struct memory {
    struct file file;
    pthread_rwlock_t lock;
    uint64_t size;
    uint8_t **blocks; /* NULL: a hole. Beyond `n`: holes */
    size_t n;
    uint64_t allocated;
};

static struct memory *memory_of(const struct file *f)
{
    return (struct memory *)(uintptr_t)f;
}

static int memory_close(struct file *f, struct err *e)
{
    (void)e;
    struct memory *m = memory_of(f);
    for (size_t i = 0; i < m->n; i++)
        free(m->blocks[i]);
    free(m->blocks);
    pthread_rwlock_destroy(&m->lock);
    free(m);
    return 0;
}

static uint64_t memory_size(const struct file *f)
{
    struct memory *m = memory_of(f);
    pthread_rwlock_rdlock(&m->lock);
    uint64_t size = m->size;
    pthread_rwlock_unlock(&m->lock);
    return size;
}

static int64_t memory_allocated(const struct file *f)
{
    struct memory *m = memory_of(f);
    pthread_rwlock_rdlock(&m->lock);
    uint64_t bytes = m->allocated;
    pthread_rwlock_unlock(&m->lock);
    return (int64_t)bytes;
}

static uint8_t *block_at(const struct memory *m, uint64_t off)
{
    return off / BLOCK < m->n ? m->blocks[off / BLOCK] : NULL;
}

static int memory_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                       struct err *e)
{
    (void)e;
    struct memory *m = memory_of(f);
    pthread_rwlock_rdlock(&m->lock);
    size_t todo = off < m->size ? num_min(len, m->size - off) : 0;
    *got = todo;
    for (uint8_t *to = buf; todo;) {
        size_t n = num_min(todo, BLOCK - off % BLOCK);
        const uint8_t *block = block_at(m, off);
        if (block)
            memcpy(to, block + off % BLOCK, n);
        else
            memset(to, 0, n);
        to += n;
        off += n;
        todo -= n;
    }
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static int blocks_grow(struct memory *m, size_t n, struct err *e)
{
    if (n <= m->n)
        return 0;
    n = num_max(n, m->n + m->n / 2);
    uint8_t **blocks = mem_grow(m->blocks, n, sizeof *blocks, e);
    if (!blocks)
        return -1;
    memset(blocks + m->n, 0, (n - m->n) * sizeof *blocks);
    m->blocks = blocks;
    m->n = n;
    return 0;
}

static int block_fill(struct memory *m, uint64_t off, const void *buf, size_t n, struct err *e)
{
    uint8_t **block = &m->blocks[off / BLOCK];
    if (!*block) {
        *block = mem_new(1, BLOCK, e);
        if (!*block)
            return -1;
        m->allocated += BLOCK;
    }
    memcpy(*block + off % BLOCK, buf, n);
    return 0;
}

static int write_locked(struct memory *m, const uint8_t *buf, size_t len, uint64_t off,
                        struct err *e)
{
    if (!num_inside(off, len, WRITE_MAX))
        return file_fail(e, EFBIG);
    if (blocks_grow(m, num_div_up(off + len, BLOCK), e))
        return -1;
    while (len) {
        size_t n = num_min(len, BLOCK - off % BLOCK);
        if (block_fill(m, off, buf, n, e))
            return -1;
        buf += n;
        off += n;
        len -= n;
        m->size = num_max(m->size, off);
    }
    return 0;
}

static int memory_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    struct memory *m = memory_of(f);
    pthread_rwlock_wrlock(&m->lock);
    int r = write_locked(m, buf, len, off, e);
    pthread_rwlock_unlock(&m->lock);
    return r;
}

static int memory_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                       struct err *e)
{
    (void)e;
    struct memory *m = memory_of(f);
    pthread_rwlock_rdlock(&m->lock);
    uint64_t end = off, limit = off + num_min(len, UINT64_MAX - off);
    *is_hole = off >= m->size || !block_at(m, off);
    if (off < m->size)
        limit = num_min(limit, m->size);
    else
        end = limit; /* the rest of the last block is behind the end too */
    while (end < limit && *is_hole == !block_at(m, end)) {
        /* beyond the table there is nothing more to look at */
        end = end / BLOCK < m->n ? num_down(end, BLOCK) + BLOCK : limit;
    }
    *length = num_min(end, limit) - off;
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

/* Zero [off, end): blocks that are covered whole become holes. */
static void clear(struct memory *m, uint64_t off, uint64_t end)
{
    end = num_min(end, m->n * BLOCK);
    for (uint64_t n; off < end; off += n) {
        uint8_t **block = &m->blocks[off / BLOCK];
        n = num_min(end - off, BLOCK - off % BLOCK);
        if (*block && n == BLOCK) {
            free(*block);
            *block = NULL;
            m->allocated -= BLOCK;
        } else if (*block) {
            memset(*block + off % BLOCK, 0, n);
        }
    }
}

static int memory_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                       struct err *e)
{
    (void)e;
    struct memory *m = memory_of(f);
    if (how == FILE_ZERO_KEEP)
        return 0; /* written by the caller: so the space is kept */
    pthread_rwlock_wrlock(&m->lock);
    clear(m, off, off + len);
    m->size = num_max(m->size, off + len);
    pthread_rwlock_unlock(&m->lock);
    *done = true;
    return 0;
}

static void memory_discard(struct file *f, uint64_t off, uint64_t len)
{
    struct memory *m = memory_of(f);
    pthread_rwlock_wrlock(&m->lock);
    clear(m, off, off + len);
    pthread_rwlock_unlock(&m->lock);
}

static int memory_truncate(struct file *f, uint64_t size, struct err *e)
{
    (void)e;
    struct memory *m = memory_of(f);
    pthread_rwlock_wrlock(&m->lock);
    if (size < m->size)
        clear(m, size, num_up(m->size, BLOCK));
    m->size = size;
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static const struct file_ops memory_ops = {
    .protocol = "memory",
    .close = memory_close,
    .size = memory_size,
    .allocated = memory_allocated,
    .read = memory_read,
    .write = memory_write,
    .span = memory_span,
    .zero = memory_zero,
    .discard = memory_discard,
    .truncate = memory_truncate,
};

int memory_new(const char *name, const void *data, size_t len, struct file **out, struct err *e)
{
    struct memory *m = mem_new(1, sizeof *m, e);
    if (!m)
        return -1;
    m->file = (struct file){.ops = &memory_ops, .opt.write = true, .alignment = 1};
    m->file.regular = m->file.grows_zero = true;
    pthread_rwlock_init(&m->lock, NULL);
    m->file.name = mem_strdup(name, e);
    if (!m->file.name || (len && memory_write(&m->file, data, len, 0, e))) {
        free(m->file.name);
        memory_close(&m->file, e);
        return -1;
    }
    *out = &m->file;
    return 0;
}
