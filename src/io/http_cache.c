/*
 * Small reads, of an image's tables mostly, come from blocks that were read ahead. A thread that
 * needs a block which another one is reading waits for that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/http.h"

void http_cache_init(struct http_cache *c)
{
    c->n = HTTP_BLOCKS;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->came, NULL);
}

void http_cache_release(struct http_cache *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->block[i].data);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->came);
}

static struct http_block *find(struct http_cache *c, uint64_t number)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->block[i].state != HTTP_EMPTY && c->block[i].number == number)
            return &c->block[i];
    return NULL;
}

/* One that nobody uses, longest unused first; NULL: all are in use. */
static struct http_block *spare(struct http_cache *c)
{
    struct http_block *best = NULL;
    for (size_t i = 0; i < c->n; i++) {
        struct http_block *b = &c->block[i];
        if (!b->readers && (!best || b->used < best->used))
            best = b;
    }
    return best;
}

static int fill(struct http_file *f, struct http_block *b, struct err *e)
{
    uint64_t off = b->number * f->spec.readahead;
    if (!b->data && !(b->data = mem_io(f->spec.readahead, e)))
        return -1;
    return http_get(f, b->data, num_min(f->spec.readahead, f->size - off), off, e);
}

/* Under the lock, which is given up while the block comes. */
static int fetch(struct http_file *f, struct http_block *b, uint64_t number, struct err *e)
{
    struct http_cache *c = &f->cache;
    b->state = HTTP_COMING;
    b->number = number;
    pthread_mutex_unlock(&c->lock);
    int r = fill(f, b, e);
    pthread_mutex_lock(&c->lock);
    b->state = r ? HTTP_EMPTY : HTTP_THERE;
    pthread_cond_broadcast(&c->came);
    return r;
}

/* The block, with this thread among its readers; under the lock. *r: what became of it. NULL: none
 * can be had. One that another thread could not read is tried again by this one. */
static struct http_block *hold(struct http_file *f, uint64_t number, int *r, struct err *e)
{
    struct http_cache *c = &f->cache;
    struct http_block *b = find(c, number);
    *r = 0;
    if (b) {
        b->readers++;
        while (b->state == HTTP_COMING)
            pthread_cond_wait(&c->came, &c->lock);
    } else if ((b = spare(c))) {
        b->readers++;
        *r = fetch(f, b, number, e);
    }
    return b;
}

int http_cache_read(struct http_file *f, void *buf, size_t len, uint64_t off, struct err *e)
{
    struct http_cache *c = &f->cache;
    uint64_t number = off / f->spec.readahead;
    bool there = false;
    int r;
    pthread_mutex_lock(&c->lock);
    struct http_block *b = hold(f, number, &r, e);
    if (b) {
        there = !r && b->state == HTTP_THERE && b->number == number;
        b->used = ++c->clock;
        pthread_mutex_unlock(&c->lock);
        if (there)
            memcpy(buf, b->data + off % f->spec.readahead, len);
        pthread_mutex_lock(&c->lock);
        b->readers--;
    }
    pthread_mutex_unlock(&c->lock);
    if (r || there)
        return r;
    return http_get(f, buf, len, off, e);
}
