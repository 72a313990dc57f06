/*
 * Makes the nth call of one kind fail in a program that is preloaded with this.
 *
 *   FAULT=KIND:N[:ERRNO[:RANK]]   KIND is read, write, sync, alloc, submit, copy, truncate,
 *                                 allocate, rename, open, unlink, or flip: the nth write says that
 *                                 all is well, but one bit of it is wrong; N counts from 1, 0 only
 *                                 counts;
 *                                 ERRNO is a number, by default 5 (EIO), 0: the program is
 *                                 killed instead of doing it; RANK: on that MPI rank
 * only FAULT_LOG=FILE                at the end gets "KIND calls fired"
 *
 * Only files below FAULT_DIR count, so that libraries, /proc and terminals are left alone; of
 * allocations those count that come after main() was reached, from threads of the program.
 */
#undef _FILE_OFFSET_BITS /* both kinds of names are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char kind[16];
static long target;
static int error_number = EIO;
static atomic_long calls;
static atomic_int fired;
static bool armed;
static char folder[4096];

/* Is this call the one? Sets errno if so. */
static bool hit(const char *what)
{
    if (!armed || strcmp(what, kind) != 0)
        return false;
    if (atomic_fetch_add(&calls, 1) + 1 != target)
        return false;
    atomic_store(&fired, 1);
    if (!error_number)
        kill(getpid(), SIGKILL);
    errno = error_number;
    return true;
}

/* Tests run inside their folder: relative names are below it. */
static bool path_counts(const char *path)
{
    return armed && path && (path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0);
}

static bool fd_counts(int fd)
{
    char link[64], path[4096];
    ssize_t n;

    if (!armed)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0)
        return false;
    path[n] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static bool rank_is_ours(const char *wanted)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");

    return !*wanted || (rank && strcmp(rank, wanted) == 0);
}

static void arm(void)
{
    const char *text = getenv("FAULT"), *dir = getenv("FAULT_DIR");
    char rank[16] = "";

    if (!text || sscanf(text, "%15[^:]:%ld:%d:%15s", kind, &target, &error_number, rank) < 2)
        return;
    snprintf(folder, sizeof(folder), "%s", dir ? dir : "/");
    armed = rank_is_ours(rank);
}

static void report(void)
{
    const char *log = getenv("FAULT_LOG");
    char line[64];
    int fd, n;

    if (!armed || !log)
        return;
    armed = false;
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0)
        return;
    n = snprintf(line, sizeof(line), "%s %ld %d\n", kind, atomic_load(&calls), atomic_load(&fired));
    if (write(fd, line, (size_t)n) < 0)
        n = 0;
    close(fd);
}

/* main() is wrapped: counting starts where the program's own code starts. */
static int (*real_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **envp)
{
    arm();
    atexit(report);
    return real_main(argc, argv, envp);
}

int __libc_start_main(int (*program_main)(int, char **, char **), int argc, char **argv,
                      int (*init)(int, char **, char **), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(int (*program_main)(int, char **, char **), int argc, char **argv,
                      int (*init)(int, char **, char **), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
    __typeof__(&__libc_start_main) next;

    *(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = program_main;
    return next(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* _exit and quick ends go past atexit. */
void _exit(int status)
{
    void (*next)(int) __attribute__((noreturn));

    report();
    *(void **)&next = dlsym(RTLD_NEXT, "_exit");
    next(status);
}

#define NEXT(name)                                                                                 \
    static __typeof__(&name) next;                                                                 \
    if (!next)                                                                                     \
        *(void **)&next = dlsym(RTLD_NEXT, #name);

#define ON_FD(ret, name, what, params, args)                                                       \
    ret name params                                                                                \
    {                                                                                              \
        NEXT(name)                                                                                 \
        if (fd_counts(fd) && hit(what))                                                            \
            return -1;                                                                             \
        return next args;                                                                          \
    }

/* A bit in the middle of what was written. */
static ssize_t flip(int fd, ssize_t n, off64_t at)
{
    unsigned char byte;
    __typeof__(&pread64) get;
    __typeof__(&pwrite64) put;
    *(void **)&get = dlsym(RTLD_NEXT, "pread64");
    *(void **)&put = dlsym(RTLD_NEXT, "pwrite64");
    if (n > 0 && get(fd, &byte, 1, at + n / 2) == 1) {
        byte ^= 4;
        n = put(fd, &byte, 1, at + n / 2) == 1 ? n : -1;
    }
    return n;
}

/* The last parameter is the offset, o. */
#define ON_WRITE(name, params, args)                                                               \
    ssize_t name params                                                                            \
    {                                                                                              \
        NEXT(name)                                                                                 \
        bool counts = fd_counts(fd);                                                               \
        if (counts && hit("write"))                                                                \
            return -1;                                                                             \
        bool flips = counts && hit("flip");                                                        \
        ssize_t written = next args;                                                               \
        return flips ? flip(fd, written, o) : written;                                             \
    }

ON_FD(ssize_t, read, "read", (int fd, void *b, size_t n), (fd, b, n))
ON_FD(ssize_t, pread, "read", (int fd, void *b, size_t n, off_t o), (fd, b, n, o))
ON_FD(ssize_t, pread64, "read", (int fd, void *b, size_t n, off64_t o), (fd, b, n, o))
ON_FD(ssize_t, preadv, "read", (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
ON_FD(ssize_t, preadv64, "read", (int fd, const struct iovec *v, int n, off64_t o), (fd, v, n, o))
ON_FD(ssize_t, write, "write", (int fd, const void *b, size_t n), (fd, b, n))
ON_WRITE(pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
ON_WRITE(pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
ON_WRITE(pwritev, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
ON_WRITE(pwritev64, (int fd, const struct iovec *v, int n, off64_t o), (fd, v, n, o))
ON_FD(int, fsync, "sync", (int fd), (fd))
ON_FD(int, fdatasync, "sync", (int fd), (fd))
ON_FD(int, syncfs, "sync", (int fd), (fd))
ON_FD(int, ftruncate, "truncate", (int fd, off_t n), (fd, n))
ON_FD(int, ftruncate64, "truncate", (int fd, off64_t n), (fd, n))
ON_FD(int, fallocate, "allocate", (int fd, int m, off_t o, off_t n), (fd, m, o, n))
ON_FD(int, fallocate64, "allocate", (int fd, int m, off64_t o, off64_t n), (fd, m, o, n))
ON_FD(ssize_t, copy_file_range, "copy",
      (int fd, off64_t *i, int out, off64_t *o, size_t n, unsigned int f), (fd, i, out, o, n, f))

/* posix_fallocate returns its error. */
int posix_fallocate(int fd, off_t off, off_t len)
{
    NEXT(posix_fallocate)
    return fd_counts(fd) && hit("allocate") ? error_number : next(fd, off, len);
}

int posix_fallocate64(int fd, off64_t off, off64_t len)
{
    NEXT(posix_fallocate64)
    return fd_counts(fd) && hit("allocate") ? error_number : next(fd, off, len);
}

/* libaio's, which returns the negative error too. */
struct iocb;
int io_submit(void *ctx, long n, struct iocb **list);
int io_submit(void *ctx, long n, struct iocb **list)
{
    NEXT(io_submit)
    return hit("submit") ? -error_number : next(ctx, n, list);
}

int rename(const char *from, const char *to)
{
    NEXT(rename)
    return path_counts(to) && hit("rename") ? -1 : next(from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
    NEXT(renameat2)
    return hit("rename") ? -1 : next(from_dir, from, to_dir, to, flags);
}

static int open_mode(int flags, va_list ap)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, int) : 0;
}

#define ON_OPEN(name)                                                                              \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        int mode;                                                                                  \
        NEXT(name)                                                                                 \
        va_start(ap, flags);                                                                       \
        mode = open_mode(flags, ap);                                                               \
        va_end(ap);                                                                                \
        return path_counts(path) && hit("open") ? -1 : next(path, flags, mode);                    \
    }

ON_OPEN(open)
ON_OPEN(open64)

/* ---- allocations ------------------------------------------------------------------------------
 */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
    return hit("alloc") ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return hit("alloc") ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return hit("alloc") ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return hit("alloc") ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    void *p;

    if (hit("alloc"))
        return ENOMEM;
    p = __libc_memalign(align, n);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}
