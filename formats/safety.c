/* The checks of every untrusted image, and which formats a file could be taken for. */
#include "formats/safety.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"

/* ---- what it could be ------------------------------------------------------------------------ */

/* Weaker than the drivers' probes: a version that we do not read is of that format all the same. */
static const struct signature {
    const char *format; /* "qcow": qcow2 too */
    unsigned at, n;
    const char *bytes;
} signatures[] = {
    {"qcow", 0, 4, "QFI\xfb"},
    {"qed", 0, 4, "QED\0"},
    {"vmdk", 0, 4, "KDMV"},
    {"vmdk", 0, 4, "COWD"},
    {"vhdx", 0, 8, "vhdxfile"},
    {"vpc", 0, 8, "conectix"},
    {"vdi", 64, 4, "\x7f\x10\xda\xbe"},
    {"luks", 0, 6, "LUKS\xba\xbe"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
    {"parallels", 0, 16, "WithouFreSpacExt"},
    {"bochs", 0, 22, "Bochs Virtual HD Image"},
    {"cloop", 0, 24, "#!/bin/sh\n#V2.0 Format\n"},
};

static bool has_signature(const struct safety_subject *s, const struct signature *g)
{
    return s->got >= g->at + g->n && !memcmp(s->head + g->at, g->bytes, g->n);
}

static bool is_of(const struct signature *g, const struct format *f)
{
    return !strncmp(f->name, g->format, strlen(g->format));
}

static bool is_raw(const struct format *f)
{
    return f == &format_raw;
}

/* By its first bytes, not by its name. */
static bool begins_as(const struct safety_subject *s, const struct format *f)
{
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++)
        if (is_of(&signatures[i], f) && has_signature(s, &signatures[i]))
            return true;
    return f->probe && s->got && f->probe(s->head, s->got, NULL) > 0;
}

/* A format other than its own; NULL: none. */
static const char *other_format(const struct safety_subject *s)
{
    for (const struct format *const *f = format_all; *f; f++)
        if (*f != s->format && !is_raw(*f) && (*f)->probe && s->got &&
            (*f)->probe(s->head, s->got, NULL) > 0)
            return (*f)->name;
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++)
        if (!is_of(&signatures[i], s->format) && has_signature(s, &signatures[i]))
            return signatures[i].format;
    return NULL;
}

/* Its data comes first, what says so at the end. */
static bool is_known_by_end(const struct safety_subject *s)
{
    return s->format == &format_dmg || (s->format == &format_vpc && !begins_as(s, &format_vpc));
}

/* What is known by the last sector only; old VHDs have one byte less there. */
static int format_of_end(const struct safety_subject *s, const char **out, struct err *e)
{
    uint8_t end[512];
    uint64_t size = file_size(s->file);
    *out = NULL;
    if (size < sizeof end)
        return 0;
    if (file_read_padded(s->file, end, sizeof end, size - sizeof end, NULL, e))
        return -1;
    if (!memcmp(end, "conectix", 8) || !memcmp(end + 1, "conectix", 8))
        *out = "vpc";
    if (!memcmp(end, "koly", 4))
        *out = "dmg";
    return 0;
}

int safety_is_iso(const struct safety_subject *s, bool *iso, struct err *e)
{
    uint8_t volume[6]; /* the first descriptor: its type, then its name */
    if (file_read_padded(s->file, volume, sizeof volume, 32 * KIB, NULL, e))
        return -1;
    const char *name = (const char *)volume + 1;
    *iso = !memcmp(name, "CD001", 5) || !memcmp(name, "NSR02", 5) || !memcmp(name, "NSR03", 5);
    return 0;
}

/* ---- a vmdk that is a text ------------------------------------------------------------------- */

#define TEXT_MAX (MIB - 1) /* of a descriptor */

static bool is_text(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isprint(p[i]) && !isspace(p[i]))
            return false;
    return n > 0;
}

/* All words, until the line that says what kind of disk the text describes. */
static int is_descriptor(const struct safety_subject *s, bool *out, struct err *e)
{
    *out = false;
    if (!is_text(s->head, s->got))
        return 0;
    size_t n = num_min(file_size(s->file), TEXT_MAX);
    AUTO_FREE char *text = mem_new(n + 1, 1, e);
    if (!text || file_read_padded(s->file, text, n, 0, NULL, e))
        return -1;
    *out = strcasestr(text, "createType=\"") != NULL;
    return 0;
}

/* ---- the checks of a file -------------------------------------------------------------------- */

static int check_match(const struct safety_subject *s, struct err *e)
{
    if (is_raw(s->format) || is_known_by_end(s) || begins_as(s, s->format))
        return 0;
    bool text = false;
    if (s->format == &format_vmdk && is_descriptor(s, &text, e))
        return -1;
    return text ? 0
                : err_set(e, EINVAL, "the file does not begin as a %s image does", s->format->name);
}

static int check_other_contents(const struct safety_subject *s, struct err *e)
{
    bool iso;
    if (is_raw(s->format) || is_known_by_end(s))
        return 0;
    if (partitions_are_there(s))
        return err_set(e, EINVAL, "the header of the %s image is a boot sector too",
                       s->format->name);
    if (safety_is_iso(s, &iso, e))
        return -1;
    return !iso ? 0
                : err_set(e, EINVAL, "the %s image is an ISO 9660 or UDF file system too",
                          s->format->name);
}

static int check_single(const struct safety_subject *s, struct err *e)
{
    const char *other = other_format(s);
    bool text = false;
    if (!other && s->format != &format_vmdk && is_descriptor(s, &text, e))
        return -1;
    if (text)
        other = "vmdk";
    if (!other && is_raw(s->format) && !s->named && format_of_end(s, &other, e))
        return -1;
    if (other)
        return err_set(e, EINVAL, "the file could be taken for %s as well as for %s", other,
                       s->format->name);
    return check_other_contents(s, e);
}

/* Formats that image services do not take, and nobody should meet unasked. */
static int check_named(const struct safety_subject *s, struct err *e)
{
    return s->named || !s->format->named_only
               ? 0
               : err_set(e, EINVAL, "%s is read only where -f names it", s->format->name);
}

/* ---- the checks of an open image ------------------------------------------------------------- */

static int check_backing(const struct image *img, struct err *e)
{
    return img->backing_name ? err_set(e, EPERM, "the image has a backing image or a parent") : 0;
}

int safety_second_file(const char *name, const char *named, struct err *e)
{
    return err_set(e, EPERM, "Safety check 'second-file' failed: '%s' names the file '%s'", name,
                   named);
}

int safety_size(const struct image *img, struct err *e)
{
    uint64_t most = img->flags.safety.max_size;
    if (!most || img->size <= most)
        return 0;
    return err_set(e, EFBIG, "%" PRIu64 " bytes, where at most %" PRIu64 " are allowed", img->size,
                   most);
}

const struct safety_check safety_common[] = {
    {.name = "format-match",
     .help = "The file begins as images of its format do",
     .file = check_match},
    {.name = "format-single",
     .help = "It cannot be taken for another format as well: no other format's signature in it; no "
             "boot sector and no ISO 9660 or UDF file system around a header; where the format "
             "is not named, nothing at the end of a raw file that makes it a vpc or dmg image",
     .file = check_single},
    {.name = "format-named",
     .help = "bochs, cloop, dmg, parallels, qcow and qed are not guessed: the user has named them",
     .file = check_named},
    {.name = "backing-file",
     .help = "The image has no backing image and no parent",
     .opened = check_backing},
    {.name = "virtual-size",
     .help = "The guest's disk, and all joined sources of convert, are not larger than --max-size",
     .opened = safety_size},
    {.name = "second-file",
     .help = "No file is opened whose name stands in an image (reported when it would be)"},
    {0},
};
