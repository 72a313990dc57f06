#include <errno.h>
#include <unistd.h>

#include "base/num.h"
#include "io/posix.h"

/* *changes: for remember(). */
static bool known(struct posix *p, uint64_t off, bool *is_hole, uint64_t *end, uint64_t *changes)
{
    struct holes *h = &p->holes;
    pthread_mutex_lock(&h->lock);
    bool hit = off >= h->start && off < h->end;
    *is_hole = h->is_hole;
    *end = h->end;
    *changes = h->changes;
    pthread_mutex_unlock(&h->lock);
    return hit;
}

/* Only what stays is kept: data, but where we make a hole or cut; and holes of a file that nobody
 * writes. */
static void remember(struct posix *p, uint64_t start, uint64_t end, bool is_hole, uint64_t changes)
{
    struct holes *h = &p->holes;
    if (is_hole && (p->file.opt.write || p->file.opt.lock != FILE_LOCK_READER))
        return;
    pthread_mutex_lock(&h->lock);
    if (h->changes == changes) {
        h->start = start;
        h->end = end;
        h->is_hole = is_hole;
    }
    pthread_mutex_unlock(&h->lock);
}

void holes_changed(struct posix *p)
{
    struct holes *h = &p->holes;
    pthread_mutex_lock(&h->lock);
    h->start = h->end = 0;
    h->changes++;
    pthread_mutex_unlock(&h->lock);
}

/* Where the run that begins at `off` ends. 0, or errno. */
static int seek_span(int fd, uint64_t off, bool *is_hole, uint64_t *end)
{
    off_t data = lseek(fd, off, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return errno;
    *is_hole = data < 0 || (uint64_t)data > off;
    *end = data < 0 ? INT64_MAX : data;
    if (*is_hole)
        return 0;
    off_t hole = lseek(fd, off, SEEK_HOLE);
    if (hole < 0 && errno != ENXIO)
        return errno;
    /* ENXIO: the file was cut just now */
    *is_hole = hole < 0;
    *end = hole < 0 ? INT64_MAX : hole;
    return 0;
}

static void all_data(struct posix *p, uint64_t off, bool *is_hole, uint64_t *end)
{
    uint64_t size = file_size(&p->file);
    *is_hole = off >= size;
    *end = *is_hole ? INT64_MAX : size;
}

static bool is_unsupported(int no)
{
    return no == EINVAL || no == EOPNOTSUPP || no == ENOSYS || no == ESPIPE || no == ENOTTY;
}

int holes_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
               struct err *e)
{
    struct posix *p = posix_of(f);
    uint64_t end, changes;
    if (!known(p, off, is_hole, &end, &changes)) {
        int no = f->regular && !p->no_seek ? seek_span(p->fd, off, is_hole, &end) : EINVAL;
        if (no && !is_unsupported(no))
            return file_fail(e, no);
        if (no) {
            p->no_seek = true;
            all_data(p, off, is_hole, &end);
        }
        remember(p, off, end, *is_hole, changes);
    }
    *length = end > off ? num_min(len, end - off) : len;
    return 0;
}
