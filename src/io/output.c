#include "io/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "base/trace.h"
#include "io/join.h"
#include "io/posix.h"

#define SUFFIX    ".mpi-img-part"
#define JOURNAL   ".mpi-img-journal"
#define LINKS_MAX 40
#define CLEARED   4096u /* bytes: no probe knows an image without them */

struct output {
    struct file *file;
    struct file *held; /* the file under the final name, locked so that nobody begins to use it */
    char *temp;
    char *final;   /* where symbolic links lead; NULL when in place */
    char *journal; /* a lasting one's, or of an earlier run that lasted */
    bool lasting, go_on;
    struct file_options opt;
    struct stat old;     /* of held */
    struct output *next; /* its members, in the order they began */
};

struct file *output_file(struct output *o)
{
    return o->file;
}

const char *output_temp(const struct output *o)
{
    return o->temp;
}

bool output_in_place(const struct output *o)
{
    return !o->final;
}

bool output_has_members(const struct output *o)
{
    return o->next != NULL;
}

/* What its beginning has made. */
static void begin_undo(struct output *o)
{
    file_cleanup(&o->file);
    file_cleanup(&o->held);
    free(o->temp);
    free(o->final);
    free(o->journal);
    o->temp = o->final = o->journal = NULL;
}

static void output_free(struct output *o)
{
    if (o->next)
        output_free(o->next);
    begin_undo(o);
    free(o);
}

static void output_cleanup(struct output **o)
{
    if (*o)
        output_free(*o);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Length of the folder's part of a path, with the slash. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Where symbolic links lead, also if nothing is there. */
static char *follow(const char *path, struct err *e)
{
    AUTO_FREE char *at = mem_strdup(path, e);
    for (int i = 0; at && i < LINKS_MAX; i++) {
        char to[PATH_MAX];
        ssize_t n = readlink(at, to, sizeof to - 1);
        if (n < 0)
            return MEM_TAKE(at);
        to[n] = '\0';
        int folder = to[0] == '/' ? 0 : (int)folder_length(at);
        char *next = mem_printf(e, "%.*s%s", folder, at, to);
        free(at);
        at = next;
    }
    if (at)
        err_errno(e, ELOOP, "Could not create '%s'", path);
    return NULL;
}

/* A name that is too long with the suffix gives up some of its end. */
static char *name_beside(const char *final, const char *suffix, struct err *e)
{
    size_t folder = folder_length(final);
    size_t base = num_min(strlen(final + folder), NAME_MAX - strlen(suffix));
    return mem_printf(e, "%.*s%s", (int)(folder + base), final, suffix);
}

static char *temp_name(const char *final, struct err *e)
{
    return name_beside(final, SUFFIX, e);
}

/* ---- the temporary file ---------------------------------------------------------------------- */

static bool is_file_of(int fd, const char *path)
{
    struct stat opened, named;
    return !fstat(fd, &opened) && !lstat(path, &named) && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Is it still what stands under that name? If not, it was renamed or removed since we opened it,
 * and may be somebody's image by now. */
static bool is_named_so(struct file *f)
{
    return is_file_of(posix_of(f)->fd, f->name);
}

/* Remove what a killed run left, if nobody holds it. It is not written to: whoever put it there may
 * have it open still. */
static int leftover_remove(const struct output *o, const struct posix_request *r, struct err *e)
{
    struct posix_request again = *r;
    AUTO(file_cleanup) struct file *f = NULL;
    again.flags = O_NOFOLLOW;
    again.keep = true;
    /* ELOOP: a symbolic link; ESTALE: another machine has just removed it */
    if (posix_open(&again, &f, e) && e->no != ELOOP && e->no != ESTALE)
        return -1;
    if (f && !is_named_so(f))
        return 0;
    /* first, or it would seem to be that of the file to come */
    unlink(o->journal);
    if (unlink(r->path) && errno != ENOENT)
        return err_errno(e, errno, "Could not remove '%s'", r->path);
    return 0;
}

/* What an earlier run left is gone on with, if nobody else does that. */
static int temp_reopen(struct output *o, const char *path, struct err *e)
{
    struct file_options opt = o->opt;
    struct posix_request r = {.path = o->temp, .shown = path, .o = &opt, .flags = O_NOFOLLOW};
    opt.create = FILE_EXISTING;
    if (posix_open(&r, &o->file, e))
        return -1;
    return is_named_so(o->file) ? 0 : err_set(e, EBUSY, "'%s' has just been replaced", o->temp);
}

static int temp_open(struct output *o, const char *path, struct err *e)
{
    struct posix_request r = {.path = o->temp, .shown = path, .o = &o->opt};
    /* private while it may be more open than what it replaces; the mode follows at the end */
    r.mode = o->held ? 0600 : POSIX_MODE;
    r.flags = O_EXCL | O_NOFOLLOW;
    r.keep = true; /* it is new: there is nothing to cut off */
    for (int tries = 0; tries < 10; tries++) {
        struct stat st;
        /* left by a run that had just ended: before the file, or it would seem to be its journal */
        if (lstat(o->temp, &st) && errno == ENOENT)
            unlink(o->journal);
        if (!posix_open(&r, &o->file, e))
            return 0;
        if (e->no != EEXIST || leftover_remove(o, &r, e))
            return -1;
    }
    return err_errno(e, EEXIST, "Could not create '%s'", o->temp);
}

/* ---- beginning ------------------------------------------------------------------------------- */

#ifdef STATX_ATTR_MOUNT_ROOT
static bool is_mounted(const char *path)
{
    struct statx sx;
    return !statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx) &&
           (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}
#else
static bool is_mounted(const char *path)
{
    (void)path;
    return false;
}
#endif

/* Whoever comes between two runs would find half an image under the name, or change it. */
static int refuse_lasting(const char *path, struct err *e)
{
    return err_set(e, ENOTSUP, "'%s' is written in place: such an output cannot be resumed", path);
}

static bool has_stripes(const struct file_options *opt)
{
    return opt->stripes.count || opt->stripes.size;
}

static int refuse_stripes(const char *path, struct err *e)
{
    return err_set(e, ENOTSUP, "'%s' is written in place: its stripes cannot be set", path);
}

static int begin_in_place(struct output *o, const char *path, struct err *e)
{
    free(o->temp);
    free(o->final);
    file_cleanup(&o->held);
    o->temp = o->final = NULL;
    if (has_stripes(&o->opt))
        return refuse_stripes(path, e);
    o->temp = mem_strdup(path, e);
    return o->temp ? file_open_path(path, &o->opt, &o->file, e) : -1;
}

/* Open what stands under the final name: as one who could write it, and keeping others out. */
static int hold_old(struct output *o, const char *path, struct err *e)
{
    struct file_options hold = o->opt;
    hold.cache.direct = hold.forget = false;
    hold.stripes = (struct file_stripes){0};
    struct posix_request r = {.path = path, .shown = path, .o = &hold, .mode = POSIX_MODE};
    r.keep = true;
    if (posix_open(&r, &o->held, e))
        return -1;
    if (fstat(posix_of(o->held)->fd, &o->old))
        return file_fail(e, errno);
    return 0;
}

static bool is_folder_closed(int no)
{
    return no == EACCES || no == EPERM || no == EROFS;
}

static int begin_temp(struct output *o, const char *path, bool exists, struct err *e)
{
    o->final = follow(path, e);
    o->temp = o->final ? temp_name(o->final, e) : NULL;
    o->journal = o->temp ? name_beside(o->final, JOURNAL, e) : NULL;
    if (!o->journal || (exists && hold_old(o, path, e)))
        return -1;
    if (!(o->go_on ? temp_reopen(o, path, e) : temp_open(o, path, e)))
        return 0;
    if (!exists || o->lasting || !is_folder_closed(e->no))
        return -1;
    err_clear(e);
    return begin_in_place(o, path, e);
}

static int begin_path(struct output *o, const char *path, struct err *e)
{
    struct stat st;
    bool exists = !stat(path, &st);
    bool in_place = o->opt.create == FILE_EXISTING ||
                    (exists && (!S_ISREG(st.st_mode) || st.st_nlink > 1 || is_mounted(path)));
    if (in_place && o->lasting)
        return refuse_lasting(path, e);
    if (in_place ? begin_in_place(o, path, e) : begin_temp(o, path, exists, e))
        return -1;
    TRACE(output_begin, path, o->temp);
    return 0;
}

static struct output *output_new(const struct file_options *opt, struct err *e)
{
    struct output *o = mem_new(1, sizeof *o, e);
    if (!o)
        return NULL;
    o->opt = *opt;
    o->opt.write = true;
    o->opt.lock = FILE_LOCK_WRITER;
    return o;
}

int output_begin(const char *path, const struct file_options *opt, struct output **out,
                 struct err *e)
{
    AUTO(output_cleanup) struct output *o = output_new(opt, e);
    if (!o || begin_path(o, path, e))
        return -1;
    *out = MEM_TAKE(o);
    return 0;
}

static int begin_node(struct output *o, const json_t *node, struct err *e)
{
    const char *name = json_string_value(json_object_get(node, "filename"));
    const char *driver = json_string_value(json_object_get(node, "driver"));
    o->opt.create = FILE_EXISTING;
    if (has_stripes(&o->opt))
        return refuse_stripes(name ? name : driver, e);
    if (file_open(node, &o->opt, &o->file, e))
        return err_prefix(e,
                          "Protocol driver '%s' does not support image creation, and opening the "
                          "image failed: ",
                          driver);
    o->temp = mem_strdup(file_name(o->file), e);
    return o->temp ? 0 : -1;
}

static const char *node_path(const json_t *node)
{
    const char *driver = json_string_value(json_object_get(node, "driver"));
    const char *path = json_string_value(json_object_get(node, "filename"));
    return path && driver && !strcmp(driver, "file") ? path : NULL;
}

int output_begin_node(const json_t *node, const struct file_options *opt, struct output **out,
                      struct err *e)
{
    const char *path = node_path(node);
    if (path)
        return output_begin(path, opt, out, e);
    AUTO(output_cleanup) struct output *o = output_new(opt, e);
    if (!o || begin_node(o, node, e))
        return -1;
    TRACE(output_begin, o->temp, o->temp);
    *out = MEM_TAKE(o);
    return 0;
}

/* A file server keeps the locks of a client that has died until it is sure of that: 90 seconds
 * where nobody has set it otherwise. Whoever goes on for it waits so long. */
#define LEASE 100 /* seconds */

static bool is_dead_lock(const char *path, const struct err *e)
{
    return (e->no == EAGAIN || e->no == EACCES) && join_is_on_nfs(path);
}

static int begin_lasting(struct output *o, const char *path, struct err *e)
{
    int status = begin_path(o, path, e);
    for (unsigned i = 0; status && i < LEASE && is_dead_lock(path, e) && !signals_stop(); i++) {
        sleep(1);
        begin_undo(o);
        err_clear(e);
        status = begin_path(o, path, e);
    }
    return status;
}

int output_begin_lasting(const json_t *node, const struct file_options *opt, bool go_on,
                         struct output **out, struct err *e)
{
    AUTO(output_cleanup) struct output *o = output_new(opt, e);
    const char *path = node_path(node);
    if (!o)
        return -1;
    if (!path)
        return refuse_lasting(json_string_value(json_object_get(node, "driver")), e);
    o->lasting = true;
    o->go_on = go_on;
    if (begin_lasting(o, path, e))
        return -1;
    *out = MEM_TAKE(o);
    return 0;
}

static int names_fill(struct output_names *n, const char *path, struct err *e)
{
    n->final = follow(path, e);
    n->temp = n->final ? temp_name(n->final, e) : NULL;
    n->journal = n->temp ? name_beside(n->final, JOURNAL, e) : NULL;
    return n->journal ? 0 : -1;
}

int output_names(const json_t *node, struct output_names *out, struct err *e)
{
    const char *path = node_path(node);
    *out = (struct output_names){0};
    return path ? names_fill(out, path, e) : 0;
}

void output_names_release(struct output_names *n)
{
    free(n->final);
    free(n->temp);
    free(n->journal);
}

int output_clear(struct output *o, struct err *e)
{
    uint64_t size = file_size(o->file);
    if (!output_in_place(o) || file_is_regular(o->file) || !size)
        return 0;
    return file_zero(o->file, 0, num_min(size, CLEARED), FILE_ZERO_KEEP, e);
}

/* ---- members --------------------------------------------------------------------------------- */

static int same_file(const struct output *o, const char *path)
{
    const char *name = o->final ? o->final : o->temp;
    return !strcmp(name, path);
}

/* Is there no folder that a further file could stand in? */
static bool is_remote(const struct output *o)
{
    const char *protocol = file_protocol(o->file);
    return strcmp(protocol, "file") && strcmp(protocol, "host_device");
}

int output_member(struct output *o, const char *path, struct file **out, struct err *e)
{
    struct output *last = o;
    *out = NULL;
    if (is_remote(o))
        return err_set(e, ENOTSUP, "An image of several files cannot be written to '%s'", o->temp);
    if (o->lasting)
        return err_set(e, ENOTSUP, "An image of several files cannot be resumed");
    while (last->next && !same_file(last, path))
        last = last->next;
    if (same_file(last, path))
        return err_set(e, EEXIST, "'%s' would be two files of one image", path);
    struct file_options opt = o->opt;
    opt.create = FILE_CREATE_NEW;
    if (output_begin(path, &opt, &last->next, e))
        return -1;
    /* the output keeps its own descriptor, and with it the lock */
    opt.create = FILE_EXISTING;
    opt.lock = FILE_LOCK_NONE;
    return file_open_path(last->next->temp, &opt, out, e);
}

int output_member_join(const char *path, const struct file_options *opt, struct file **out,
                       struct err *e)
{
    AUTO_FREE char *final = follow(path, e);
    AUTO_FREE char *temp = final ? temp_name(final, e) : NULL;
    struct file_options o = *opt;
    *out = NULL;
    o.create = FILE_EXISTING;
    o.lock = FILE_LOCK_NONE;
    if (!temp)
        return -1;
    join_look(temp);
    if (!file_open_path(temp, &o, out, e) || e->no != ENOENT)
        return *out ? 0 : -1;
    err_clear(e);
    return file_open_path(path, &o, out, e); /* a device, or what cannot be replaced */
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Only root can give files away; for others the mode is what matters. */
static int inherit(const struct output *o, struct err *e)
{
    if (!o->held)
        return 0;
    int fd = posix_of(o->file)->fd;
    bool given = !fchown(fd, o->old.st_uid, o->old.st_gid);
    if (fchmod(fd, o->old.st_mode & (given ? 07777 : 0777)))
        return file_fail(e, errno);
    return 0;
}

/* The folder of a path, to be synced; -1 where one may create but not read. Opened before the
 * rename, since after it nothing but the storage may fail. */
static int folder_open(const char *path, int *fd, struct err *e)
{
    size_t n = folder_length(path);
    AUTO_FREE char *folder = n ? mem_printf(e, "%.*s", (int)n, path) : mem_strdup(".", e);
    if (!folder)
        return -1;
    *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

/* A name is safe when its folder is. Not all file systems can be asked for that. */
static int folder_sync(int fd, struct err *e)
{
    int no = fsync(fd) ? errno : 0;
    return no == EIO || no == ENOSPC || no == EDQUOT ? file_fail(e, no) : 0;
}

/* An NFS client that has the file open which is to be replaced moves it out of the way first: for a
 * moment there would be no file of that name. And what a server has done, it may be asked for once
 * more when its answer is lost: then there is no such file. */
static int give_name(struct output *o, int fd, struct err *e)
{
    if (o->held && join_is_nfs(o->held))
        file_cleanup(&o->held);
    if (!rename(o->temp, o->final) || (errno == ENOENT && fd >= 0 && is_file_of(fd, o->final)))
        return 0;
    return err_errno(e, errno, "Could not rename '%s' to '%s'", o->temp, o->final);
}

/* Errors that show only at closing must be known before the rename, yet the lock must outlive it:
 * a run that waits for this name would else take the finished file for a leftover. */
static int close_and_rename(struct output *o, struct err *e)
{
    int lock = fcntl(posix_of(o->file)->fd, F_DUPFD_CLOEXEC, 0);
    struct file *f = MEM_TAKE(o->file);
    int r = file_close(f, e);
    if (!r)
        r = give_name(o, lock, e);
    if (r && !o->lasting)
        unlink(o->temp);
    if (lock >= 0)
        close(lock);
    return r;
}

static int commit_in_place(struct output *o, struct err *e)
{
    struct file *f = MEM_TAKE(o->file);
    return file_close(f, e);
}

static int commit_renamed(struct output *o, struct err *e)
{
    int folder = -1;
    if (!o->opt.cache.no_flush && folder_open(o->final, &folder, e)) {
        if (!o->lasting)
            unlink(o->temp);
        return -1;
    }
    int r = close_and_rename(o, e);
    if (!r && folder >= 0)
        r = folder_sync(folder, e);
    if (folder >= 0)
        close(folder);
    return r;
}

int output_sync(struct output *o, struct err *e)
{
    for (; o; o = o->next)
        if (file_sync(o->file, e))
            return -1;
    return 0;
}

static int prepare(struct output *o, struct err *e)
{
    return (!output_in_place(o) && inherit(o, e)) || file_sync(o->file, e) ? -1 : 0;
}

/* The members first: whoever finds the image finds them too. */
static int commit_all(struct output *o, struct err *e)
{
    if (o->next && commit_all(o->next, e))
        return -1;
    return output_in_place(o) ? commit_in_place(o, e) : commit_renamed(o, e);
}

static int commit_failed(struct output *o)
{
    if (o->lasting)
        output_keep(o);
    else
        output_abandon(o, NULL);
    return -1;
}

int output_commit(struct output *o, struct err *e)
{
    for (struct output *m = o; m; m = m->next)
        if (prepare(m, e))
            return commit_failed(o);
    if (commit_all(o, e))
        return commit_failed(o);
    TRACE(output_commit, o->final ? o->final : o->temp);
    output_free(o);
    return 0;
}

bool output_abandon(struct output *o, char *name)
{
    if (!o)
        return false;
    TRACE(output_abandon, o->temp ? o->temp : "");
    if (o->next)
        output_abandon(MEM_TAKE(o->next), NULL);
    bool removed = !output_in_place(o) && o->file && !unlink(o->temp);
    if (removed && name)
        snprintf(name, PATH_MAX, "%s", o->temp);
    output_free(o);
    return removed;
}

void output_keep(struct output *o)
{
    if (o)
        output_free(o);
}
