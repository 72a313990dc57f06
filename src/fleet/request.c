#include "fleet/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "flow/wanted.h"
#include "image/node.h"

/* ---- taking values: texts are the record's, which outlives the request's use of them ----------
 */

static int take_id(struct request *r, const char *text, struct err *e)
{
    (void)r, (void)text, (void)e;
    return 0;
}

static int take_source(struct request *r, const char *text, struct err *e)
{
    r->source.name = text;
    return *text ? 0 : err_set(e, EINVAL, "The name is empty");
}

static int take_target(struct request *r, const char *text, struct err *e)
{
    r->o.target = text;
    return *text ? 0 : err_set(e, EINVAL, "The name is empty");
}

static int take_source_format(struct request *r, const char *text, struct err *e)
{
    r->o.source_driver = text;
    if (format_find(text) || node_is_protocol(text))
        return 0;
    return err_set(e, EINVAL, "Unknown driver '%s'", text);
}

static int take_target_format(struct request *r, const char *text, struct err *e)
{
    r->o.target_driver = text;
    return wanted_format_creatable(text, e) ? 0 : -1;
}

static int take_options(struct request *r, const char *text, struct err *e)
{
    if (*text && !options_list_ok(text))
        return err_set(e, EINVAL, "Invalid option list: %s", text);
    if (options_want_help(text))
        return err_set(e, EINVAL, "There is no help here");
    free(r->list);
    r->list = mem_strdup(text, e);
    return r->list ? 0 : -1;
}

static int take_compress(struct request *r, const char *text, struct err *e)
{
    (void)text, (void)e;
    r->o.compress = true;
    return 0;
}

static int take_level(struct request *r, const char *text, struct err *e)
{
    return wanted_level(text, &r->level, e);
}

static int take_backing(struct request *r, const char *text, struct err *e)
{
    (void)e;
    r->backing = text;
    return 0;
}

static int take_backing_format(struct request *r, const char *text, struct err *e)
{
    r->backing_format = text;
    return wanted_format(text, e) ? 0 : -1;
}

static int take_snapshot(struct request *r, const char *text, struct err *e)
{
    r->o.snapshot = text;
    return image_snapshot_check(text, e);
}

static int take_sparse(struct request *r, const char *text, struct err *e)
{
    return wanted_sparse(text, &r->o.sparse_size, e);
}

static int take_safe(struct request *r, const char *text, struct err *e)
{
    (void)text, (void)e;
    r->o.safety.on = true;
    return 0;
}

static int take_max_size(struct request *r, const char *text, struct err *e)
{
    return wanted_max_size(text, &r->o.safety.max_size, e);
}

static int take_verify(struct request *r, const char *text, struct err *e)
{
    (void)text, (void)e;
    r->o.verify = true;
    return 0;
}

static int take_hash(struct request *r, const char *text, struct err *e)
{
    r->hash_given = true;
    return wanted_hash(text, &r->o.hash, e);
}

static int take_salvage(struct request *r, const char *text, struct err *e)
{
    (void)text, (void)e;
    r->o.salvage = true;
    return 0;
}

static int take_rate(struct request *r, const char *text, struct err *e)
{
    return size_take(text, "rate limit", &r->o.rate_limit, e);
}

const struct request_field request_fields[] = {
    {"source", REQUEST_TEXT, take_source, "The image to convert; must be there"},
    {"target", REQUEST_TEXT, take_target, "The image to make; must be there"},
    {"source_format", REQUEST_TEXT, take_source_format, "Format of the source (-f)"},
    {"target_format", REQUEST_TEXT, take_target_format, "Format of the target (-O, default raw)"},
    {"options", REQUEST_OPTIONS, take_options, "Options of the target (-o), or an object of them"},
    {"compress", REQUEST_BOOL, take_compress, "Compress (-c)"},
    {"compression_level", REQUEST_COUNT, take_level, "--compression-level"},
    {"backing_file", REQUEST_TEXT, take_backing,
     "Backing image of the target (-B), relative to the target's folder"},
    {"backing_format", REQUEST_TEXT, take_backing_format, "Format of the backing image (-F)"},
    {"snapshot", REQUEST_TEXT, take_snapshot, "Internal snapshot of the source (-l)"},
    {"sparse_size", REQUEST_SIZE, take_sparse, "Runs of zeros that become holes (-S)"},
    {"safe", REQUEST_BOOL, take_safe, "Make the checks of untrusted images (--safe)"},
    {"max_size", REQUEST_SIZE, take_max_size, "Refuse a larger virtual disk (--max-size)"},
    {"verify", REQUEST_BOOL, take_verify, "Read the target back and compare (--verify)"},
    {"hash", REQUEST_HASH, take_hash, "Write the hash into the results (--hash)"},
    {"salvage", REQUEST_BOOL, take_salvage, "What cannot be read becomes zeros (--salvage)"},
    {"rate_limit", REQUEST_SIZE, take_rate, "Bytes to write a second at most, for this image"},
    {"id", REQUEST_TEXT, take_id, "Any text; the results repeat it"},
    {0},
};

const struct request_field *request_field_find(const char *name)
{
    for (const struct request_field *f = request_fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

/* ---- from JSON to texts ---------------------------------------------------------------------- */

static const char *kind_words(enum request_kind kind)
{
    static const char *const words[] = {
        [REQUEST_TEXT] = "a text",
        [REQUEST_BOOL] = "true or false",
        [REQUEST_COUNT] = "a whole number",
        [REQUEST_SIZE] = "a whole number, or a size as a text",
        [REQUEST_HASH] = "true, false, or the name of a hash",
        [REQUEST_OPTIONS] = "a text 'a=b,c=d', or an object",
    };
    return words[kind];
}

/* One option of an object: commas of its value are doubled. */
static int option_print(FILE *out, const char *name, const json_t *v, struct err *e)
{
    if (!*name || name[strcspn(name, "=,")])
        return err_set(e, EINVAL, "Invalid name of an option: '%s'", name);
    fprintf(out, "%s=", name);
    if (json_is_integer(v))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_boolean(v))
        fputs(json_is_true(v) ? "on" : "off", out);
    else if (!json_is_string(v))
        return err_set(e, EINVAL, "Option '%s' must be a text, a whole number, true or false",
                       name);
    for (const char *at = json_string_value(v); at && *at; at++)
        fprintf(out, *at == ',' ? ",," : "%c", *at);
    return 0;
}

static int options_print(FILE *out, const json_t *object, struct err *e)
{
    const char *name;
    json_t *v;
    bool first = true;
    json_object_foreach((json_t *)object, name, v)
    {
        if (!first)
            fputc(',', out);
        first = false;
        if (option_print(out, name, v, e))
            return -1;
    }
    return 0;
}

/* The list that an object of options stands for. */
static char *options_text(const json_t *object, struct err *e)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    int status = out ? options_print(out, object, e) : err_nomem(e);
    if (out && fclose(out) && !status)
        status = err_nomem(e);
    if (!status)
        return text;
    free(text);
    return NULL;
}

static int take_wrong(const struct request_field *f, struct err *e)
{
    return err_set(e, EINVAL, "It must be %s", kind_words(f->kind));
}

static int take_number(struct request *r, const struct request_field *f, json_int_t number,
                       struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, number);
    return number < 0 ? take_wrong(f, e) : f->take(r, text, e);
}

static int take_value(struct request *r, const struct request_field *f, const json_t *v,
                      struct err *e)
{
    bool flag = f->kind == REQUEST_BOOL || f->kind == REQUEST_HASH;
    bool number = f->kind == REQUEST_COUNT || f->kind == REQUEST_SIZE;
    if (json_is_null(v))
        return 0;
    if (flag && json_is_boolean(v))
        return json_is_true(v) ? f->take(r, NULL, e) : 0;
    if (number && json_is_integer(v))
        return take_number(r, f, json_integer_value(v), e);
    if (json_is_string(v) && f->kind != REQUEST_BOOL && f->kind != REQUEST_COUNT)
        return f->take(r, json_string_value(v), e);
    if (!json_is_object(v) || f->kind != REQUEST_OPTIONS)
        return take_wrong(f, e);
    AUTO_FREE char *list = options_text(v, e);
    return list ? f->take(r, list, e) : -1;
}

static int take_field(struct request *r, const char *name, const json_t *v, struct err *e)
{
    const struct request_field *f = request_field_find(name);
    if (!f)
        return err_set(e, EINVAL, "Unknown field '%s'", name);
    return take_value(r, f, v, e) ? err_prefix(e, "%s: ", name) : 0;
}

/* ---- a whole request ------------------------------------------------------------------------- */

void request_free(struct request *r)
{
    if (!r)
        return;
    options_free(r->options);
    json_decref(r->o.target_spec);
    json_decref(r->source.spec);
    json_decref(r->record);
    free(r->list);
    free(r);
}

void request_cleanup(struct request **r)
{
    request_free(*r);
}

static struct request *request_empty(const json_t *record, struct err *e)
{
    struct request *r = mem_new(1, sizeof *r, e);
    if (!r)
        return NULL;
    r->record = json_incref((json_t *)record);
    r->o.sparse_size = WANTED_SPARSE;
    r->o.target_driver = "raw";
    r->o.sources = &r->source;
    r->o.n_sources = 1;
    return r;
}

int request_check_field(const char *name, const json_t *value, struct err *e)
{
    AUTO(json_decrefp) json_t *none = json_null();
    AUTO(request_cleanup) struct request *r = request_empty(none, e);
    return r ? take_field(r, name, value, e) : -1;
}

static int plan_target(struct request *r, struct err *e)
{
    struct convert_options *o = &r->o;
    const struct format *format = wanted_format_creatable(o->target_driver, e);
    o->target_spec = format ? wanted_spec(o->target, e) : NULL;
    if (!o->target_spec ||
        wanted_options(format, o->target_spec, r->list ? r->list : "", &r->options, e) ||
        wanted_backing(format, r->options, r->backing, r->backing_format, e) ||
        wanted_check_backing(r->options, 1, e) ||
        (o->compress && wanted_check_compress(format, r->options, e)))
        return -1;
    o->options = r->options;
    o->backing_in_target = options_str(r->options, "backing_file", NULL) != NULL;
    return 0;
}

/* All fields are taken. */
static int complete(struct request *r, struct err *e)
{
    struct convert_options *o = &r->o;
    r->source.spec = image_spec_from_name(r->source.name, e);
    o->level = (int)r->level;
    if (!r->source.spec || (o->verify && !o->hash.kind && wanted_hash(NULL, &o->hash, e)))
        return -1;
    return plan_target(r, e);
}

static int check_names(const struct request *r, struct err *e)
{
    if (!r->source.name)
        return err_set(e, EINVAL, "The field 'source' is missing");
    return r->o.target ? 0 : err_set(e, EINVAL, "The field 'target' is missing");
}

int request_new(const json_t *record, const struct request_common *common, struct request **out,
                struct err *e)
{
    AUTO(request_cleanup) struct request *r = request_empty(record, e);
    const char *name;
    json_t *v;
    if (!r)
        return -1;
    json_object_foreach((json_t *)record, name, v)
    {
        if (take_field(r, name, v, e))
            return -1;
    }
    if (check_names(r, e) || complete(r, e))
        return -1;
    r->o.secrets = common->secrets;
    r->o.memory = common->memory;
    r->o.warn = common->warn;
    *out = MEM_TAKE(r);
    return 0;
}

/* ---- all that is wrong ----------------------------------------------------------------------- */

static size_t tell(const struct request_sink *sink, struct err *e)
{
    sink->bad(sink->ctx, e->text);
    err_clear(e);
    return 1;
}

static size_t check_missing(const json_t *record, const char *name, const struct request_sink *sink)
{
    char text[64];
    const json_t *v = json_object_get(record, name);
    if (v && !json_is_null(v))
        return 0;
    snprintf(text, sizeof text, "The field '%s' is missing", name);
    sink->bad(sink->ctx, text);
    return 1;
}

static size_t check_fields(const json_t *record, const struct request_sink *sink, struct err *e)
{
    size_t wrong = 0;
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)record, name, v)
    {
        if (request_check_field(name, v, e))
            wrong += tell(sink, e);
    }
    return wrong + check_missing(record, "source", sink) + check_missing(record, "target", sink);
}

size_t request_check(const json_t *record, const struct request_sink *sink)
{
    static const struct request_common none;
    AUTO(request_cleanup) struct request *r = NULL;
    AUTO_FREE struct err *e = calloc(1, sizeof *e);
    if (!e) {
        sink->bad(sink->ctx, strerror(ENOMEM));
        return 1;
    }
    if (!json_is_object(record)) {
        sink->bad(sink->ctx, "It is no JSON object");
        return 1;
    }
    size_t wrong = check_fields(record, sink, e);
    /* the fields alone are right: what they say together */
    if (!wrong && request_new(record, &none, &r, e))
        wrong += tell(sink, e);
    return wrong;
}
