#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "io/keys.h"
#include "io/lustre.h"
#include "io/opening.h"

/* ---- operations ------------------------------------------------------------------------------ */

int posix_sync(struct file *f, struct err *e)
{
    struct posix *p = posix_of(f);
    int expected = 0, no = 0;
    if (fdatasync(p->fd) && (f->regular || p->is_block))
        no = errno;
    /* The kernel tells of lost pages once and calls them clean then. */
    if (no)
        atomic_compare_exchange_strong(&p->sync_error, &expected, no);
    no = p->sync_error;
    if (no)
        return file_fail(e, no);
    forget_all(p);
    return 0;
}

/* File systems with a server send what is cached when a descriptor is closed, any of them, and tell
 * how it went. For the others it costs nothing. */
static int posix_hand_over(struct file *f, struct err *e)
{
    int fd = fcntl(posix_of(f)->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || (close(fd) && errno != EINTR))
        return file_fail(e, errno);
    return 0;
}

static int posix_release(struct posix *p, struct err *e)
{
    int r = 0;
    if (p->direct_fd >= 0)
        close(p->direct_fd);
    /* after EINTR too, Linux has closed it */
    if (p->fd >= 0 && close(p->fd) && errno != EINTR)
        r = file_fail(e, errno);
    pthread_mutex_destroy(&p->relock);
    pthread_mutex_destroy(&p->holes.lock);
    pthread_mutex_destroy(&p->forget.lock);
    free(p);
    return r;
}

static int posix_close(struct file *f, struct err *e)
{
    struct posix *p = posix_of(f);
    forget_all(p);
    return posix_release(p, e);
}

static uint64_t posix_size(const struct file *f)
{
    const struct posix *p = (const struct posix *)f;
    struct stat st;
    if (!f->regular)
        return p->device_size;
    return fstat(p->fd, &st) || st.st_size < 0 ? 0 : (uint64_t)st.st_size;
}

static int64_t posix_allocated(const struct file *f)
{
    struct stat st;
    return fstat(((const struct posix *)f)->fd, &st) ? -1 : (int64_t)st.st_blocks * 512;
}

/* Of a device it is not the content's. */
static int64_t posix_modified(const struct file *f)
{
    struct stat st;
    if (!f->regular || fstat(((const struct posix *)f)->fd, &st))
        return -1;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static int posix_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                      struct err *e)
{
    return buffered_read(posix_of(f)->fd, buf, len, off, got, e);
}

static int posix_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    if (buffered_write(posix_of(f)->fd, buf, len, off, e))
        return -1;
    return f->opt.cache.writethrough ? posix_sync(f, e) : 0;
}

static int posix_relock(struct file *f, enum file_lock lock, struct err *e)
{
    struct posix *p = posix_of(f);
    pthread_mutex_lock(&p->relock);
    TRACE(file_lock, f->name, (int)p->lock, (int)lock);
    int r = lock_change(p->fd, f->name, p->strict, p->lock, lock, e);
    if (!r)
        p->lock = lock;
    pthread_mutex_unlock(&p->relock);
    return r;
}

#define OPS_COMMON(name)                                                                           \
    .protocol = (name), .close = posix_close, .size = posix_size, .allocated = posix_allocated,    \
    .modified = posix_modified, .span = holes_span, .zero = space_zero,                            \
    .zero_fast = space_zero_fast, .discard = space_discard, .hint = hints_set,                     \
    .truncate = space_truncate, .preallocate = space_preallocate, .copy = copy_range,              \
    .sync = posix_sync, .hand_over = posix_hand_over, .forget = forget_range,                      \
    .relock = posix_relock
#define OPS_BUFFERED .read = posix_read, .write = posix_write
#define OPS_DIRECT                                                                                 \
    .read = direct_read, .write = direct_write, .read_batch = direct_read_batch,                   \
    .write_batch = direct_write_batch

/* by: is a device, goes past the page cache */
static const struct file_ops posix_ops[2][2] = {
    {{OPS_COMMON("file"), OPS_BUFFERED}, {OPS_COMMON("file"), OPS_DIRECT}},
    {{OPS_COMMON("host_device"), OPS_BUFFERED}, {OPS_COMMON("host_device"), OPS_DIRECT}},
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool is_device(const struct stat *st)
{
    return S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode);
}

/* Before opening, as that can block (a fifo) or have effects (a tape). */
static int check_kind(const struct posix_request *r, const struct stat *st, struct err *e)
{
    if (r->device_only && !is_device(st))
        return err_set(e, EINVAL,
                       "'host_device' driver requires '%s' to be either a character or block "
                       "device",
                       r->shown);
    if (!S_ISREG(st->st_mode) && !is_device(st) && r->o->create == FILE_EXISTING)
        return err_set(e, EINVAL, "'file' driver requires '%s' to be a regular file", r->shown);
    return 0;
}

static int open_failed(const struct posix_request *r, struct err *e)
{
    const char *verb = r->o->create == FILE_CREATE_NEW ? "create" : "open";
    return err_errno(e, errno, "Could not %s '%s'", verb, r->shown);
}

static int open_fd(const struct posix_request *r, int flags, int *fd, struct err *e)
{
    struct stat st;
    bool known = opening_is_replayed(r->o->opening);
    int found = known ? 0 : stat(r->path, &st);
    if (found && r->o->create == FILE_EXISTING)
        return open_failed(r, e);
    if (!found && !known && check_kind(r, &st, e))
        return -1;
    if (found && (r->o->stripes.count || r->o->stripes.size))
        return (*fd = lustre_open(r->path, flags, r->mode, &r->o->stripes, e)) < 0 ? -1 : 0;
    *fd = TEMP_FAILURE_RETRY(open(r->path, flags, r->mode));
    return *fd < 0 ? open_failed(r, e) : 0;
}

static int check_writable(const struct posix *p, struct err *e)
{
    int read_only = 0;
    if (p->is_block && p->file.opt.write && !ioctl(p->fd, BLKROGET, &read_only) && read_only)
        return err_errno(e, EACCES, "The device is not writable");
    return 0;
}

static int device_length(struct posix *p, uint64_t *size, struct err *e)
{
    if (p->is_block)
        return ioctl(p->fd, BLKGETSIZE64, size) ? file_fail(e, errno) : 0;
    off_t end = lseek(p->fd, 0, SEEK_END);
    *size = end > 0 ? (uint64_t)end : 0;
    return 0;
}

/* What the open descriptor says counts, whatever stood under the name before. */
static int learn_kind(struct posix *p, const struct posix_request *r, struct err *e)
{
    struct stat st;
    if (fstat(p->fd, &st))
        return open_failed(r, e);
    if (check_kind(r, &st, e))
        return -1;
    p->is_block = S_ISBLK(st.st_mode);
    p->file.regular = p->file.grows_zero = S_ISREG(st.st_mode);
    p->file.alignment = 1;
    p->file.device = st.st_dev;
    p->file.inode = p->file.regular ? st.st_ino : 0;
    /* /dev/null and the like hold no image that two could spoil */
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
        p->file.opt.lock = FILE_LOCK_NONE;
    if (p->file.regular)
        return 0;
    return check_writable(p, e) ? -1 : device_length(p, &p->device_size, e);
}

static int lock_and_empty(struct posix *p, bool keep, struct err *e)
{
    const struct file_options *o = &p->file.opt;
    if (posix_relock(&p->file, o->lock, e))
        return -1;
    if (o->create == FILE_CREATE_NEW && p->file.regular && !keep)
        return space_truncate(&p->file, 0, e);
    return 0;
}

static int open_parts(struct posix *p, const struct posix_request *r, struct err *e)
{
    const struct file_options *o = r->o;
    int flags = (o->write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | r->flags;
    int create = o->create == FILE_CREATE_NEW ? O_CREAT : 0;
    if (open_fd(r, flags | create, &p->fd, e) || learn_kind(p, r, e))
        return -1;
    if (o->cache.direct)
        direct_open(p, flags & ~O_EXCL);
    p->file.ops = &posix_ops[!p->file.regular][p->direct_fd >= 0];
    forget_init(p);
    return lock_and_empty(p, r->keep, e);
}

int posix_open(const struct posix_request *r, struct file **out, struct err *e)
{
    AUTO_FREE char *name = mem_strdup(r->path, e);
    struct posix *p = name ? mem_new(1, sizeof *p, e) : NULL;
    if (!p)
        return -1;
    p->file.opt = *r->o;
    p->file.name = name;
    p->fd = p->direct_fd = -1;
    p->strict = r->strict;
    pthread_mutex_init(&p->relock, NULL);
    pthread_mutex_init(&p->holes.lock, NULL);
    pthread_mutex_init(&p->forget.lock, NULL);
    if (open_parts(p, r, e)) {
        struct err ignored;
        posix_release(p, &ignored);
        return -1;
    }
    name = NULL; /* the file's now */
    *out = &p->file;
    TRACE(file_open, p->file.name, p->file.ops->protocol, r->o->write, posix_size(&p->file));
    return 0;
}

/* ---- options of a specification -------------------------------------------------------------- */

static const char *const known[] = {
    "filename",   "aio",        "locking",       "x-check-cache-dropped",
    "pr-manager", "drop-cache", "aio-max-batch", NULL};

/* The value's place in `words`; the first where it is absent. */
static int parse_word(const json_t *spec, const char *key, const char *const *words, int *out,
                      struct err *e)
{
    const json_t *v = json_object_get(spec, key);
    const char *s = json_is_boolean(v) ? (json_is_true(v) ? "on" : "off") : json_string_value(v);
    *out = 0;
    if (!v)
        return 0;
    for (int i = 0; s && words[i]; i++) {
        if (!strcmp(s, words[i])) {
            *out = i;
            return 0;
        }
    }
    return err_set(e, EINVAL, "invalid parameter value: %s", s ? s : "(none)");
}

static int parse_aio(const json_t *spec, const struct file_options *o, struct err *e)
{
    static const char *const words[] = {"threads", "native", "io_uring", NULL};
    int aio;
    if (parse_word(spec, "aio", words, &aio, e))
        return -1;
    if (!strcmp(words[aio], "native") && !o->cache.direct)
        return err_set(e, EINVAL,
                       "aio=native was specified, but it requires cache.direct=on, which was not "
                       "specified.");
    return 0;
}

static int open_spec(const json_t *spec, const struct file_options *o, const char *driver,
                     struct file **out, struct err *e)
{
    static const char *const lock_words[] = {"auto", "on", "off", NULL};
    struct file_options opt = *o;
    struct posix_request r = {.o = &opt, .mode = POSIX_MODE};
    int locking;
    r.path = r.shown = json_string_value(json_object_get(spec, "filename"));
    r.device_only = strcmp(driver, "file") != 0;
    if (!r.path)
        return err_set(e, EINVAL, "The '%s' block driver requires a file name", driver);
    const char *manager = json_string_value(json_object_get(spec, "pr-manager"));
    if (manager)
        return err_set(e, ENOENT, "No persistent reservation manager with id '%s'", manager);
    if (keys_check(spec, driver, known, e) || parse_aio(spec, o, e) ||
        parse_word(spec, "locking", lock_words, &locking, e))
        return -1;
    r.strict = !strcmp(lock_words[locking], "on") ? LOCK_ON : LOCK_AUTO;
    if (!strcmp(lock_words[locking], "off"))
        opt.lock = FILE_LOCK_NONE;
    return posix_open(&r, out, e);
}

int posix_open_file(const json_t *spec, const struct file_options *o, struct file **out,
                    struct err *e)
{
    return open_spec(spec, o, "file", out, e);
}

int posix_open_device(const json_t *spec, const struct file_options *o, struct file **out,
                      struct err *e)
{
    return open_spec(spec, o, "host_device", out, e);
}
