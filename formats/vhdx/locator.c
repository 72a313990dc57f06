/* "Parent Locator": keys and values in UTF-16 that say where the parent is and which one it is. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/vhdx.h"

#define HEADER_SIZE 20u
#define ENTRY_SIZE  12u

static const struct vhdx_guid type_vhdx = {{0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a, 0xb7,
                                            0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13}};

/* In the order in which they are to be tried; the last two name the parent, not its place. */
enum key { RELATIVE, VOLUME, ABSOLUTE, LINKAGE, LINKAGE2, KEYS };
static const char *const names[KEYS] = {
    [RELATIVE] = "relative_path",       [VOLUME] = "volume_path",
    [ABSOLUTE] = "absolute_win32_path", [LINKAGE] = "parent_linkage",
    [LINKAGE2] = "parent_linkage2",
};

struct values {
    char *of[KEYS]; /* owned */
};

static void values_release(struct values *v)
{
    for (unsigned i = 0; i < KEYS; i++)
        free(v->of[i]);
}

/* ---- UTF-16 ---------------------------------------------------------------------------------- */

static char *utf8_put(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(first[more] | c >> 6 * more);
    while (more--)
        *to++ = (char)(0x80 | (c >> 6 * more & 0x3f));
    return to;
}

/* The character at *p, which moves behind it; 0 if there is none. */
static uint32_t utf16_take(const uint8_t **p, const uint8_t *end)
{
    uint32_t c = le16_load(*p), low;
    *p += 2;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    if (c > 0xdbff || *p == end)
        return 0;
    low = le16_load(*p);
    *p += 2;
    return low < 0xdc00 || low > 0xdfff ? 0 : 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

static char *text_load(const uint8_t *p, uint32_t bytes, struct err *e)
{
    AUTO_FREE char *text = mem_new((size_t)bytes * 3 / 2 + 1, 1, e);
    if (!text)
        return NULL;
    char *to = text;
    for (const uint8_t *end = p + bytes; p < end;) {
        uint32_t c = utf16_take(&p, end);
        if (!c) {
            err_set(e, EINVAL, "VHDX parent locator holds text that is no UTF-16");
            return NULL;
        }
        to = utf8_put(to, c);
    }
    return MEM_TAKE(text);
}

/* ---- keys and values ------------------------------------------------------------------------- */

static int key_of(const char *name)
{
    for (int i = 0; i < KEYS; i++)
        if (!strcmp(name, names[i]))
            return i;
    return -1;
}

static int pair_load(const uint8_t *item, uint32_t length, const uint8_t *entry, struct values *v,
                     struct err *e)
{
    uint32_t key_at = le32_load(entry), value_at = le32_load(entry + 4);
    uint16_t key_len = le16_load(entry + 8), value_len = le16_load(entry + 10);
    if (!num_inside(key_at, key_len, length) || !num_inside(value_at, value_len, length) ||
        key_len % 2 || value_len % 2)
        return err_set(e, EINVAL, "VHDX parent locator has an entry outside of it");
    AUTO_FREE char *name = text_load(item + key_at, key_len, e);
    int key = name ? key_of(name) : -1;
    if (key < 0)
        return name ? 0 : -1;
    if (v->of[key])
        return err_set(e, EINVAL, "VHDX parent locator has the key '%s' twice", name);
    v->of[key] = text_load(item + value_at, value_len, e);
    return v->of[key] ? 0 : -1;
}

static int values_load(const uint8_t *item, uint32_t length, struct values *v, struct err *e)
{
    struct vhdx_guid type;
    if (length < HEADER_SIZE)
        return err_set(e, EINVAL, "VHDX parent locator is too short");
    type = vhdx_guid_load(item);
    if (!vhdx_guid_equal(&type, &type_vhdx))
        return err_set(e, ENOTSUP, "VHDX parent locator is of an unknown type");
    uint16_t n = le16_load(item + 18);
    if (n > (length - HEADER_SIZE) / ENTRY_SIZE)
        return err_set(e, EINVAL, "VHDX parent locator has an entry outside of it");
    for (unsigned i = 0; i < n; i++)
        if (pair_load(item, length, item + HEADER_SIZE + (size_t)i * ENTRY_SIZE, v, e))
            return -1;
    return 0;
}

/* ---- what they say --------------------------------------------------------------------------- */

/* "\\?\C:\disks\base.vhdx" -> "/disks/base.vhdx": a place on a Windows volume, counted from the
 * root here. Colons would make a relative name one of a protocol: "./" says that it is a file. */
static char *local_name(const char *windows, struct err *e)
{
    if (!strncmp(windows, "\\\\?\\", 4))
        windows += 4;
    if (!strncmp(windows, "Volume{", 7))
        windows += strcspn(windows, "\\/");
    if (isalpha((unsigned char)windows[0]) && windows[1] == ':')
        windows += 2;
    while (windows[0] == '.' && (windows[1] == '\\' || windows[1] == '/'))
        windows += 2;
    bool absolute = *windows == '\\' || *windows == '/';
    char *name = mem_printf(e, "%s%s", !absolute && strchr(windows, ':') ? "./" : "", windows);
    for (char *at = name; at && *at; at++)
        if (*at == '\\')
            *at = '/';
    return name;
}

static int linkage_add(struct vhdx_parent *p, const char *text, struct err *e)
{
    if (!text)
        return 0;
    if (!vhdx_guid_parse(text, &p->linkage[p->n_linkage++]))
        return err_set(e, EINVAL, "VHDX parent linkage '%s' is not a valid one", text);
    return 0;
}

int vhdx_locator_load(const uint8_t *item, uint32_t length, struct vhdx_parent *out, struct err *e)
{
    AUTO(values_release) struct values v = {{NULL}};
    const char *place = NULL;
    if (values_load(item, length, &v, e))
        return -1;
    for (enum key i = RELATIVE; i <= ABSOLUTE && !place; i++)
        place = v.of[i] && *v.of[i] ? v.of[i] : NULL;
    if (!place || !v.of[LINKAGE])
        return err_set(e, EINVAL, "VHDX parent locator lacks %s",
                       place ? "the parent's linkage" : "the parent's path");
    if (linkage_add(out, v.of[LINKAGE], e) || linkage_add(out, v.of[LINKAGE2], e))
        return -1;
    out->name = local_name(place, e);
    return out->name ? 0 : -1;
}
