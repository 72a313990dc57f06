#include "formats/vpc/vpc.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"

static int vpc_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n >= 8 && !memcmp(head, "conectix", 8) ? 100 : 0;
}

/* ---- the footer ------------------------------------------------------------------------------ */

struct footers {
    struct vpc_footer front, back;
    enum vpc_footer_state front_state, back_state;
};

/* Old programs wrote a last sector of 511 bytes. */
static int read_footers(struct vpc *v, struct file *f, struct footers *out, struct err *e)
{
    uint8_t buf[VPC_FOOTER_SIZE];
    size_t got;
    if (file_read_padded(f, buf, sizeof buf, 0, &got, e))
        return -1;
    if (!got)
        return err_set(e, EINVAL, "File too small for a VHD header");
    out->front_state = vpc_footer_load(buf, &out->front);
    v->data_end = num_up(file_size(f), VPC_SECTOR) - VPC_FOOTER_SIZE;
    if (file_read_padded(f, buf, sizeof buf, v->data_end, NULL, e))
        return -1;
    out->back_state = vpc_footer_load(buf, &out->back);
    return 0;
}

/* A guest may write what it likes to its first sector, so a fixed image is known by its end. Else
 * the copy in front says at once that there are blocks; where it is damaged the footer serves. */
static int choose_footer(struct vpc *v, const struct footers *x, struct err *e)
{
    bool front = x->front_state == VPC_FOOTER_GOOD, back = x->back_state == VPC_FOOTER_GOOD;
    if (front || back) {
        v->footer = back && (!front || x->back.type == VPC_FIXED) ? x->back : x->front;
        return 0;
    }
    if (x->front_state == VPC_FOOTER_DAMAGED || x->back_state == VPC_FOOTER_DAMAGED)
        return err_set(e, EINVAL, "Incorrect header checksum");
    return err_set(e, EINVAL, "invalid VPC image");
}

/* ---- the size -------------------------------------------------------------------------------- */

enum size_rule { SIZE_BY_CREATOR, SIZE_BY_GEOMETRY, SIZE_AS_STORED };

static int size_rule_of(const struct image *img, enum size_rule *out, struct err *e)
{
    const json_t *given = json_object_get(img->spec, "force_size_calc");
    const char *mode = json_string_value(given);
    *out = SIZE_BY_CREATOR;
    if (!given)
        return 0;
    if (mode && !strcmp(mode, "chs"))
        *out = SIZE_BY_GEOMETRY;
    else if (mode && !strcmp(mode, "current_size"))
        *out = SIZE_AS_STORED;
    else
        return err_set(e, EINVAL, "Invalid size calculation mode: '%s'", mode ? mode : "");
    return 0;
}

/* Virtual PC and qemu-img itself go by the geometry, everybody else by the size. */
static bool creator_goes_by_geometry(const struct vpc_footer *f)
{
    return !memcmp(f->creator, "vpc ", 4) || !memcmp(f->creator, "qemu", 4);
}

static int set_size(struct image *img, const struct vpc *v, struct err *e)
{
    const struct vpc_footer *f = &v->footer;
    enum size_rule rule;
    if (size_rule_of(img, &rule, e))
        return -1;
    if (rule == SIZE_BY_CREATOR)
        rule = creator_goes_by_geometry(f) ? SIZE_BY_GEOMETRY : SIZE_AS_STORED;
    bool geometry = rule == SIZE_BY_GEOMETRY && !vpc_geometry_is_max(f->geometry);
    uint64_t sectors = geometry ? vpc_geometry_sectors(f->geometry) : f->size / VPC_SECTOR;
    if (sectors > VPC_SECTORS_MAX)
        return err_set(e, EFBIG, "Could not open '%s': File too large", img->name);
    img->size = sectors * VPC_SECTOR;
    return 0;
}

/* ---- the dynamic header ---------------------------------------------------------------------- */

static int read_header(struct image *img, struct vpc *v, struct err *e)
{
    uint8_t buf[VPC_HEADER_SIZE];
    uint64_t end;
    if (!num_add(v->footer.data_offset, sizeof buf, &end) || end > INT64_MAX ||
        file_read_padded(img->file, buf, sizeof buf, v->footer.data_offset, NULL, e))
        return err_set(e, EIO, "Error reading dynamic VHD header");
    if (vpc_header_load(buf, &v->header, e))
        return -1;
    if (v->header.entries < num_div_up(img->size, v->header.block_size))
        return err_set(e, EINVAL, "Page table too small");
    if (!v->header.table_offset || v->header.table_offset > INT64_MAX / 2)
        return err_set(e, EIO, "Error reading pagetable");
    v->lead = vpc_bitmap_size(v->header.block_size);
    img->cluster_size = v->header.block_size;
    return 0;
}

/* The parent may be of any kind of VHD: a fixed one cannot be probed. */
static int set_parent(struct image *img, struct vpc *v, struct err *e)
{
    img->backing_name = vpc_parent_name(img->file, &v->header, e);
    img->backing_format = img->backing_name ? mem_strdup("vpc", e) : NULL;
    if (img->backing_format)
        return 0;
    free(img->backing_name);
    img->backing_name = NULL;
    return -1;
}

static int vpc_open_steps(struct image *img, struct vpc *v, struct err *e)
{
    struct footers footers;
    if (read_footers(v, img->file, &footers, e) || choose_footer(v, &footers, e) ||
        set_size(img, v, e))
        return -1;
    if (v->footer.type == VPC_FIXED)
        return 0;
    if (read_header(img, v, e) || vpc_map_open(img, v, e))
        return -1;
    return v->footer.type == VPC_DIFFERENCING ? set_parent(img, v, e) : 0;
}

static void vpc_close(struct image *img)
{
    struct vpc *v = img->state;
    if (v)
        vpc_map_close(v);
    free(v);
    img->state = NULL;
}

static int vpc_open(struct image *img, struct err *e)
{
    img->state = mem_new(1, sizeof(struct vpc), e);
    if (img->state && !vpc_open_steps(img, img->state, e))
        return 0;
    vpc_close(img);
    return -1;
}

static int vpc_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)img;
    (void)e;
    out->has_dirty = true;
    return 0;
}

static const char *const vpc_runtime_options[] = {"force_size_calc", NULL};

const struct format format_vpc = {
    .name = "vpc",
    .probe = vpc_probe,
    .runtime_options = vpc_runtime_options,
    .open = vpc_open,
    .close = vpc_close,
    .map = vpc_map,
    .info = vpc_info,
    .supports_backing = true,
    .create_options = vpc_create_options,
    .writer = &vpc_writer,
    .edit = &vpc_edit,
};
