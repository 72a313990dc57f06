/* Create options of vhdx. */
#include <errno.h>
#include <string.h>

#include "formats/vhdx/vhdx.h"

const struct option_def vhdx_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size; max of 64TB.", NULL},
    {"log_size", OPTION_SIZE, "Log size; min 1MB.", "1048576"},
    {"block_size", OPTION_SIZE,
     "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size.", "0"},
    {"subformat", OPTION_STR,
     "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'.", NULL},
    {"block_state_zero", OPTION_BOOL,
     "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' "
     "when using 'qemu-img convert' with subformat=dynamic.",
     NULL},
    {NULL, OPTION_STR, NULL, NULL},
};

static int log_size_parse(const struct options *o, struct vhdx_create *out, struct err *e)
{
    uint64_t size = options_size(o, "log_size", MIB);
    if (!size)
        return err_set(e, EINVAL, "Log size must be a multiple of 1 MB");
    if (size > UINT32_MAX - (MIB - 1))
        return err_set(e, EINVAL, "Log size must be smaller than 4 GB");
    out->log_size = num_up(size, MIB);
    return 0;
}

static uint32_t block_size_auto(uint64_t size)
{
    if (size > 32 * TIB)
        return 64 * MIB;
    if (size > 100 * GIB)
        return 32 * MIB;
    return size > GIB ? 16 * MIB : 8 * MIB;
}

static int block_size_parse(const struct options *o, struct vhdx_create *out, struct err *e)
{
    uint64_t size = num_min(options_size(o, "block_size", 0), VHDX_BLOCK_MAX);
    if (!size)
        size = block_size_auto(out->size);
    size = num_up(size, MIB);
    if (!num_is_pow2(size))
        return err_set(e, EINVAL, "Block size must be a power of two");
    out->block_size = (uint32_t)size;
    return 0;
}

static int subformat_parse(const struct options *o, struct vhdx_create *out, struct err *e)
{
    const char *text = options_str(o, "subformat", "dynamic");
    out->fixed = !strcmp(text, "fixed");
    if (out->fixed || !strcmp(text, "dynamic"))
        return 0;
    return err_set(e, EINVAL, "Parameter 'subformat' does not accept value '%s'", text);
}

int vhdx_create_parse(const struct options *o, uint64_t size, struct vhdx_create *out,
                      struct err *e)
{
    *out = (struct vhdx_create){.size = size};
    if (subformat_parse(o, out, e))
        return -1;
    if (size > VHDX_SIZE_MAX)
        return err_set(e, EINVAL, "Image size too large; max of 64TB");
    out->state_zero = options_bool(o, "block_state_zero", true);
    return log_size_parse(o, out, e) || block_size_parse(o, out, e) ? -1 : 0;
}
