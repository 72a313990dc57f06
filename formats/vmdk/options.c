/* What can be asked for: texts, order and defaults are qemu-img's. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/vmdk/create.h"

#define NOT_SET "undefined"

const struct option_def vmdk_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"adapter_type", OPTION_STR,
     "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX", NULL},
    {"backing_file", OPTION_STR, "File name of a base image", NULL},
    {"backing_fmt", OPTION_STR, "Must be 'vmdk' if present", NULL},
    {"compat6", OPTION_BOOL, "VMDK version 6 image", "off"},
    {"hwversion", OPTION_STR, "VMDK hardware version", NOT_SET},
    {"toolsversion", OPTION_STR, "VMware guest tools version", NULL},
    {"subformat", OPTION_STR,
     "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | "
     "twoGbMaxExtentSparse | twoGbMaxExtentFlat | streamOptimized} ",
     NULL},
    {"zeroed_grain", OPTION_BOOL, "Enable efficient zero writes using the zeroed-grain GTE feature",
     NULL},
    {NULL, 0, NULL, NULL},
};

static const char *const subformats[] = {
    [VMDK_MONOLITHIC_SPARSE] = "monolithicSparse", [VMDK_MONOLITHIC_FLAT] = "monolithicFlat",
    [VMDK_SPLIT_SPARSE] = "twoGbMaxExtentSparse",  [VMDK_SPLIT_FLAT] = "twoGbMaxExtentFlat",
    [VMDK_STREAM_OPTIMIZED] = "streamOptimized",
};
static const char *const adapters[] = {"ide", "buslogic", "lsilogic", "legacyESX"};

/* ---- one value ------------------------------------------------------------------------------- */

static int word_of(const char *const *words, size_t n, const char *word, size_t *out, struct err *e)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(words[*out], word) == 0)
            return 0;
    return err_set(e, EINVAL, "invalid parameter value: %s", word);
}

static int parse_words(const struct options *o, struct vmdk_create *c, struct err *e)
{
    size_t adapter, subformat;
    if (word_of(adapters, ARRAY_LEN(adapters), options_str(o, "adapter_type", adapters[0]),
                &adapter, e) ||
        word_of(subformats, ARRAY_LEN(subformats), options_str(o, "subformat", subformats[0]),
                &subformat, e))
        return -1;
    c->adapter = adapters[adapter];
    c->subformat = (enum vmdk_subformat)subformat;
    c->create_type = subformats[subformat];
    return 0;
}

static int parse_versions(const struct options *o, struct vmdk_create *c, struct err *e)
{
    bool compat6 = options_bool(o, "compat6", false);
    c->hw_version = options_str(o, "hwversion", NOT_SET);
    c->tools_version = options_str(o, "toolsversion", "2147483647");
    if (strcmp(c->hw_version, NOT_SET) != 0)
        return compat6 ? err_set(e, EINVAL, "compat6 cannot be enabled with hwversion set") : 0;
    c->hw_version = compat6 ? "6" : "4";
    return 0;
}

/* qemu-img takes falloc and full too, but reserves nothing; here flat extents get their space. */
static int parse_preallocation(const struct options *o, struct vmdk_create *c, struct err *e)
{
    static const char *const modes[] = {[FILE_PREALLOC_OFF] = "off",
                                        [FILE_PREALLOC_FALLOC] = "falloc",
                                        [FILE_PREALLOC_FULL] = "full"};
    const char *mode = options_str(o, "preallocation", modes[FILE_PREALLOC_OFF]);
    size_t i;
    if (!strcmp(mode, "metadata"))
        return err_set(e, ENOTSUP, "Unsupported preallocation mode: metadata");
    if (word_of(modes, ARRAY_LEN(modes), mode, &i, e))
        return -1;
    c->prealloc = (enum file_prealloc)i;
    return 0;
}

/* ---- what they mean together ----------------------------------------------------------------- */

static int check_flat(const struct writer_params *p, const struct vmdk_create *c, struct err *e)
{
    if (p->backing_name)
        return err_set(e, EINVAL, "Flat image can't have backing file");
    if (c->zeroed_grain)
        return err_set(e, EINVAL, "Flat image can't enable zeroed grain");
    if (p->compress)
        return err_set(e, ENOTSUP, "Compression not supported for this file format");
    return 0;
}

/* They stand between quotes, on a line of their own, and there is no other way to write
 * them. Readers would take another file, or none. (The name of a single file is not looked at.) */
static int check_names(const struct writer_params *p, const struct vmdk_create *c, struct err *e)
{
    bool members = vmdk_is_flat(c) || vmdk_is_split(c);
    const char *const texts[] = {p->backing_name, c->hw_version, c->tools_version,
                                 members ? vmdk_base_name(p->path) : NULL};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i] && strpbrk(texts[i], "\"\n\r"))
            return err_set(e, EINVAL, "A vmdk descriptor cannot hold the name '%s'", texts[i]);
    return 0;
}

/* All ranks have the same random bytes. All ones would mean that there is no such image. */
static uint32_t draw_cid(const uint8_t random[64])
{
    uint32_t cid = le32_load(random);
    return cid == VMDK_NO_PARENT ? cid - 1 : cid;
}

int vmdk_create_parse(const struct writer_params *p, struct vmdk_create *out, struct err *e)
{
    *out = (struct vmdk_create){
        .parent_name = p->backing_name,
        .cid = draw_cid(p->random),
        .parent_cid = VMDK_NO_PARENT,
        .zeroed_grain = options_bool(p->options, "zeroed_grain", false),
    };
    if (p->size > INT64_MAX - VMDK_SECTOR)
        return err_set(e, EFBIG, "The image size is too large for file format 'vmdk'");
    out->size = num_up(p->size, VMDK_SECTOR);
    if (parse_words(p->options, out, e) || parse_versions(p->options, out, e) ||
        parse_preallocation(p->options, out, e) || (vmdk_is_flat(out) && check_flat(p, out, e)))
        return -1;
    if (p->backing_format && strcmp(p->backing_format, "vmdk") != 0)
        return err_set(e, EINVAL, "backing_file must be a vmdk image");
    return check_names(p, out, e);
}
