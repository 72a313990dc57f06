/* Encoded grains in an image that is there: edit_packing of formats/edit.h. Of extents that cannot
 * hold them, grains stand as they are, asked for or not. */
#include "formats/edit.h"
#include "formats/vmdk/create.h"
#include "formats/vmdk/state.h"

static bool vmdk_packing_always(struct image *img)
{
    const struct vmdk *v = vmdk_of(img);
    return v->n == 1 && v->extents[0].packed;
}

static uint64_t vmdk_packing_block(struct image *img)
{
    return vmdk_edit.unit(img);
}

static uint32_t vmdk_packing_max(struct image *img)
{
    return vmdk_packing_always(img) ? (uint32_t)VMDK_PACKED_MAX : VMDK_SECTOR;
}

static int vmdk_packing_new(struct image *img, int level, struct packer **out, struct err *e)
{
    return vmdk_packing_always(img) ? vmdk_packer_new(level, out, e) : vmdk_packer_none(out, e);
}

const struct edit_packing vmdk_packing = {
    .always = vmdk_packing_always,
    .packed_max = vmdk_packing_max,
    .block = vmdk_packing_block,
    .packer_new = vmdk_packing_new,
    .packer_free = vmdk_packer_free,
    .pack = vmdk_pack,
    .place = vmdk_place_packed,
};
