#include "cli/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- building -------------------------------------------------------------------------------- */

bool report_add(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new_nocheck(object, key, value) == 0;
}

bool report_text(json_t *object, const char *key, const char *text)
{
    return report_add(object, key, json_string_nocheck(text));
}

bool report_number(json_t *object, const char *key, uint64_t number)
{
    return report_add(object, key, json_integer((json_int_t)number));
}

bool report_bool(json_t *object, const char *key, bool value)
{
    return report_add(object, key, json_boolean(value));
}

bool report_count(json_t *object, const char *key, uint64_t number)
{
    return number == 0 || report_number(object, key, number);
}

int report_format(const char *text, bool *json, struct err *e)
{
    *json = text && strcmp(text, "json") == 0;
    if (text && !*json && strcmp(text, "human") != 0)
        return err_set(e, EINVAL, "--output must be used with human or json as argument.");
    return 0;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The next character of UTF-8; U+FFFD for what is none. Returns the bytes used. */
static size_t utf8_next(const unsigned char *s, size_t n, uint32_t *out)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    size_t more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : 1;
    *out = 0xfffd;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 1;
    uint32_t c = s[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if (i >= n || (s[i] & 0xc0) != 0x80)
            return i;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c >= least[more] && c <= 0x10ffff && (c & ~0x7ffu) != 0xd800)
        *out = c;
    return more + 1;
}

static void json_character(FILE *out, uint32_t c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *escape = c && c < 0x80 ? strchr(plain, (int)c) : NULL;
    if (escape)
        fprintf(out, "\\%c", letter[escape - plain]);
    else if (c >= 0x20 && c < 0x7f)
        putc((int)c, out);
    else if (c >= 0x10000)
        fprintf(out, "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10),
                0xdc00 + ((c - 0x10000) & 0x3ff));
    else
        fprintf(out, "\\u%04X", c);
}

static void json_text(FILE *out, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    putc('"', out);
    for (size_t i = 0; i < n;) {
        uint32_t c = s[i];
        i += c < 0x80 ? 1 : utf8_next(s + i, n - i, &c);
        json_character(out, c);
    }
    putc('"', out);
}

void report_json_text(FILE *out, const char *text)
{
    json_text(out, text, strlen(text));
}

static void json_line(FILE *out, unsigned level)
{
    fprintf(out, "\n%*s", 4 * (int)level, "");
}

static void json_value(FILE *out, const json_t *v, unsigned level);

static void json_members(FILE *out, const json_t *v, unsigned level)
{
    const char *key, *comma = "";
    json_t *member;
    putc('{', out);
    json_object_foreach((json_t *)v, key, member)
    {
        fputs(comma, out);
        json_line(out, level + 1);
        json_text(out, key, strlen(key));
        fputs(": ", out);
        json_value(out, member, level + 1);
        comma = ",";
    }
    json_line(out, level);
    putc('}', out);
}

static void json_items(FILE *out, const json_t *v, unsigned level)
{
    size_t i;
    json_t *item;
    putc('[', out);
    json_array_foreach(v, i, item)
    {
        if (i)
            putc(',', out);
        json_line(out, level + 1);
        json_value(out, item, level + 1);
    }
    json_line(out, level);
    putc(']', out);
}

static void json_value(FILE *out, const json_t *v, unsigned level)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        json_members(out, v, level);
        break;
    case JSON_ARRAY:
        json_items(out, v, level);
        break;
    case JSON_STRING:
        json_text(out, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        fprintf(out, "%.17g", json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        fputs(json_is_true(v) ? "true" : "false", out);
        break;
    case JSON_NULL:
        fputs("null", out);
        break;
    }
}

void report_json(FILE *out, const json_t *value)
{
    json_value(out, value, 0);
    putc('\n', out);
}

/* ---- human ----------------------------------------------------------------------------------- */

static void human_key(FILE *out, const char *key)
{
    for (; *key; key++)
        putc(*key == '-' ? ' ' : *key, out);
}

/* What follows "key:". */
static void human_value(FILE *out, const json_t *v, unsigned level)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        putc('\n', out);
        report_human(out, v, level);
        break;
    case JSON_STRING:
        fprintf(out, " %s\n", json_string_value(v));
        break;
    case JSON_INTEGER:
        fprintf(out, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
        break;
    case JSON_REAL:
        fprintf(out, " %g\n", json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        fprintf(out, " %s\n", json_is_true(v) ? "true" : "false");
        break;
    case JSON_NULL:
        fputs(" null\n", out);
        break;
    }
}

static void human_items(FILE *out, const json_t *v, unsigned level)
{
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item)
    {
        fprintf(out, "%*s[%zu]:", 4 * (int)level, "", i);
        human_value(out, item, level + 1);
    }
}

void report_human(FILE *out, const json_t *value, unsigned level)
{
    const char *key;
    json_t *member;
    if (json_is_array(value)) {
        human_items(out, value, level);
        return;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        fprintf(out, "%*s", 4 * (int)level, "");
        human_key(out, key);
        putc(':', out);
        human_value(out, member, level + 1);
    }
}
