#include "formats/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/size.h"

struct option_value {
    const struct option_def *def;
    char *text;   /* as given (commas single), NULL = no value */
    char *shown;  /* as the Formatting line shows it */
    uint64_t num; /* SIZE, NUM */
    bool flag;    /* BOOL */
    bool given;
};

struct options {
    struct option_value *v;
    size_t n;
};

/* ---- values ---------------------------------------------------------------------------------- */

static int value_parse_bool(const char *text, bool *out)
{
    static const char *const on[] = {"on", "yes", "true", "y"};
    static const char *const off[] = {"off", "no", "false", "n"};
    for (size_t i = 0; i < ARRAY_LEN(on); i++) {
        *out = strcmp(text, on[i]) == 0;
        if (*out || strcmp(text, off[i]) == 0)
            return 0;
    }
    return -1;
}

static int value_parse_num(const char *name, const char *text, uint64_t *out, struct err *e)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    if (errno == ERANGE)
        return err_set(e, ERANGE, "Value '%s' is too large for parameter '%s'", text, name);
    if (end == text || *end)
        return err_set(e, EINVAL, "Parameter '%s' expects a number", name);
    return 0;
}

static int value_parse_size(const char *name, const char *text, uint64_t *out, struct err *e)
{
    switch (size_parse(text, out)) {
    case 0:
        return 0;
    case -ERANGE:
        return err_set(e, ERANGE, "Value '%s' is out of range for parameter '%s'", text, name);
    default:
        err_set(e, EINVAL, "Parameter '%s' expects a non-negative number below 2^64", name);
        return err_hint(e, "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, "
                           "peta-\nand exabytes, respectively.");
    }
}

/* A string with its commas doubled, so that the shown list can be given back as -o. */
static char *value_show_text(const char *text, struct err *e)
{
    char *out = mem_new(2 * strlen(text) + 1, 1, e);
    char *at = out;
    for (; out && *text; text++) {
        *at++ = *text;
        if (*text == ',')
            *at++ = ',';
    }
    return out;
}

static int value_parse(struct option_value *v, const char *text, struct err *e)
{
    const char *name = v->def->name;
    switch (v->def->type) {
    case OPTION_SIZE:
        return value_parse_size(name, text, &v->num, e);
    case OPTION_NUM:
        return value_parse_num(name, text, &v->num, e);
    case OPTION_BOOL:
        if (value_parse_bool(text, &v->flag))
            return err_set(e, EINVAL, "Parameter '%s' expects 'on' or 'off'", name);
        return 0;
    case OPTION_STR:
        return 0;
    }
    return 0;
}

static int value_set(struct option_value *v, const char *text, struct err *e)
{
    if (value_parse(v, text, e))
        return -1;
    bool number = v->def->type == OPTION_SIZE || v->def->type == OPTION_NUM;
    AUTO_FREE char *copy = mem_strdup(text, e);
    AUTO_FREE char *shown =
        number ? mem_printf(e, "%lld", (long long)v->num) : value_show_text(text, e);
    if (!copy || !shown)
        return -1;
    free(v->text);
    free(v->shown);
    v->text = MEM_TAKE(copy);
    v->shown = MEM_TAKE(shown);
    return 0;
}

/* ---- the set --------------------------------------------------------------------------------- */

static struct option_value *options_find(const struct options *o, const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].def->name, name) == 0)
            return &o->v[i];
    return NULL;
}

/* A later table's option of the same name is shadowed. */
static int options_add(struct options *o, const struct option_def *def, struct err *e)
{
    if (options_find(o, def->name))
        return 0;
    o->v[o->n++].def = def;
    return def->def ? value_set(&o->v[o->n - 1], def->def, e) : 0;
}

struct options *options_new(const struct option_def *const *tables, struct err *e)
{
    AUTO(options_cleanup) struct options *o = mem_new(1, sizeof *o, e);
    if (!o)
        return NULL;
    size_t n = 0;
    for (const struct option_def *const *t = tables; *t; t++)
        for (const struct option_def *d = *t; d->name; d++)
            n++;
    o->v = mem_new(n, sizeof *o->v, e);
    if (!o->v)
        return NULL;
    for (const struct option_def *const *t = tables; *t; t++)
        for (const struct option_def *d = *t; d->name; d++)
            if (options_add(o, d, e))
                return NULL;
    return MEM_TAKE(o);
}

void options_free(struct options *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n; i++) {
        free(o->v[i].text);
        free(o->v[i].shown);
    }
    free(o->v);
    free(o);
}

void options_cleanup(struct options **o)
{
    options_free(*o);
}

int options_set(struct options *o, const char *name, const char *value, struct err *e)
{
    struct option_value *v = options_find(o, name);
    if (!v)
        return err_set(e, EINVAL, "Invalid parameter '%s'", name);
    if (value_set(v, value, e))
        return -1;
    v->given = true;
    return 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

bool options_list_ok(const char *text)
{
    size_t n = strlen(text);
    size_t commas = 0;
    while (commas < n && text[n - 1 - commas] == ',')
        commas++;
    return n && text[0] != ',' && commas % 2 == 0;
}

/* Copy a value up to a single comma; returns what follows it, NULL at the end. */
static const char *list_value(const char *at, char *out)
{
    for (; *at; at++) {
        if (*at == ',' && *++at != ',') {
            *out = '\0';
            return at;
        }
        *out++ = *at;
    }
    *out = '\0';
    return NULL;
}

/* One item: "name=value", or "name" (value NULL). Buffers are as long as the text. Returns what
 * follows, NULL at the end. */
static const char *list_item(const char *at, char *name, char *value, bool *has_value)
{
    size_t n = strcspn(at, "=,");
    memcpy(name, at, n);
    name[n] = '\0';
    at += n;
    *has_value = *at == '=';
    if (*has_value)
        return list_value(at + 1, value);
    return *at ? at + 1 : NULL;
}

bool options_want_help(const char *text)
{
    while (text) {
        size_t n = strcspn(text, "=,");
        bool alone = text[n] != '=';
        if (alone && ((n == 4 && memcmp(text, "help", 4) == 0) || (n == 1 && *text == '?')))
            return true;
        text += n;
        if (alone) {
            text = *text ? text + 1 : NULL;
            continue;
        }
        while (*text && !(text[0] == ',' && text[1] != ','))
            text += text[0] == ',' ? 2 : 1;
        text = *text ? text + 1 : NULL;
    }
    return false;
}

static void warn_hex_suffix(const struct options *o, const char *name, const char *value,
                            void (*warn)(const char *text))
{
    const struct option_value *v = options_find(o, name);
    if (!warn || !v || v->def->type != OPTION_SIZE || !size_is_doubtful(value))
        return;
    char text[128];
    snprintf(text, sizeof text, "Using a multiplier suffix on hex numbers is deprecated: %s",
             value);
    warn(text);
}

int options_parse(struct options *o, const char *text, void (*warn)(const char *text),
                  struct err *e)
{
    size_t cap = strlen(text) + 4;
    AUTO_FREE char *name = mem_new(cap, 1, e);
    AUTO_FREE char *value = mem_new(cap, 1, e);
    if (!name || !value)
        return -1;
    while (text && *text) {
        bool has_value;
        text = list_item(text, name, value, &has_value);
        bool no = !has_value && strncmp(name, "no", 2) == 0;
        if (!has_value)
            strcpy(value, no ? "off" : "on");
        const char *key = no ? name + 2 : name;
        if (options_set(o, key, value, e))
            return -1;
        warn_hex_suffix(o, key, value, warn);
    }
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

bool options_given(const struct options *o, const char *name)
{
    const struct option_value *v = o ? options_find(o, name) : NULL;
    return v && v->given;
}

static const struct option_value *options_value(const struct options *o, const char *name)
{
    const struct option_value *v = o ? options_find(o, name) : NULL;
    return v && v->text ? v : NULL;
}

const char *options_str(const struct options *o, const char *name, const char *absent)
{
    const struct option_value *v = options_value(o, name);
    return v ? v->text : absent;
}

uint64_t options_size(const struct options *o, const char *name, uint64_t absent)
{
    const struct option_value *v = options_value(o, name);
    return v ? v->num : absent;
}

bool options_bool(const struct options *o, const char *name, bool absent)
{
    const struct option_value *v = options_value(o, name);
    return v ? v->flag : absent;
}

bool options_next(const struct options *o, size_t *at, const char **name, const char **value)
{
    while (*at < o->n && !o->v[*at].text)
        ++*at;
    if (*at == o->n)
        return false;
    *name = o->v[*at].def->name;
    *value = o->v[*at].shown;
    ++*at;
    return true;
}
