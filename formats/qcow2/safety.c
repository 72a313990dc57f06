/* qcow2: what --safe looks at in the header, before anything of it is believed. */
#include <errno.h>

#include "base/bytes.h"
#include "formats/qcow2/qcow2.h"

#define AT_VERSION      4
#define AT_BACKING      8
#define AT_INCOMPATIBLE 72

/* A data file is another check's. */
#define KNOWN                                                                                      \
    (QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_DATA_FILE |                    \
     QCOW2_INCOMPAT_COMPRESSION | QCOW2_INCOMPAT_EXTENDED_L2)

static uint64_t incompatible(const struct safety_subject *s)
{
    return be32_load(s->head + AT_VERSION) < 3 ? 0 : be64_load(s->head + AT_INCOMPATIBLE);
}

static int check_version(const struct safety_subject *s, struct err *e)
{
    uint32_t version = be32_load(s->head + AT_VERSION);
    return version == 2 || version == 3
               ? 0
               : err_set(e, ENOTSUP, "qcow2 version %u is not supported", version);
}

static int check_backing(const struct safety_subject *s, struct err *e)
{
    return be64_load(s->head + AT_BACKING) ? err_set(e, EPERM, "the image names a backing file")
                                           : 0;
}

static int check_data_file(const struct safety_subject *s, struct err *e)
{
    return incompatible(s) & QCOW2_INCOMPAT_DATA_FILE
               ? err_set(e, EPERM, "the image's data is in another file")
               : 0;
}

static int check_features(const struct safety_subject *s, struct err *e)
{
    uint64_t unknown = incompatible(s) & ~KNOWN;
    return unknown ? err_set(e, ENOTSUP, "the image has unknown incompatible features (0x%llx)",
                             (unsigned long long)unknown)
                   : 0;
}

static int check_extended(const struct safety_subject *s, struct err *e)
{
    return incompatible(s) & QCOW2_INCOMPAT_EXTENDED_L2 && !s->named
               ? err_set(e, EINVAL, "extended L2 entries are read only where -f names qcow2")
               : 0;
}

const struct safety_check qcow2_safety[] = {
    {.name = "qcow2.version", .help = "The version is 2 or 3", .file = check_version},
    {.name = "qcow2.backing-file",
     .help = "The header points to no name of a backing file",
     .file = check_backing},
    {.name = "qcow2.data-file",
     .help = "The data is in no other file (incompatible feature bit 2 is clear)",
     .file = check_data_file},
    {.name = "qcow2.unknown-features",
     .help = "No incompatible feature bits above 4 are set",
     .file = check_features},
    {.name = "qcow2.extended-l2",
     .help = "With extended L2 entries (bit 4), the user has named the format",
     .file = check_extended},
    {0},
};
