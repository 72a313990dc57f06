#include "fleet/lines.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/tree.h"

/* ---- records --------------------------------------------------------------------------------- */

static int get(struct lines *l)
{
    int c = getc_unlocked(l->in);
    if (c != EOF)
        l->at++;
    return c;
}

static void unget(struct lines *l, int c)
{
    if (c == EOF)
        return;
    ungetc(c, l->in);
    l->at--;
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_mark(struct lines *l)
{
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    int c = get(l);
    if (c != mark[0]) {
        unget(l, c);
        return;
    }
    get(l);
    get(l);
}

/* Spaces before a record, and lines of nothing else. Returns the first character after them. */
static int skip_spaces(struct lines *l)
{
    int c;
    while (is_space(c = get(l)))
        l->line += c == '\n';
    unget(l, c);
    return c;
}

void lines_begin(struct lines *l, FILE *in)
{
    *l = (struct lines){.in = in, .line = 1};
    skip_mark(l);
    int c = skip_spaces(l);
    l->kind = c == '{' || c == '[' || c == EOF ? LINES_JSON : LINES_CSV;
}

int lines_next(struct lines *l, struct lines_record *r, struct err *e)
{
    bool quoted = false;
    int c = skip_spaces(l);
    r->length = 0;
    r->at = l->at;
    r->line = l->line;
    r->too_long = false;
    if (c == EOF)
        return ferror(l->in) ? err_errno(e, errno, "It cannot be read") : 0;
    while ((c = get(l)) != EOF && (c != '\n' || quoted)) {
        quoted ^= c == '"' && l->kind == LINES_CSV;
        l->line += c == '\n';
        r->too_long |= r->length == LINES_MAX;
        if (!r->too_long)
            r->text[r->length++] = (char)c;
    }
    l->line += c == '\n';
    if (ferror(l->in))
        return err_errno(e, errno, "It cannot be read");
    while (r->length && r->text[r->length - 1] == '\r')
        r->length--;
    r->text[r->length] = '\0';
    return 1;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *lines_json(const char *text, size_t length, struct err *e)
{
    json_error_t why;
    json_t *v = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    if (!v)
        err_set(e, EINVAL, "It is no JSON object: %s (column %d)", why.text, why.column);
    if (!v || json_is_object(v))
        return v;
    json_decref(v);
    err_set(e, EINVAL, "It is no JSON object, but a list");
    return NULL;
}

/* ---- CSV ------------------------------------------------------------------------------------- */

struct cell {
    const char *at, *end; /* what is left of the record */
    char *text;           /* room for all of it */
    size_t length;
    bool last;
};

/* The cell in quotes that begins at c->at; two quotes stand for one. */
static int cell_quoted(struct cell *c, struct err *e)
{
    for (c->at++;; c->at++) {
        if (c->at == c->end)
            return err_set(e, EINVAL, "A quote is not closed");
        if (*c->at != '"') {
            c->text[c->length++] = *c->at;
            continue;
        }
        if (c->at + 1 == c->end || c->at[1] != '"')
            break;
        c->text[c->length++] = *c->at++;
    }
    c->at++;
    if (c->at != c->end && *c->at != ',')
        return err_set(e, EINVAL, "A comma is missing behind a quoted cell");
    return 0;
}

static int cell_plain(struct cell *c, struct err *e)
{
    for (; c->at != c->end && *c->at != ','; c->at++) {
        if (*c->at == '"')
            return err_set(e, EINVAL, "A quote stands inside a cell that does not begin with one");
        c->text[c->length++] = *c->at;
    }
    return 0;
}

static int cell_next(struct cell *c, struct err *e)
{
    c->length = 0;
    int status = c->at != c->end && *c->at == '"' ? cell_quoted(c, e) : cell_plain(c, e);
    c->last = c->at == c->end;
    c->at += !c->last;
    if (!status && memchr(c->text, '\0', c->length))
        return err_set(e, EINVAL, "There is a null character");
    return status;
}

static json_t *cell_value(const struct cell *c, struct err *e)
{
    json_t *v = json_stringn(c->text, c->length);
    if (!v)
        err_set(e, EINVAL, "It is not UTF-8");
    return v;
}

json_t *lines_csv(const char *text, size_t length, struct err *e)
{
    AUTO_FREE char *room = mem_new(length + 1, 1, e);
    struct cell c = {.at = text, .end = text + length, .text = room};
    json_t *list = room ? json_array() : NULL, *v = list;
    while (v && list && !c.last) {
        v = cell_next(&c, e) ? NULL : cell_value(&c, e);
        if (v)
            list = tree_append(list, v);
    }
    if (v && list)
        return list;
    if (!e->set)
        err_nomem(e);
    json_decref(list);
    return NULL;
}
