/*
 * vmdk: what --safe looks at. Descriptors are text in which anybody can name any file, so only
 * images of one file pass, and each line of their descriptor must be one that is known.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/vmdk.h"

#define TEXT_MAX     (MIB - 1)
#define TYPE_MAX     64u   /* letters */
#define FOOTER_BYTES 1536u /* at the end: its marker, itself, the end of the stream */

/* ---- the header ------------------------------------------------------------------------------ */

static int header_of(const struct safety_subject *s, struct vmdk_sparse *h, struct err *e)
{
    if (s->got == sizeof s->head && !vmdk_sparse_load(s->head, s->got, h))
        return 0;
    return err_set(e, EPERM, "the file is a descriptor, or an extent, of a disk of several files");
}

static int check_one_file(const struct safety_subject *s, struct err *e)
{
    struct vmdk_sparse h;
    return header_of(s, &h, e);
}

static int check_version(const struct safety_subject *s, struct err *e)
{
    struct vmdk_sparse h;
    if (header_of(s, &h, e))
        return -1;
    return h.version >= 1 && h.version <= VMDK_VERSION_MAX
               ? 0
               : err_set(e, ENOTSUP, "vmdk version %u is not supported", h.version);
}

/* ---- the descriptor -------------------------------------------------------------------------- */

/* Up to the first NUL. */
static char *descriptor_of(const struct safety_subject *s, struct err *e)
{
    struct vmdk_sparse h;
    if (header_of(s, &h, e))
        return NULL;
    size_t n = num_min(num_min(h.desc_size, MIB / VMDK_SECTOR) * VMDK_SECTOR, TEXT_MAX);
    if (h.desc_offset != VMDK_DESC_OFFSET || !n) {
        err_set(e, EINVAL, "the descriptor is not in the second sector");
        return NULL;
    }
    AUTO_FREE char *text = mem_new(n + 1, 1, e);
    if (!text || file_read_padded(s->file, text, n, VMDK_DESC_OFFSET * VMDK_SECTOR, NULL, e))
        return NULL;
    return MEM_TAKE(text);
}

enum line_kind { LINE_IDLE, LINE_KEY, LINE_EXTENT, LINE_UNKNOWN };

static bool begins(const char *line, size_t n, const char *word)
{
    size_t len = strlen(word);
    return n >= len && !strncasecmp(line, word, len);
}

static bool is_word(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && begins(p, n, word);
}

static enum line_kind kind_of(const char *line, size_t n)
{
    const char *equals = memchr(line, '=', n), *space = memchr(line, ' ', n);
    if (!n || *line == '#')
        return LINE_IDLE;
    if (begins(line, n, "ddb") || (equals && (!space || equals < space)))
        return LINE_KEY;
    if (begins(line, n, "RW ") || begins(line, n, "RDONLY ") || begins(line, n, "NOACCESS "))
        return LINE_EXTENT;
    return LINE_UNKNOWN;
}

/* The next line without the spaces around it; false at the end of the text. */
static bool next_line(const char **text, const char **line, size_t *n)
{
    if (!**text)
        return false;
    const char *end = strchrnul(*text, '\n');
    *line = *text;
    *text = *end ? end + 1 : end;
    while (*line < end && isspace((unsigned char)**line))
        ++*line;
    while (end > *line && isspace((unsigned char)end[-1]))
        end--;
    *n = (size_t)(end - *line);
    return true;
}

static int check_descriptor(const struct safety_subject *s, struct err *e)
{
    AUTO_FREE char *text = descriptor_of(s, e);
    const char *at = text, *line;
    size_t n;
    if (!text)
        return -1;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p > 0x7f)
            return err_set(e, EINVAL, "the descriptor is not all ASCII");
    for (unsigned number = 1; next_line(&at, &line, &n); number++)
        if (kind_of(line, n) == LINE_UNKNOWN)
            return err_set(e, EINVAL, "line %u of the descriptor is none that is known", number);
    return *text ? 0 : err_set(e, EINVAL, "there is no descriptor");
}

static int check_create_type(const struct safety_subject *s, struct err *e)
{
    static const char key[] = "createType=\"";
    AUTO_FREE char *text = descriptor_of(s, e);
    if (!text)
        return -1;
    const char *type = strcasestr(text, key);
    type = type ? type + strlen(key) : "";
    size_t n = strcspn(type, "\"");
    if (is_word(type, n, "monolithicSparse") || is_word(type, n, "streamOptimized"))
        return 0;
    size_t shown = 0;
    while (shown < n && shown < TYPE_MAX && isalnum((unsigned char)type[shown]))
        shown++;
    return err_set(e, EPERM, "the create type is '%.*s'", (int)shown, type);
}

static int check_extents(const struct safety_subject *s, struct err *e)
{
    AUTO_FREE char *text = descriptor_of(s, e);
    const char *at = text, *line;
    size_t n, extents = 0;
    if (!text)
        return -1;
    while (next_line(&at, &line, &n)) {
        if (kind_of(line, n) != LINE_EXTENT)
            continue;
        extents++;
        if (memchr(line, '/', n))
            return err_set(e, EPERM, "an extent is in another folder");
    }
    return extents ? 0 : err_set(e, EINVAL, "the descriptor names no extent");
}

/* ---- the footer ------------------------------------------------------------------------------ */

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* A sector of a type and nothing else. */
static bool is_marker(const uint8_t *p, enum vmdk_marker type)
{
    return !le32_load(p + VMDK_MARKER_SIZE) && le32_load(p + VMDK_MARKER_TYPE) == type &&
           is_zero(p + VMDK_MARKER_TYPE + 4, VMDK_SECTOR - VMDK_MARKER_TYPE - 4);
}

static int footer_compare(const struct vmdk_sparse *head, const struct vmdk_sparse *foot,
                          struct err *e)
{
    if (foot->version != head->version)
        return err_set(e, EINVAL, "header and footer are of different versions");
    if (foot->desc_offset != head->desc_offset || foot->desc_size != head->desc_size)
        return err_set(e, EINVAL, "header and footer have different descriptors");
    if (foot->gd_offset == VMDK_GD_AT_END)
        return err_set(e, EINVAL, "the footer leads to another footer");
    return 0;
}

static int check_footer(const struct safety_subject *s, struct err *e)
{
    struct vmdk_sparse head, foot;
    uint8_t end[FOOTER_BYTES];
    uint64_t size = file_size(s->file);
    if (header_of(s, &head, e))
        return -1;
    if (head.gd_offset != VMDK_GD_AT_END)
        return 0;
    if (size < sizeof end)
        return err_set(e, EINVAL, "the file has no room for a footer");
    if (file_read_padded(s->file, end, sizeof end, size - sizeof end, NULL, e))
        return -1;
    const uint8_t *footer = end + VMDK_SECTOR, *last = footer + VMDK_SECTOR;
    if (!is_marker(end, VMDK_MARKER_FOOTER) || vmdk_sparse_load(footer, VMDK_SECTOR, &foot))
        return err_set(e, EINVAL, "there is no footer at the end of the stream");
    if (!is_zero(last, VMDK_SECTOR))
        return err_set(e, EINVAL, "the stream's end is not marked");
    return footer_compare(&head, &foot, e);
}

/* ---- the list -------------------------------------------------------------------------------- */

const struct safety_check vmdk_safety[] = {
    {.name = "vmdk.one-file",
     .help = "The image is one file with a sparse extent's header: no descriptor of others, no "
             "extent of another's",
     .file = check_one_file},
    {.name = "vmdk.version", .help = "The version is 1, 2 or 3", .file = check_version},
    {.name = "vmdk.descriptor",
     .help = "The descriptor stands in the second sector, has less than 1 MiB, is ASCII, and each "
             "of its lines is a comment, a key and its value, or an extent",
     .file = check_descriptor},
    {.name = "vmdk.create-type",
     .help = "The create type is monolithicSparse or streamOptimized",
     .file = check_create_type},
    {.name = "vmdk.extents",
     .help = "At least one extent is named, and none with a '/' in its line",
     .file = check_extents},
    {.name = "vmdk.footer",
     .help = "A footer has the version and the descriptor of the header, leads to no other footer, "
             "and stands between the markers that are due",
     .file = check_footer},
    {0},
};
