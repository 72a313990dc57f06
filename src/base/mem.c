#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

void *mem_new(size_t n, size_t size, struct err *e)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        err_nomem(e);
    return p;
}

void *mem_grow(void *p, size_t n, size_t size, struct err *e)
{
    void *q = reallocarray(p, n ? n : 1, size);
    if (!q)
        err_nomem(e);
    return q;
}

void *mem_io(size_t size, struct err *e)
{
    if (size > SIZE_MAX - MEM_IO_ALIGN) {
        err_nomem(e);
        return NULL;
    }
    void *p = aligned_alloc(MEM_IO_ALIGN, num_up(size ? size : 1, MEM_IO_ALIGN));
    if (!p)
        err_nomem(e);
    return p;
}

char *mem_strdup(const char *s, struct err *e)
{
    char *p = strdup(s);
    if (!p)
        err_nomem(e);
    return p;
}

char *mem_printf(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0) {
        s = NULL;
        err_nomem(e);
    }
    va_end(ap);
    return s;
}
