/*
 * Who the parent is ("Parent Locator Entry").
 *
 * A differencing image names its parent several times, for several systems. The relative name comes
 * first: images are moved together. An absolute name of Windows says nothing here but its last
 * part, which is looked for beside the image.
 */
#include "formats/vpc/vpc.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"

#define NAME_MAX_BYTES 4096u /* of a locator: no path is longer */
#define UTF8_MAX       3u    /* bytes of UTF-8 for one UTF-16 unit; a pair has 4 */

enum locator_text { TEXT_UTF16_LE, TEXT_UTF8, TEXT_URL };

/* in the order in which they are believed */
static const struct locator_kind {
    const char *code;
    enum locator_text text;
} kinds[] = {
    {"W2ru", TEXT_UTF16_LE},                          /* relative */
    {"MacX", TEXT_URL},      {"W2ku", TEXT_UTF16_LE}, /* absolute */
    {"Wi2r", TEXT_UTF8},                              /* the same two, of old programs */
    {"Wi2k", TEXT_UTF8},
};

/* ---- text ------------------------------------------------------------------------------------ */

static char *utf8_put(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

static bool is_high(uint32_t c)
{
    return c >= 0xd800 && c < 0xdc00;
}

static bool is_low(uint32_t c)
{
    return c >= 0xdc00 && c < 0xe000;
}

/* Up to a zero, or all; a lone half of a pair becomes U+FFFD. */
static char *utf16_to_utf8(const uint8_t *in, size_t bytes, bool big_endian, struct err *e)
{
    size_t units = bytes / 2;
    char *out = mem_new(units * UTF8_MAX + 1, 1, e), *to = out;
    for (size_t i = 0; out && i < units; i++) {
        uint32_t c = big_endian ? be16_load(in + 2 * i) : le16_load(in + 2 * i), low = 0;
        if (!c)
            break;
        if (is_high(c) && i + 1 < units)
            low = big_endian ? be16_load(in + 2 * i + 2) : le16_load(in + 2 * i + 2);
        if (is_high(c) && is_low(low)) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        } else if (is_high(c) || is_low(c)) {
            c = 0xfffd;
        }
        to = utf8_put(to, c);
    }
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "file://localhost/a%20b" → "/a b"; what is no such URL stays as it is. In place. */
static void url_to_path(char *s)
{
    const char *from = s;
    char *to = s;
    if (!strncmp(s, "file://", 7)) {
        from = s + 7;
        if (!strncmp(from, "localhost/", 10))
            from += 9;
    }
    while (*from) {
        int high = *from == '%' ? hex_digit(from[1]) : -1;
        int low = high >= 0 ? hex_digit(from[2]) : -1;
        if (low > 0 || (low == 0 && high > 0)) {
            *to++ = (char)(high << 4 | low);
            from += 3;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* ---- paths ----------------------------------------------------------------------------------- */

static bool is_drive(const char *s)
{
    bool letter = (s[0] | 0x20) >= 'a' && (s[0] | 0x20) <= 'z';
    return letter && s[1] == ':';
}

/* A name of Windows as one of this system; names of this system stay. In place. */
static void path_from_windows(char *s)
{
    bool foreign = is_drive(s) || *s == '\\';
    const char *from = s;
    if (strchr(s, '\\') && *s != '/')
        for (char *p = s; *p; p++)
            if (*p == '\\')
                *p = '/';
    const char *slash = strrchr(s, '/');
    if (foreign)
        from = slash ? slash + 1 : s + 2;
    memmove(s, from, strlen(from) + 1);
}

/* A relative name must not be taken for a URL, whatever letters it has. */
static char *path_guard(char *s, struct err *e)
{
    if (!strchr(s, ':') || *s == '/' || !strncmp(s, "./", 2) || !strncmp(s, "../", 3))
        return mem_strdup(s, e);
    return mem_printf(e, "./%s", s);
}

/* ---- locators -------------------------------------------------------------------------------- */

static char *read_locator(struct file *f, const struct vpc_locator *l, enum locator_text text,
                          struct err *e)
{
    uint32_t n = (uint32_t)num_min(l->length, NAME_MAX_BYTES);
    AUTO_FREE char *buf = mem_new(n + 1, 1, e);
    if (!buf)
        return NULL;
    if (l->offset > INT64_MAX / 2 || file_read(f, buf, n, l->offset, e)) {
        err_clear(e); /* another one may be whole */
        return mem_strdup("", e);
    }
    if (text == TEXT_UTF16_LE)
        return utf16_to_utf8((const uint8_t *)buf, n, false, e);
    if (text == TEXT_URL)
        url_to_path(buf);
    return MEM_TAKE(buf);
}

static const struct vpc_locator *find_locator(const struct vpc_header *h, const char *code)
{
    for (unsigned i = 0; i < VPC_LOCATORS; i++)
        if (!memcmp(h->locators[i].code, code, 4) && h->locators[i].length)
            return &h->locators[i];
    return NULL;
}

/* The last part of the name that the header itself holds. */
static char *name_of_header(const struct vpc_header *h, struct err *e)
{
    AUTO_FREE char *name = utf16_to_utf8(h->parent_name, sizeof h->parent_name, true, e);
    if (!name)
        return NULL;
    for (char *p = name; *p; p++)
        if (*p == '\\')
            *p = '/';
    const char *slash = strrchr(name, '/');
    return mem_strdup(slash ? slash + 1 : name, e);
}

char *vpc_parent_name(struct file *f, const struct vpc_header *h, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct vpc_locator *l = find_locator(h, kinds[i].code);
        if (!l)
            continue;
        AUTO_FREE char *name = read_locator(f, l, kinds[i].text, e);
        if (!name)
            return NULL;
        path_from_windows(name);
        if (*name)
            return path_guard(name, e);
    }
    AUTO_FREE char *name = name_of_header(h, e);
    if (name && !*name)
        err_set(e, EINVAL, "Differencing image without the name of its parent");
    return name && *name ? path_guard(name, e) : NULL;
}
