/* A recursive descent over the text. Depth is bounded, so is the stack. */
#include "image/json_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DEPTH_MAX 1024

struct parser {
    const char *at;
    unsigned depth;
    struct err *e;
};

static json_t *parse_value(struct parser *p);

static json_t *fail(struct parser *p, const char *what)
{
    err_set(p->e, EINVAL, "JSON parse error, %s", what);
    return NULL;
}

/* What stands at `from` up to and with the character that spoilt it. */
static json_t *fail_stray(struct parser *p, const char *from, const char *end)
{
    int n = (int)(end - from) + (*end != '\0');
    err_set(p->e, EINVAL, "JSON parse error, stray '%.*s'", n, from);
    return NULL;
}

static json_t *or_nomem(struct parser *p, json_t *v)
{
    if (!v)
        err_nomem(p->e);
    return v;
}

json_t *json_text_string(const char *s, struct err *e)
{
    json_t *v = json_string_nocheck(s);
    if (!v)
        err_nomem(e);
    return v;
}

static char peek(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '\n')
        p->at++;
    return *p->at;
}

/* ---- strings --------------------------------------------------------------------------------- */

static char *utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(lead[more] | c >> 6 * more);
    while (more--)
        *out++ = (char)(0x80 | (c >> 6 * more & 0x3f));
    return out;
}

static int hex4(const char *s, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)s[i]))
            return -1;
        int c = tolower((unsigned char)s[i]);
        *out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return 0;
}

/* *s is behind "\u". Zero is no character of ours: names end there. */
static int unicode_escape(const char **s, uint32_t *out)
{
    uint32_t low;
    if (hex4(*s, out) || *out == 0)
        return -1;
    *s += 4;
    if (*out < 0xd800 || *out > 0xdfff)
        return 0;
    if (*out > 0xdbff || (*s)[0] != '\\' || (*s)[1] != 'u' || hex4(*s + 2, &low) || low < 0xdc00 ||
        low > 0xdfff)
        return -1;
    *s += 6;
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

/* *s is behind a backslash; one character goes to *out. */
static int escape(struct parser *p, const char **s, char **out)
{
    static const char from[] = "\"'\\/bfnrt", to[] = "\"'\\/\b\f\n\r\t";
    const char *known = **s ? strchr(from, **s) : NULL;
    if (known) {
        *(*out)++ = to[known - from];
        (*s)++;
        return 0;
    }
    if (**s != 'u')
        return fail(p, "invalid escape sequence in string"), -1;
    uint32_t c;
    const char *begin = *s - 1;
    (*s)++;
    if (unicode_escape(s, &c))
        return err_set(p->e, EINVAL, "JSON parse error, %.6s is not a valid Unicode character",
                       begin);
    *out = utf8_put(*out, c);
    return 0;
}

/* The string at p->at (a quote), decoded; free() it. */
static char *parse_chars(struct parser *p)
{
    const char *begin = p->at, *s = begin + 1;
    AUTO_FREE char *text = mem_new(strlen(begin), 1, p->e);
    char *out = text;
    if (!text)
        return NULL;
    while (*s != *begin) {
        if ((unsigned char)*s < 0x20)
            return fail_stray(p, begin, s), NULL;
        if (*s != '\\') {
            *out++ = *s++;
            continue;
        }
        s++;
        if (escape(p, &s, &out))
            return NULL;
    }
    p->at = s + 1;
    return MEM_TAKE(text);
}

static json_t *parse_string(struct parser *p)
{
    AUTO_FREE char *text = parse_chars(p);
    return text ? json_text_string(text, p->e) : NULL;
}

/* ---- numbers and words ----------------------------------------------------------------------- */

static const char *digits(const char *s)
{
    while (isdigit((unsigned char)*s))
        s++;
    return s;
}

static json_t *parse_number(struct parser *p)
{
    const char *begin = p->at, *s = begin + (*begin == '-'), *whole = s;
    bool real = false;
    s = digits(s);
    if (s == whole)
        return fail_stray(p, begin, s);
    if (*whole == '0' && s > whole + 1)
        return fail_stray(p, begin, whole + 1);
    if (*s == '.') {
        const char *fraction = s + 1;
        real = true;
        s = digits(fraction);
        if (s == fraction)
            return fail_stray(p, begin, s);
    }
    if (*s == 'e' || *s == 'E') {
        const char *power = s + 1 + (s[1] == '+' || s[1] == '-');
        real = true;
        s = digits(power);
        if (s == power)
            return fail_stray(p, begin, s);
    }
    p->at = s;
    errno = 0;
    long long v = strtoll(begin, NULL, 10);
    if (!real && !errno)
        return or_nomem(p, json_integer(v));
    return or_nomem(p, json_real(strtod(begin, NULL)));
}

static json_t *parse_word(struct parser *p)
{
    const char *begin = p->at, *s = begin;
    while (isalnum((unsigned char)*s) || *s == '_')
        s++;
    size_t n = (size_t)(s - begin);
    p->at = s;
    if (n == 4 && !memcmp(begin, "true", n))
        return json_true();
    if (n == 5 && !memcmp(begin, "false", n))
        return json_false();
    if (n == 4 && !memcmp(begin, "null", n))
        return json_null();
    err_set(p->e, EINVAL, "JSON parse error, invalid keyword '%.*s'", (int)n, begin);
    return NULL;
}

/* ---- objects and arrays ---------------------------------------------------------------------- */

static int parse_member(struct parser *p, json_t *object)
{
    char c = peek(p);
    if (c == '\0')
        return fail(p, "premature EOI"), -1;
    if (c != '"' && c != '\'') {
        json_t *other = parse_value(p);
        json_decref(other);
        return other ? (fail(p, "key is not a string in object"), -1) : -1;
    }
    AUTO_FREE char *key = parse_chars(p);
    if (!key)
        return -1;
    if (json_object_get(object, key))
        return fail(p, "duplicate key"), -1;
    c = peek(p);
    if (c != ':')
        return fail(p, c ? "missing : in object pair" : "premature EOI"), -1;
    p->at++;
    json_t *v = parse_value(p);
    if (!v)
        return -1;
    return json_object_set_new_nocheck(object, key, v) ? err_nomem(p->e) : 0;
}

static int parse_element(struct parser *p, json_t *array)
{
    json_t *v = parse_value(p);
    if (!v)
        return -1;
    return json_array_append_new(array, v) ? err_nomem(p->e) : 0;
}

static json_t *parse_container(struct parser *p, json_t *into, char end, const char *separator,
                               int (*one)(struct parser *, json_t *))
{
    if (!into)
        return or_nomem(p, NULL);
    p->at++;
    if (peek(p) == end) {
        p->at++;
        return into;
    }
    for (;;) {
        if (one(p, into))
            break;
        char c = peek(p);
        p->at += c == ',' || c == end;
        if (c == end)
            return into;
        if (c != ',') {
            fail(p, c ? separator : "premature EOI");
            break;
        }
    }
    json_decref(into);
    return NULL;
}

static json_t *parse_nested(struct parser *p, char c)
{
    if (++p->depth > DEPTH_MAX) {
        err_set(p->e, EINVAL, "JSON nesting depth limit exceeded");
        return NULL;
    }
    json_t *v =
        c == '{'
            ? parse_container(p, json_object(), '}', "expected separator in dict", parse_member)
            : parse_container(p, json_array(), ']', "expected separator in list", parse_element);
    p->depth--;
    return v;
}

static json_t *parse_value(struct parser *p)
{
    char c = peek(p);
    if (c == '\0')
        return fail(p, "premature EOI");
    if (c == '{' || c == '[')
        return parse_nested(p, c);
    if (c == '"' || c == '\'')
        return parse_string(p);
    if (c == '-' || isdigit((unsigned char)c))
        return parse_number(p);
    if (isalpha((unsigned char)c))
        return parse_word(p);
    if (c == ',' || c == ':' || c == ']' || c == '}')
        return fail(p, "expecting value");
    return fail_stray(p, p->at, p->at);
}

json_t *json_text_parse(const char *text, struct err *e)
{
    struct parser p = {.at = text, .e = e};
    if (peek(&p) == '\0') {
        err_set(e, EINVAL, "Expecting a JSON value");
        return NULL;
    }
    json_t *v = parse_value(&p);
    if (!v || peek(&p) == '\0')
        return v;
    json_decref(v);
    err_set(e, EINVAL, "Expecting at most one JSON value");
    return NULL;
}
