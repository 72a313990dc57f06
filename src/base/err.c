#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void store(struct err *e, int no, const char *fmt, va_list ap)
{
    e->no = no;
    e->set = true;
    e->hint[0] = '\0';
    vsnprintf(e->text, sizeof e->text, fmt, ap);
}

int err_set(struct err *e, int no, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    store(e, no, fmt, ap);
    va_end(ap);
    return -1;
}

int err_errno(struct err *e, int no, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    store(e, no, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    char buf[256];
    snprintf(e->text + n, sizeof e->text - n, ": %s", strerror_r(no, buf, sizeof buf));
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char old[ERR_TEXT_MAX];
    memcpy(old, e->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, "%s", old);
    e->set = true;
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
    return -1;
}

int err_nomem(struct err *e)
{
    return err_set(e, ENOMEM, "Cannot allocate memory");
}

void err_clear(struct err *e)
{
    e->no = 0;
    e->set = false;
    e->text[0] = e->hint[0] = '\0';
}
