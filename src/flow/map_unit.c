#include "flow/map_unit.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* The message: this head, the text, the names of the first and last row's files, the error. The
 * strings come with their NUL; an absent one has length 0. */
struct head {
    struct status first, last; /* their `file` means nothing on another rank */
    uint64_t rows;
    uint64_t text_len, first_len, last_len, said_len;
    int32_t error;
    uint32_t failed;
};

int map_line(struct text *t, const struct status *row, bool json, struct err *e)
{
    if (json)
        return text_json(t, row, e) < 0 ? -1 : text_add(t, ",\n", 2, e);
    return text_human_shows(row) ? text_human(t, row, e) : 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Take one more extent: it goes on with the last row, or is a new one. */
static int take(struct head *h, const struct status *next, bool json, struct text *t, struct err *e)
{
    if (h->rows && status_continues(&h->last, next)) {
        h->last.length += next->length;
        return 0;
    }
    if (h->rows == 1)
        h->first = h->last;
    else if (h->rows && map_line(t, &h->last, json, e) < 0)
        return -1;
    h->last = *next;
    h->rows++;
    return 0;
}

/* The rows of [guest, end). In the table for people a row that cannot be shown is the last. */
static int fill(struct status_reader *r, uint64_t guest, uint64_t end, bool json, struct head *h,
                struct text *t, struct err *e)
{
    struct status next;
    for (; guest < end; guest += next.length) {
        if (status_at(r, guest, end, &next, e) < 0) {
            h->failed = true;
            h->error = e->no;
            return 0;
        }
        if (take(h, &next, json, t, e) < 0)
            return -1;
        if (!json && text_human_fails(&next))
            break;
    }
    return 0;
}

static int add_string(struct text *t, const char *s, uint64_t *len, struct err *e)
{
    *len = s ? strlen(s) + 1 : 0;
    return text_add(t, s, *len, e);
}

int map_unit_make(struct status_reader *r, uint64_t guest, uint64_t end, bool json,
                  struct text *message, struct err *e)
{
    struct head h = {.rows = 0};
    AUTO_FREE char *said = NULL;
    message->len = 0;
    if (text_add(message, &h, sizeof h, e) < 0 || fill(r, guest, end, json, &h, message, e) < 0)
        return -1;
    if (h.failed && !(said = mem_strdup(e->text, e)))
        return -1;
    if (h.rows == 1)
        h.first = h.last;
    h.text_len = message->len - sizeof h;
    if (add_string(message, h.first.file, &h.first_len, e) < 0 ||
        add_string(message, h.last.file, &h.last_len, e) < 0 ||
        add_string(message, said, &h.said_len, e) < 0)
        return -1;
    memcpy(message->data, &h, sizeof h);
    err_clear(e);
    return 0;
}

/* ---- taking over ----------------------------------------------------------------------------- */

/* The next `len` bytes as a string; NULL for none. false: there is no such string. */
static bool cut_string(const char **at, size_t *left, uint64_t len, const char **out)
{
    *out = len ? *at : NULL;
    if (len > *left || (len && (*at)[len - 1] != '\0'))
        return false;
    *at += len;
    *left -= len;
    return true;
}

int map_unit_parse(const struct blob *message, struct map_unit *out, struct err *e)
{
    struct head h;
    const char *at = message->data;
    if (message->len < sizeof h)
        return err_set(e, EPROTO, "A part of a map of %zu bytes", message->len);
    memcpy(&h, at, sizeof h);
    at += sizeof h;
    size_t left = message->len - sizeof h;
    *out = (struct map_unit){.first = h.first,
                             .last = h.last,
                             .rows = h.rows,
                             .text = at,
                             .text_len = h.text_len,
                             .failed = h.failed,
                             .error = h.error};
    bool whole = h.text_len <= left;
    if (whole) {
        at += h.text_len;
        left -= h.text_len;
    }
    if (!whole || !cut_string(&at, &left, h.first_len, &out->first.file) ||
        !cut_string(&at, &left, h.last_len, &out->last.file) ||
        !cut_string(&at, &left, h.said_len, &out->said))
        return err_set(e, EPROTO, "A part of a map is damaged");
    return 0;
}
