#include "fleet/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/signals.h"
#include "fleet/lines.h"
#include "fleet/listing.h"
#include "fleet/manifest_impl.h"
#include "fleet/names.h"
#include "fleet/order.h"
#include "fleet/request.h"

/* ---- what is wrong --------------------------------------------------------------------------- */

void manifest_wrong_release(struct manifest_wrong *w)
{
    for (size_t i = 0; i < MANIFEST_WRONG_MAX; i++)
        free(w->text[i]);
    *w = (struct manifest_wrong){.n = 0};
}

void manifest_complain(struct manifest *m, unsigned line, const char *fmt, ...)
{
    struct manifest_wrong *w = m->wrong;
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    if (w->n < MANIFEST_WRONG_MAX && vasprintf(&text, fmt, args) >= 0) {
        /* a list of files has no lines that anybody could look at */
        int n = m->listed ? 0 : asprintf(&w->text[w->n], "%s:%u: %s", m->name, line, text);
        if (m->listed)
            w->text[w->n] = MEM_TAKE(text);
        else if (n < 0)
            w->text[w->n] = NULL;
        free(text);
    }
    va_end(args);
    w->n++;
}

/* ---- a record -------------------------------------------------------------------------------- */

/* CSV has texts only: what is true or false, and numbers, are what the field says. */
static json_t *cell_typed(const struct request_field *f, json_t *cell)
{
    static const char *const yes[] = {"true", "on", "yes", "1"}, *const no[] = {"false", "off",
                                                                                "no", "0"};
    const char *text = json_string_value(cell);
    bool flag = f->kind == REQUEST_BOOL || f->kind == REQUEST_HASH;
    for (size_t i = 0; flag && i < 4; i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0)
            return json_boolean(strcmp(text, yes[i]) == 0);
    size_t digits = strspn(text, "0123456789");
    if (f->kind == REQUEST_COUNT && digits && digits < 10 && !text[digits])
        return json_integer(atol(text));
    return json_incref(cell);
}

/* Empty cells are not there. */
static json_t *row_object(const struct manifest *m, const json_t *row, struct err *e)
{
    json_t *o = json_object(), *cell;
    size_t i, columns = json_array_size(m->columns);
    if (json_array_size(row) != columns) {
        json_decref(o);
        err_set(e, EINVAL, "It has %zu cells, the first line has %zu", json_array_size(row),
                columns);
        return NULL;
    }
    json_array_foreach(row, i, cell)
    {
        const char *name = json_string_value(json_array_get(m->columns, i));
        if (json_string_length(cell) && o &&
            json_object_set_new(o, name, cell_typed(request_field_find(name), cell))) {
            json_decref(o);
            o = NULL;
        }
    }
    if (!o)
        err_nomem(e);
    return o;
}

static json_t *record_parse(const struct manifest *m, const char *text, size_t n, struct err *e)
{
    if (m->kind == LINES_JSON)
        return lines_json(text, n, e);
    json_t *row = lines_csv(text, n, e);
    json_t *record = row ? row_object(m, row, e) : NULL;
    json_decref(row);
    return record;
}

static int make_absolute(const struct manifest *m, json_t *record, const char *field, struct err *e)
{
    const char *name = json_string_value(json_object_get(record, field));
    if (!name || !*name)
        return 0;
    AUTO_FREE char *path = names_absolute(m->folder, name, e);
    if (!path)
        return -1;
    return json_object_set_new(record, field, json_string(path)) ? err_nomem(e) : 0;
}

/* What is null is not there, not even with the default. */
static int fill(const struct manifest *m, json_t *record, struct err *e)
{
    const char *name;
    json_t *v;
    void *next;
    json_object_foreach((json_t *)m->defaults, name, v)
    {
        if (!json_object_get(record, name) && json_object_set(record, name, v))
            return err_nomem(e);
    }
    json_object_foreach_safe(record, next, name, v)
    {
        if (json_is_null(v))
            json_object_del(record, name);
    }
    return make_absolute(m, record, "source", e) || make_absolute(m, record, "target", e) ? -1 : 0;
}

json_t *manifest_parse(const struct manifest *m, const char *text, size_t n, struct err *e)
{
    json_t *record = record_parse(m, text, n, e);
    if (!record || !fill(m, record, e))
        return record;
    json_decref(record);
    return NULL;
}

static int read_text(const struct manifest *m, const struct manifest_item *item, char *text,
                     struct err *e)
{
    ssize_t n = pread(fileno(m->file), text, item->length, (off_t)item->at);
    if (n < 0)
        return err_errno(e, errno, "Could not read '%s'", m->name);
    if (n != (ssize_t)item->length || names_hash(0, text, item->length) != item->text)
        return err_set(e, ESTALE, "The manifest '%s' has changed meanwhile", m->name);
    return 0;
}

json_t *manifest_record(const struct manifest *m, size_t i, struct err *e)
{
    const struct manifest_item *item = &m->items[i];
    AUTO_FREE char *text = mem_new(item->length + 1, 1, e);
    if (!text || read_text(m, item, text, e))
        return NULL;
    json_t *record = manifest_parse(m, text, item->length, e);
    if (!record)
        err_prefix(e, "%s:%u: ", m->name, item->line);
    return record;
}

size_t manifest_count(const struct manifest *m)
{
    return m->n;
}

const struct manifest_item *manifest_item(const struct manifest *m, size_t i)
{
    return &m->items[i];
}

unsigned manifest_stores(const struct manifest *m)
{
    return m->n_stores;
}

const char *manifest_store(const struct manifest *m, unsigned i)
{
    return m->stores[i].folder;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* A file without a name for what cannot be read twice. */
static FILE *spool_new(struct err *e)
{
    const char *folder = getenv("TMPDIR");
    AUTO_FREE char *path = mem_printf(e, "%s/mpi-img-XXXXXX", folder ? folder : "/tmp");
    int fd = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (path && fd >= 0)
        unlink(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w+") : NULL;
    if (path && !f)
        err_errno(e, errno, "Could not keep the manifest in '%s'", path);
    if (!f && fd >= 0)
        close(fd);
    return f;
}

static int spool_input(FILE *to, struct err *e)
{
    AUTO_FREE char *buf = mem_new(1, 65536, e);
    size_t n;
    if (!buf)
        return -1;
    while ((n = fread(buf, 1, 65536, stdin)))
        if (fwrite(buf, 1, n, to) != n)
            return err_errno(e, errno, "Could not keep the manifest");
    return ferror(stdin) ? err_errno(e, errno, "Could not read standard input") : 0;
}

static const char *default_format(const struct manifest *m)
{
    const char *format = json_string_value(json_object_get(m->defaults, "target_format"));
    return format ? format : "raw";
}

static int open_listing(struct manifest *m, const struct manifest_source *from, struct err *e)
{
    m->listed = true;
    m->name = from->from;
    m->file = spool_new(e);
    return m->file ? listing_write(m->file, from->from, from->to, from->glob, default_format(m), e)
                   : -1;
}

static int open_input(struct manifest *m, struct err *e)
{
    m->name = "standard input";
    m->file = spool_new(e);
    return m->file ? spool_input(m->file, e) : -1;
}

static int open_path(struct manifest *m, const char *path, struct err *e)
{
    struct stat st;
    m->name = path;
    m->file = fopen(path, "re");
    if (!m->file)
        return err_errno(e, errno, "Could not open the manifest '%s'", path);
    if (fstat(fileno(m->file), &st) == 0 && S_ISREG(st.st_mode))
        return 0;
    return err_set(e, EINVAL, "The manifest '%s' is no regular file; '-' is standard input", path);
}

/* The folder that relative names are relative to. */
static int find_folder(struct manifest *m, const char *path, struct err *e)
{
    char cwd[PATH_MAX];
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!getcwd(cwd, sizeof cwd))
        return err_errno(e, errno, "The current folder");
    int n = slash ? (int)(slash - path) : 0;
    if (!slash)
        m->folder = mem_strdup(cwd, e);
    else if (path[0] == '/')
        m->folder = mem_printf(e, "%.*s", n, path);
    else
        m->folder = mem_printf(e, "%s/%.*s", cwd, n, path);
    return m->folder ? 0 : -1;
}

static int open_source(struct manifest *m, const struct manifest_source *from, struct err *e)
{
    bool file = !from->from && strcmp(from->path, "-") != 0;
    m->defaults = from->defaults;
    if (find_folder(m, file ? from->path : NULL, e))
        return -1;
    if (from->from)
        return open_listing(m, from, e);
    return file ? open_path(m, from->path, e) : open_input(m, e);
}

/* ---- its records ----------------------------------------------------------------------------- */

static int add_item(struct manifest *m, const struct lines_record *r, struct err *e)
{
    if (m->n == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        struct manifest_item *items = mem_grow(m->items, room, sizeof *items, e);
        if (!items)
            return -1;
        m->items = items;
        m->room = room;
    }
    if (m->n == UINT32_MAX - 1)
        return err_set(e, EFBIG, "The manifest has too many records");
    m->items[m->n++] = (struct manifest_item){
        .at = r->at,
        .length = (uint32_t)r->length,
        .line = r->line,
        .text = names_hash(0, r->text, r->length),
        .after = ORDER_NONE,
    };
    return 0;
}

/* Later ones count on the fields to be known. */
static int take_columns(struct manifest *m, const struct lines_record *r, struct err *e)
{
    json_t *name;
    size_t i;
    m->columns = lines_csv(r->text, r->length, e);
    if (!m->columns) {
        manifest_complain(m, r->line, "%s", e->text);
        err_clear(e);
        return 0;
    }
    json_array_foreach(m->columns, i, name)
    {
        const char *text = json_string_value(name);
        if (!request_field_find(text))
            manifest_complain(m, r->line, "Unknown field '%s'", text);
        for (size_t before = 0; before < i; before++)
            if (json_equal(json_array_get(m->columns, before), name))
                manifest_complain(m, r->line, "The field '%s' is there twice", text);
    }
    return 0;
}

static int read_record(struct manifest *m, const struct lines_record *r, struct err *e)
{
    int sig = signals_stop();
    if (sig)
        return err_set(e, EINTR, "Stopped by signal %d (%s)", sig, strsignal(sig));
    if (r->too_long) {
        manifest_complain(m, r->line, "It is longer than %zu bytes", LINES_MAX);
        return 0;
    }
    if (m->kind == LINES_CSV && !m->columns)
        return take_columns(m, r, e);
    return add_item(m, r, e) || manifest_check_record(m, m->n - 1, r->text, e) ? -1 : 0;
}

static int read_records(struct manifest *m, struct err *e)
{
    struct lines lines;
    AUTO_FREE char *text = mem_new(LINES_MAX + 1, 1, e);
    struct lines_record r = {.text = text};
    int more = text ? 1 : -1;
    rewind(m->file);
    lines_begin(&lines, m->file);
    m->kind = lines.kind;
    while (more > 0 && (more = lines_next(&lines, &r, e)) > 0) {
        if (read_record(m, &r, e))
            return -1;
        if (m->kind == LINES_CSV && m->wrong->n && !m->n)
            return 0; /* without its first line the rest says nothing */
    }
    return more;
}

void manifest_free(struct manifest *m)
{
    if (!m)
        return;
    if (m->file)
        fclose(m->file);
    for (unsigned i = 0; i < m->n_stores; i++)
        free(m->stores[i].folder);
    json_decref(m->columns);
    names_free(m->names);
    free(m->folder);
    free(m->items);
    free(m->table);
    free(m);
}

void manifest_cleanup(struct manifest **m)
{
    manifest_free(*m);
}

int manifest_open(const struct manifest_source *from, struct manifest **out,
                  struct manifest_wrong *wrong, struct err *e)
{
    AUTO(manifest_cleanup) struct manifest *m = mem_new(1, sizeof *m, e);
    if (!m)
        return -1;
    m->wrong = wrong;
    m->names = names_new(e);
    if (!m->names || open_source(m, from, e) || read_records(m, e) || manifest_check(m, e))
        return -1;
    m->wrong = NULL;
    *out = MEM_TAKE(m);
    return 0;
}
