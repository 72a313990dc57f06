/* A whole image seen as a file, for a format above it: raw with an offset over qcow2 shows one
 * partition of a disk. Read only. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "image/node.h"
#include "io/file_ops.h"

/* Readers that wait for the next thread; more are made when more threads come. */
#define READERS_KEPT 64

struct image_file {
    struct file file;
    struct image *img; /* owned */
    pthread_mutex_t lock;
    struct image_reader *readers[READERS_KEPT];
    size_t n_readers;
};

static struct image_file *self(const struct file *f)
{
    return (struct image_file *)f;
}

static struct image_reader *take_reader(struct image_file *s, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    struct image_reader *r = s->n_readers ? s->readers[--s->n_readers] : NULL;
    pthread_mutex_unlock(&s->lock);
    return r ? r : image_reader_new(e);
}

static void put_reader(struct image_file *s, struct image_reader *r)
{
    pthread_mutex_lock(&s->lock);
    bool keep = s->n_readers < READERS_KEPT;
    if (keep)
        s->readers[s->n_readers++] = r;
    pthread_mutex_unlock(&s->lock);
    if (!keep)
        image_reader_free(r);
}

static int image_file_close(struct file *f, struct err *e)
{
    AUTO_FREE struct image_file *s = self(f);
    while (s->n_readers)
        image_reader_free(s->readers[--s->n_readers]);
    pthread_mutex_destroy(&s->lock);
    return image_close(s->img, e);
}

static uint64_t image_file_size(const struct file *f)
{
    return self(f)->img->size;
}

static int64_t image_file_allocated(const struct file *f)
{
    return file_allocated(self(f)->img->file);
}

static int image_file_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                           struct err *e)
{
    struct image_file *s = self(f);
    *got = off < s->img->size ? num_min(len, s->img->size - off) : 0;
    if (!*got)
        return 0;
    struct image_reader *r = take_reader(s, e);
    if (!r)
        return -1;
    int rc = image_read(r, s->img, off, *got, buf, e);
    put_reader(s, r);
    return rc;
}

static int image_file_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole,
                           uint64_t *length, struct err *e)
{
    struct image *img = self(f)->img;
    struct extent x;
    *is_hole = true;
    *length = len;
    if (off >= img->size)
        return 0;
    if (image_map_chain(img, off, num_min(len, img->size - off), UINT32_MAX, &x, e) ||
        image_refine(&x, e))
        return -1;
    *is_hole = x.kind == EXTENT_HOLE || x.kind == EXTENT_ZERO || x.file_hole;
    *length = x.length;
    return 0;
}

static const struct file_ops image_file_ops = {
    .protocol = "image",
    .close = image_file_close,
    .size = image_file_size,
    .allocated = image_file_allocated,
    .read = image_file_read,
    .span = image_file_span,
};

int image_file_open(struct image *img, struct file **out, struct err *e)
{
    AUTO(image_cleanup) struct image *owned = img;
    AUTO_FREE struct image_file *s = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    s->img = img;
    s->file = (struct file){.ops = &image_file_ops, .alignment = 1};
    s->file.name = mem_strdup(file_name(img->file), e);
    if (!s->file.name)
        return -1;
    pthread_mutex_init(&s->lock, NULL);
    MEM_TAKE(owned);
    *out = &MEM_TAKE(s)->file;
    return 0;
}
