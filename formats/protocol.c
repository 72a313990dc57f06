#include "formats/protocol.h"

const struct option_def protocol_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"nocow", OPTION_BOOL, "Turn off copy-on-write (valid only on btrfs)", NULL},
    {"preallocation", OPTION_STR, "Preallocation mode (allowed values: off, falloc, full)", NULL},
    {"extent_size_hint", OPTION_SIZE, "Extent size hint for the image file, 0 to disable", NULL},
    {0},
};
