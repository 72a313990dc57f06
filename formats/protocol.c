#include "formats/protocol.h"

#include <string.h>

const struct option_def protocol_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"nocow", OPTION_BOOL, "Turn off copy-on-write (valid only on btrfs)", NULL},
    {"preallocation", OPTION_STR, "Preallocation mode (allowed values: off, falloc, full)", NULL},
    {"extent_size_hint", OPTION_SIZE, "Extent size hint for the image file, 0 to disable", NULL},
    {0},
};

/* What has its size already. */
static const struct option_def fixed_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"preallocation", OPTION_STR, "Preallocation mode (allowed values: off)", NULL},
    {0},
};

const struct option_def *protocol_options_of(const char *protocol)
{
    if (!strcmp(protocol, "file"))
        return protocol_create_options;
    bool fixed = !strcmp(protocol, "host_device") || !strcmp(protocol, "host_cdrom") ||
                 !strcmp(protocol, "nbd");
    return fixed ? fixed_options : NULL;
}
