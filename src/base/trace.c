#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096u /* what is longer is cut */

bool trace_on[TRACE_N];

static const char *const names[TRACE_N] = {
#define TRACE_NAME(name, format, help) [TRACE_##name] = #name,
    TRACE_POINTS(TRACE_NAME)
#undef TRACE_NAME
};

static const char *const helps[TRACE_N] = {
#define TRACE_HELP(name, format, help) [TRACE_##name] = help,
    TRACE_POINTS(TRACE_HELP)
#undef TRACE_HELP
};

static int trace_fd = STDERR_FILENO;

const char *trace_name(enum trace_point point)
{
    return names[point];
}

const char *trace_help(enum trace_point point)
{
    return helps[point];
}

bool trace_enable(const char *pattern)
{
    bool on = *pattern != '-', found = false;
    pattern += !on;
    for (unsigned i = 0; i < TRACE_N; i++) {
        if (fnmatch(pattern, names[i], 0) == 0) {
            trace_on[i] = on;
            found = true;
        }
    }
    return found || strpbrk(pattern, "*?[");
}

int trace_to_file(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(e, errno, "Error opening logfile %s", path);
    if (trace_fd != STDERR_FILENO)
        close(trace_fd);
    trace_fd = fd;
    return 0;
}

/* Where a line cannot be written there is nobody to tell. */
void trace_pass(enum trace_point point, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    struct timespec t;
    va_list args;
    int saved = errno;
    clock_gettime(CLOCK_REALTIME, &t);
    size_t n = (size_t)snprintf(line, sizeof line, "%d@%lld.%06ld:%s ", (int)getpid(),
                                (long long)t.tv_sec, t.tv_nsec / 1000, names[point]);
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof line - n - 1, fmt, args);
    va_end(args);
    n = more < 0 ? n : n + (size_t)more;
    n = n < sizeof line - 2 ? n : sizeof line - 2;
    line[n++] = '\n';
    ssize_t ignored = write(trace_fd, line, n);
    (void)ignored;
    errno = saved;
}
