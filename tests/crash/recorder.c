/*
 * Records what a program does to files, when it is preloaded with this.
 *
 *   CRASH_DIR=FOLDER     the files whose changes count: regular ones in this folder
 *   CRASH_JOURNAL=FILE   gets a record for each (journal.h), in the order in which they took effect
 *
 * Each change and its record are made under one lock, so that the order is the true one.
 */
#undef _FILE_OFFSET_BITS /* both kinds of names are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "journal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static int journal = -1;

static __attribute__((constructor)) void begin(void)
{
    const char *dir = getenv("CRASH_DIR"), *name = getenv("CRASH_JOURNAL");
    if (!dir || !name || !realpath(dir, folder))
        return;
    journal = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0)
        abort();
}

#define NEXT(name)                                                                                 \
    static __typeof__(&name) next;                                                                 \
    if (!next)                                                                                     \
        *(void **)&next = dlsym(RTLD_NEXT, #name);

/* Is it one of the files? Its name in the folder then. */
static bool counts(int fd, char name[JOURNAL_NAME])
{
    char link[64], path[PATH_MAX];
    if (journal < 0)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t dir = strlen(folder);
    if (n <= 0)
        return false;
    path[n] = 0;
    if (strncmp(path, folder, dir) != 0 || path[dir] != '/' ||
        strlen(path + dir + 1) >= JOURNAL_NAME)
        return false;
    strcpy(name, path + dir + 1);
    return true;
}

static void put(const void *bytes, size_t n)
{
    static __typeof__(&write) next;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "write");
    for (size_t done = 0; done < n;) {
        ssize_t r = next(journal, (const char *)bytes + done, n - done);
        if (r <= 0)
            abort();
        done += (size_t)r;
    }
}

static void record(enum journal_kind kind, const char *name, bool grows, uint64_t offset,
                   uint64_t length, const void *data)
{
    struct journal_record r = {kind, grows, offset, length, {0}};
    int saved = errno;
    strcpy(r.file, name);
    put(&r, sizeof r);
    if (data)
        put(data, length);
    errno = saved;
}

/* ---- writes ---------------------------------------------------------------------------------- */

#define ON_PWRITE(name, off_type)                                                                  \
    ssize_t name(int fd, const void *b, size_t n, off_type o)                                      \
    {                                                                                              \
        char file[JOURNAL_NAME];                                                                   \
        NEXT(name)                                                                                 \
        if (!counts(fd, file))                                                                     \
            return next(fd, b, n, o);                                                              \
        pthread_mutex_lock(&lock);                                                                 \
        ssize_t r = next(fd, b, n, o);                                                             \
        if (r > 0)                                                                                 \
            record(JOURNAL_WRITE, file, true, (uint64_t)o, (uint64_t)r, b);                        \
        pthread_mutex_unlock(&lock);                                                               \
        return r;                                                                                  \
    }
ON_PWRITE(pwrite, off_t)
ON_PWRITE(pwrite64, off64_t)

/* What was copied inside of the storage is read back for the record. */
ssize_t copy_file_range(int fd, off64_t *i, int out, off64_t *o, size_t n, unsigned int f)
{
    char file[JOURNAL_NAME];
    NEXT(copy_file_range)
    if (!counts(out, file))
        return next(fd, i, out, o, n, f);
    pthread_mutex_lock(&lock);
    off64_t from = o ? *o : 0;
    ssize_t r = next(fd, i, out, o, n, f);
    if (r > 0) {
        void *copy = malloc((size_t)r);
        if (!o || !copy || pread(out, copy, (size_t)r, from) != r)
            abort();
        record(JOURNAL_WRITE, file, true, (uint64_t)from, (uint64_t)r, copy);
        free(copy);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

/* Not used by the program without O_DIRECT; a record that misses them would be a lie. */
#define REFUSE(ret, name, params)                                                                  \
    ret name params                                                                                \
    {                                                                                              \
        char file[JOURNAL_NAME];                                                                   \
        if (counts(fd, file))                                                                      \
            abort();                                                                               \
        NEXT(name)                                                                                 \
        return next ARGS;                                                                          \
    }
#define ARGS (fd, v, n, o)
REFUSE(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t o))
REFUSE(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t o))
#undef ARGS

/* ---- space ----------------------------------------------------------------------------------- */

static int allocate(int (*next)(int, int, off64_t, off64_t), int fd, int mode, off64_t off,
                    off64_t len)
{
    char file[JOURNAL_NAME];
    if (!counts(fd, file))
        return next(fd, mode, off, len);
    pthread_mutex_lock(&lock);
    struct stat64 before, after;
    int r = fstat64(fd, &before) ? -1 : next(fd, mode, off, len);
    if (!r && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
        record(JOURNAL_ZERO, file, !(mode & FALLOC_FL_KEEP_SIZE), (uint64_t)off, (uint64_t)len,
               NULL);
    else if (!r && !fstat64(fd, &after) && after.st_size != before.st_size)
        record(JOURNAL_TRUNCATE, file, true, (uint64_t)after.st_size, 0, NULL);
    pthread_mutex_unlock(&lock);
    return r;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    NEXT(fallocate)
    return allocate(next, fd, mode, off, len);
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
    NEXT(fallocate64)
    return allocate(next, fd, mode, off, len);
}

static int allocate_plain(int fd, int mode, off64_t off, off64_t len)
{
    static __typeof__(&posix_fallocate64) next;
    (void)mode;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "posix_fallocate64");
    return next(fd, off, len);
}

int posix_fallocate(int fd, off_t off, off_t len)
{
    return allocate(allocate_plain, fd, 0, off, len);
}

int posix_fallocate64(int fd, off64_t off, off64_t len)
{
    return allocate(allocate_plain, fd, 0, off, len);
}

#define ON_FTRUNCATE(name, off_type)                                                               \
    int name(int fd, off_type size)                                                                \
    {                                                                                              \
        char file[JOURNAL_NAME];                                                                   \
        NEXT(name)                                                                                 \
        if (!counts(fd, file))                                                                     \
            return next(fd, size);                                                                 \
        pthread_mutex_lock(&lock);                                                                 \
        int r = next(fd, size);                                                                    \
        if (!r)                                                                                    \
            record(JOURNAL_TRUNCATE, file, true, (uint64_t)size, 0, NULL);                         \
        pthread_mutex_unlock(&lock);                                                               \
        return r;                                                                                  \
    }
ON_FTRUNCATE(ftruncate, off_t)
ON_FTRUNCATE(ftruncate64, off64_t)

/* ---- syncs ----------------------------------------------------------------------------------- */

/* What others write while the sync runs need not be on storage after it: so its record stands
 * before it, under the lock, and the sync itself is left out: nothing here ever loses power. */
#define ON_SYNC(name)                                                                              \
    int name(int fd)                                                                               \
    {                                                                                              \
        char file[JOURNAL_NAME];                                                                   \
        NEXT(name)                                                                                 \
        if (!counts(fd, file))                                                                     \
            return next(fd);                                                                       \
        pthread_mutex_lock(&lock);                                                                 \
        record(JOURNAL_SYNC, file, false, 0, 0, NULL);                                             \
        pthread_mutex_unlock(&lock);                                                               \
        return 0;                                                                                  \
    }
ON_SYNC(fsync)
ON_SYNC(fdatasync)
