/* Reading results files: their lines, and what they say together. */
#include "report/history.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* ---- lines ----------------------------------------------------------------------------------- */

struct reader {
    FILE *in;
    char *line;
    size_t n, room;
    bool whole; /* it ended with a newline */
    size_t read;
};

static void reader_release(struct reader *r)
{
    if (r->in)
        fclose(r->in);
    free(r->line);
}

/* The next line without its newline; what is too long to be a record is cut. 1: there was one. */
static int reader_next(struct reader *r, struct err *e)
{
    int c = 0;
    for (r->n = 0; (c = getc_unlocked(r->in)) != EOF && c != '\n';) {
        if (r->n == r->room) {
            size_t wanted = r->room ? 2 * r->room : 4096;
            char *grown = r->room < HISTORY_LINE_MAX ? mem_grow(r->line, wanted, 1, e) : NULL;
            if (!grown && e->set)
                return -1;
            if (!grown)
                continue;
            r->line = grown;
            r->room = wanted;
        }
        r->line[r->n++] = (char)c;
    }
    if (ferror(r->in))
        return err_set(e, errno, "%s", strerror(errno));
    r->whole = c == '\n';
    r->read++;
    return r->whole || r->n > 0;
}

static bool blank(const char *line, size_t n)
{
    while (n && isspace((unsigned char)line[n - 1]))
        n--;
    return n == 0;
}

/* A killed run may leave half a line, and the next run's first record stands right behind it. */
static bool line_tail(struct history *h, const char *line, size_t n, struct err *e)
{
    static const char head[] = "{\"record\"";
    const size_t len = sizeof head - 1;
    for (size_t at = n < len ? 0 : n - len; at > 0; at--)
        if (memcmp(line + at, head, len) == 0)
            return history_line(h, line + at, n - at, e);
    return false;
}

/* ---- a file ---------------------------------------------------------------------------------- */

/* false: this cannot be a results file. */
static bool line_take(struct history *h, const struct reader *r, struct err *e)
{
    if (blank(r->line, r->n) || history_line(h, r->line, r->n, e) || e->set)
        return true;
    if (r->read == 1)
        return false;
    if (r->whole)
        h->unread++;
    else
        h->torn = true;
    line_tail(h, r->line, r->n, e);
    return true;
}

static int read_lines(struct history *h, struct reader *r, struct err *e)
{
    size_t before = h->runs + h->images;
    bool results = true;
    int more;
    while (results && (more = reader_next(r, e)) > 0) {
        results = line_take(h, r, e);
        if (e->set)
            return -1;
    }
    if (results && more < 0)
        return -1;
    if (!results || before == h->runs + h->images)
        return err_set(e, EINVAL, "it is not a results file of a fleet");
    return 0;
}

int history_read(struct history *h, const char *path, struct err *e)
{
    struct reader r = {.in = fopen(path, "re")};
    if (!r.in)
        return err_errno(e, errno, "Could not open '%s'", path);
    int status = read_lines(h, &r, e);
    reader_release(&r);
    return status ? err_prefix(e, "Could not read '%s': ", path) : 0;
}

void history_run_release(struct history_run *r)
{
    for (size_t k = 0; k < r->hosts; k++)
        free(r->host[k]);
    free(r->host);
    free(r->threads);
    free(r->manifest);
    free(r->progress);
}

void history_image_release(struct history_image *i)
{
    free((char *)i->text);
    free(i->lane);
}

void history_release(struct history *h)
{
    for (size_t k = 0; k < h->runs; k++)
        history_run_release(&h->run[k]);
    for (size_t k = 0; k < h->images; k++)
        history_image_release(&h->image[k]);
    free(h->run);
    free(h->image);
    *h = (struct history){0};
}
