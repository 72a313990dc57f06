/* The descriptor: lines of text, "key=value" and extents. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/state.h"

#define HINT_MAX 1023u

/* One line, or a part of one. */
struct piece {
    const char *at;
    size_t n;
};

/* ---- is it one? ------------------------------------------------------------------------------ */

/* A line of nothing but spaces, or a comment; its length with the line end. 0: it is neither. */
static size_t idle_line(const char *p, size_t n)
{
    size_t i = 0;
    if (n && *p == '#') {
        const char *end = memchr(p, '\n', n);
        return end ? (size_t)(end - p) + 1 : 0;
    }
    while (i < n && p[i] == ' ')
        i++;
    if (!i)
        return 0;
    if (i + 1 < n && p[i] == '\r' && p[i + 1] == '\n')
        return i + 2;
    return i < n && p[i] == '\n' ? i + 1 : 0;
}

bool vmdk_descriptor_probe(const char *text, size_t n)
{
    static const char *const versions[] = {"version=1\n",   "version=2\n",   "version=3\n",
                                           "version=1\r\n", "version=2\r\n", "version=3\r\n"};
    size_t skip;
    while ((skip = idle_line(text, n))) {
        text += skip;
        n -= skip;
    }
    for (size_t i = 0; i < ARRAY_LEN(versions); i++)
        if (n >= strlen(versions[i]) && !memcmp(text, versions[i], strlen(versions[i])))
            return true;
    return false;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct piece trimmed(struct piece p)
{
    while (p.n && is_blank(*p.at)) {
        p.at++;
        p.n--;
    }
    while (p.n && is_blank(p.at[p.n - 1]))
        p.n--;
    return p;
}

/* The next line, without what ends it; false at the end of the text. */
static bool next_line(const char **text, struct piece *line)
{
    const char *p = *text;
    if (!*p)
        return false;
    size_t n = strcspn(p, "\n");
    *text = p + n + (p[n] == '\n');
    *line = trimmed((struct piece){p, n});
    return true;
}

/* The next word of a line, or what stands in quotes. */
static struct piece next_word(struct piece *line, bool *quoted)
{
    struct piece w = trimmed(*line);
    *quoted = w.n && *w.at == '"';
    size_t n = 0;
    if (*quoted) {
        w.at++;
        w.n--;
        const char *end = memchr(w.at, '"', w.n);
        *quoted = end != NULL;
        n = end ? (size_t)(end - w.at) : w.n;
        *line = (struct piece){w.at + n + *quoted, w.n - n - *quoted};
    } else {
        while (n < w.n && !is_blank(w.at[n]))
            n++;
        *line = (struct piece){w.at + n, w.n - n};
    }
    return (struct piece){w.at, n};
}

static bool piece_is(struct piece p, const char *text)
{
    return p.n == strlen(text) && !memcmp(p.at, text, p.n);
}

static bool piece_number(struct piece p, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (!isdigit((unsigned char)p.at[i]) || !num_mul(v, 10, &v) ||
            !num_add(v, (uint64_t)(p.at[i] - '0'), &v))
            return false;
    }
    *out = v;
    return p.n > 0;
}

static char *piece_text(struct piece p, struct err *e)
{
    return mem_printf(e, "%.*s", (int)num_min(p.n, INT32_MAX), p.at);
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* The value of the first line "key=..." of the text. */
static bool find_value(const char *text, const char *key, struct piece *value)
{
    struct piece line;
    size_t n = strlen(key);
    while (next_line(&text, &line)) {
        if (line.n <= n || memcmp(line.at, key, n))
            continue;
        struct piece rest = trimmed((struct piece){line.at + n, line.n - n});
        if (!rest.n || *rest.at != '=')
            continue;
        *value = trimmed((struct piece){rest.at + 1, rest.n - 1});
        return true;
    }
    return false;
}

/* A value in quotes, as a string of its own. *out stays NULL where there is none. */
static int quoted_value(const char *text, const char *key, char **out, struct err *e)
{
    struct piece value;
    bool quoted;
    if (!find_value(text, key, &value))
        return 0;
    struct piece inside = next_word(&value, &quoted);
    if (!quoted)
        return err_set(e, EINVAL, "Invalid value of '%s' in the image descriptor", key);
    *out = piece_text(inside, e);
    return *out ? 0 : -1;
}

static int cid_value(const char *text, const char *key, uint32_t *out, struct piece *value,
                     struct err *e)
{
    uint64_t v = 0;
    bool good = find_value(text, key, value) && value->n >= 1 && value->n <= 8;
    for (size_t i = 0; good && i < value->n; i++) {
        int c = tolower((unsigned char)value->at[i]);
        good = isxdigit(c);
        v = v << 4 | (uint64_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    *out = (uint32_t)v;
    return good ? 0 : err_set(e, EINVAL, "Invalid or missing %s in the image descriptor", key);
}

/* ---- extent lines ---------------------------------------------------------------------------- */

static const char *const type_words[] = {
    [VMDK_FLAT] = "FLAT",         [VMDK_VMFS] = "VMFS",
    [VMDK_SPARSE] = "SPARSE",     [VMDK_VMFSSPARSE] = "VMFSSPARSE",
    [VMDK_SESPARSE] = "SESPARSE",
};

const char *vmdk_extent_word(enum vmdk_extent_type type)
{
    return type_words[type];
}

static bool type_of(struct piece word, enum vmdk_extent_type *out)
{
    for (size_t i = 0; i < ARRAY_LEN(type_words); i++) {
        if (piece_is(word, type_words[i])) {
            *out = (enum vmdk_extent_type)i;
            return true;
        }
    }
    return false;
}

/* What follows "RW". A FLAT extent says where in its file it begins, the others do not. */
static bool line_parse(struct piece rest, struct vmdk_extent_line *out, struct piece *name)
{
    bool quoted;
    if (!piece_number(next_word(&rest, &quoted), &out->sectors) || quoted || !out->sectors ||
        !type_of(next_word(&rest, &quoted), &out->type) || quoted)
        return false;
    *name = next_word(&rest, &quoted);
    if (!quoted || !name->n)
        return false;
    if (out->type == VMDK_FLAT)
        return piece_number(next_word(&rest, &quoted), &out->offset) && !quoted;
    return !trimmed(rest).n;
}

static int line_add(struct vmdk_descriptor *d, struct piece line, struct piece rest, size_t *cap,
                    struct err *e)
{
    struct vmdk_extent_line x = {0};
    struct piece name;
    if (!line_parse(rest, &x, &name))
        return err_set(e, EINVAL, "Invalid extent line: %.*s", (int)num_min(line.n, 4096), line.at);
    if (d->n_lines == VMDK_EXTENT_LINES_MAX)
        return err_set(e, EFBIG, "The image descriptor names more than %u extents",
                       VMDK_EXTENT_LINES_MAX);
    if (d->n_lines == *cap) {
        size_t more = *cap ? 2 * *cap : 16;
        struct vmdk_extent_line *p = mem_grow(d->lines, more, sizeof *p, e);
        if (!p)
            return -1;
        d->lines = p;
        *cap = more;
    }
    x.name = piece_text(name, e);
    if (!x.name)
        return -1;
    d->lines[d->n_lines++] = x;
    return 0;
}

/* Only what may be written counts, as in qemu-img. */
static int lines_parse(const char *text, struct vmdk_descriptor *d, struct err *e)
{
    struct piece line;
    size_t cap = 0;
    while (next_line(&text, &line)) {
        struct piece rest = line;
        bool quoted;
        if (piece_is(next_word(&rest, &quoted), "RW") && !quoted &&
            line_add(d, line, rest, &cap, e))
            return -1;
    }
    return d->n_lines ? 0 : err_set(e, EINVAL, "The image descriptor names no extents");
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int keys_parse(const char *text, struct vmdk_descriptor *d, struct err *e)
{
    struct piece cid, parent;
    if (quoted_value(text, "createType", &d->create_type, e))
        return -1;
    if (!d->create_type)
        return err_set(e, EINVAL, "invalid VMDK image descriptor");
    if (cid_value(text, "CID", &d->cid, &cid, e) ||
        cid_value(text, "parentCID", &d->parent_cid, &parent, e) ||
        quoted_value(text, "parentFileNameHint", &d->parent_hint, e))
        return -1;
    if (d->parent_hint && strlen(d->parent_hint) > HINT_MAX)
        return err_set(e, EINVAL, "The name of the parent is longer than %u bytes", HINT_MAX);
    d->cid_at = (size_t)(cid.at - text);
    d->cid_digits = (unsigned)cid.n;
    return 0;
}

int vmdk_descriptor_parse(const char *text, bool with_extents, struct vmdk_descriptor *out,
                          struct err *e)
{
    *out = (struct vmdk_descriptor){0};
    if (!keys_parse(text, out, e) && (!with_extents || !lines_parse(text, out, e)))
        return 0;
    vmdk_descriptor_release(out);
    return -1;
}

void vmdk_descriptor_release(struct vmdk_descriptor *d)
{
    for (size_t i = 0; i < d->n_lines; i++)
        free(d->lines[i].name);
    free(d->lines);
    free(d->create_type);
    free(d->parent_hint);
    *d = (struct vmdk_descriptor){0};
}
