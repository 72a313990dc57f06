/* What must not be in a manifest: in one record, and in all of them together. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "fleet/manifest_impl.h"
#include "fleet/order.h"
#include "fleet/request.h"
#include "image/image.h"

/* ---- one record ------------------------------------------------------------------------------ */

struct place {
    struct manifest *m;
    unsigned line;
};

static void complain(void *ctx, const char *text)
{
    const struct place *p = ctx;
    manifest_complain(p->m, p->line, "%s", text);
}

static const char *text_of(const json_t *record, const char *field)
{
    return json_string_value(json_object_get(record, field));
}

static void check_source(struct manifest *m, struct manifest_item *item, const char *name)
{
    struct names_file f;
    if (!name || !*name || !names_is_path(name))
        return;
    names_look(m->names, name, &f);
    item->source = f.key;
    item->size = f.size;
    item->bytes = f.allocated;
    if (!f.there)
        manifest_complain(m, item->line, "The source '%s' is not there", name);
    else if (f.is_folder)
        manifest_complain(m, item->line, "The source '%s' is a folder", name);
}

static int parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash != path ? (int)(slash - path) : 1;
}

/* 1 + the number of the file system that a path is on; 0: there are too many. */
static uint8_t find_store(struct manifest *m, dev_t device, const char *path)
{
    unsigned i = 0;
    while (i < m->n_stores && m->stores[i].device != device)
        i++;
    if (i == m->n_stores && i < MANIFEST_STORES_MAX) {
        m->stores[i].device = device;
        m->stores[i].folder = strndup(path, (size_t)parent_length(path));
        m->n_stores += m->stores[i].folder != NULL;
    }
    return i < m->n_stores ? (uint8_t)(i + 1) : 0;
}

static void check_target(struct manifest *m, struct manifest_item *item, const char *name)
{
    struct names_file f;
    if (!name || !*name || !names_is_path(name))
        return;
    names_look(m->names, name, &f);
    item->target = f.key;
    item->replaces = f.allocated;
    item->store = f.device ? find_store(m, f.device, name) : 0;
    if (f.is_folder)
        manifest_complain(m, item->line, "The target '%s' is a folder", name);
    else if (!f.folder && !m->listed)
        manifest_complain(m, item->line, "The target's folder '%.*s' is not there",
                          parent_length(name), name);
    else if (!f.writable && !f.there)
        manifest_complain(m, item->line, "The target's folder '%.*s' is not writable",
                          parent_length(name), name);
}

/* The name as it will be stored, seen from the target. */
static int check_backing(struct manifest *m, struct manifest_item *item, const char *target,
                         const char *name, struct err *e)
{
    struct image beside = {.name = (char *)target, .backing_name = (char *)name};
    struct names_file f;
    AUTO_FREE char *path = names_is_path(name) ? image_backing_path(&beside, e) : NULL;
    if (!path) {
        bool failed = e->no == ENOMEM;
        err_clear(e);
        return failed ? err_nomem(e) : 0;
    }
    names_look(m->names, path, &f);
    item->backing = f.key;
    item->backing_there = f.there;
    return 0;
}

static const char *backing_of(const struct request *r)
{
    return options_str(r->options, "backing_file", NULL);
}

static uint64_t hash_of(const json_t *record)
{
    AUTO_FREE char *text = json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS);
    return text ? names_hash(0, text, strlen(text)) : 0;
}

static int check_request(struct manifest *m, struct manifest_item *item, const json_t *record,
                         struct err *e)
{
    static const struct request_common none;
    AUTO(request_cleanup) struct request *r = NULL;
    const char *target = text_of(record, "target");
    if (request_new(record, &none, &r, e))
        return -1;
    item->request = hash_of(record);
    item->compress = r->o.compress;
    return backing_of(r) ? check_backing(m, item, target, backing_of(r), e) : 0;
}

int manifest_check_record(struct manifest *m, size_t i, const char *text, struct err *e)
{
    struct manifest_item *item = &m->items[i];
    struct place place = {m, item->line};
    const struct request_sink sink = {complain, &place};
    json_t *record = manifest_parse(m, text, item->length, e);
    if (!record) {
        complain(&place, e->text);
        err_clear(e);
        return 0;
    }
    int status = request_check(record, &sink) ? 0 : check_request(m, item, record, e);
    /* also of a record that is wrong: others may count on its target */
    check_source(m, item, text_of(record, "source"));
    check_target(m, item, text_of(record, "target"));
    json_decref(record);
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int table_new(struct manifest *m, struct err *e)
{
    size_t room = 16;
    while (room < 2 * m->n)
        room *= 2;
    m->table_mask = room - 1;
    m->table = mem_new(room, sizeof *m->table, e);
    return m->table ? 0 : -1;
}

static uint32_t *table_slot(const struct manifest *m, uint64_t key)
{
    size_t at = key & m->table_mask;
    while (m->table[at] && m->items[m->table[at] - 1].target != key)
        at = (at + 1) & m->table_mask;
    return &m->table[at];
}

size_t manifest_find_target(const struct manifest *m, uint64_t key)
{
    uint32_t found = key && m->table ? *table_slot(m, key) : 0;
    return found ? found - 1 : ORDER_NONE;
}

/* A field of a record that is known to be right, for a message. */
static char *field_again(const struct manifest *m, size_t i, const char *field)
{
    AUTO_FREE struct err *e = calloc(1, sizeof *e);
    json_t *record = e ? manifest_record(m, i, e) : NULL;
    const char *text = text_of(record, field);
    char *copy = strdup(text ? text : "");
    json_decref(record);
    return copy;
}

static void complain_of(struct manifest *m, size_t i, const char *field, const char *what,
                        size_t other)
{
    AUTO_FREE char *name = field_again(m, i, field);
    AUTO_FREE char *source = m->listed ? field_again(m, other, "source") : NULL;
    if (m->listed)
        manifest_complain(m, 0, "The %s '%s' %s '%s'", field, name ? name : "", what,
                          source ? source : "");
    else
        manifest_complain(m, m->items[i].line, "The %s '%s' %s line %u", field, name ? name : "",
                          what, m->items[other].line);
}

static void check_targets(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        uint32_t *slot = m->items[i].target ? table_slot(m, m->items[i].target) : NULL;
        if (slot && *slot)
            complain_of(m, i, "target", "is also that of", *slot - 1);
        else if (slot)
            *slot = (uint32_t)i + 1;
    }
}

static void check_sources(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        size_t other = manifest_find_target(m, m->items[i].source);
        if (other != ORDER_NONE)
            complain_of(m, i, "source", "is the target of", other);
    }
}

static void check_chains(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct manifest_item *item = &m->items[i];
        item->after = manifest_find_target(m, item->backing);
        if (!item->backing || item->after != ORDER_NONE || item->backing_there)
            continue;
        AUTO_FREE char *name = field_again(m, i, "backing_file");
        manifest_complain(m, item->line,
                          "The backing file '%s' is not there, and no record makes it (names are "
                          "relative to the target's folder)",
                          name ? name : "");
    }
}

static void complain_circle(void *ctx, size_t i)
{
    struct manifest *m = ctx;
    AUTO_FREE char *name = field_again(m, i, "target");
    manifest_complain(m, m->items[i].line, "The target '%s' is backed by itself, in a circle",
                      name ? name : "");
}

static int check_circles(struct manifest *m, struct err *e)
{
    AUTO_FREE uint8_t *marks = mem_new(m->n, 1, e);
    AUTO_FREE size_t *after = marks ? mem_new(m->n, sizeof *after, e) : NULL;
    if (!after)
        return -1;
    for (size_t i = 0; i < m->n; i++)
        after[i] = m->items[i].after;
    order_circles(after, m->n, marks, complain_circle, m);
    return 0;
}

int manifest_check(struct manifest *m, struct err *e)
{
    if (table_new(m, e))
        return -1;
    check_targets(m);
    check_sources(m);
    check_chains(m);
    return check_circles(m, e);
}

/* ---- folders --------------------------------------------------------------------------------- */

static int make_parents(char *path, struct err *e)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(path, 0777) && errno != EEXIST)
            return err_errno(e, errno, "Could not make the folder '%s'", path);
        *at = '/';
    }
    return 0;
}

int manifest_make_folders(const struct manifest *m, struct err *e)
{
    char last[PATH_MAX] = "";
    for (size_t i = 0; m->listed && i < m->n; i++) {
        json_t *record = manifest_record(m, i, e);
        AUTO_FREE char *path = record ? mem_strdup(text_of(record, "target"), e) : NULL;
        json_decref(record);
        if (!path)
            return -1;
        size_t n = (size_t)parent_length(path);
        if (n < sizeof last && strncmp(last, path, n) == 0 && !last[n])
            continue;
        if (make_parents(path, e))
            return -1;
        snprintf(last, sizeof last, "%.*s", (int)n, path);
    }
    return 0;
}
