/*
 * Errors are data.
 *
 * A function that can fail takes `struct err *e` last and returns 0 or -1. The error is set once,
 * where it is known best, and prefixed by callers ("Could not open 'x': ..."). It crosses ranks by
 * value, so it holds no pointers. Nothing below cmd/ prints it.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#define ERR_TEXT_MAX 9000 /* two longest path names and some words */
#define ERR_HINT_MAX 512

struct err {
    int no;                  /* errno value behind it, or 0 */
    bool set;                /* an error has been stored */
    char text[ERR_TEXT_MAX]; /* one line, no newline, no program name */
    char hint[ERR_HINT_MAX]; /* further lines, printed as they are after the text; may be empty */
};

#define ERR_INIT ((struct err){0})

/* Store an error, replacing any earlier one. Returns -1, so that callers can `return err_set(...)`.
 * `no` is an errno value or 0; it does not appear in the text. */
int err_set(struct err *e, int no, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": <strerror(no)>" added to the text. */
int err_errno(struct err *e, int no, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put `fmt` before the text that is there. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Set the hint. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "Cannot allocate memory". Returns -1. */
int err_nomem(struct err *e);

void err_clear(struct err *e);

#endif
