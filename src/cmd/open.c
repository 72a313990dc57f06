#include "cmd/open.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"
#include "flow/wanted.h"
#include "formats/format.h"

/* Is an option of --image-opts there, and off? */
static bool spec_is_off(const json_t *spec, const char *key)
{
    const json_t *v = json_object_get(spec, key);
    return json_is_false(v) || (json_is_string(v) && strcmp(json_string_value(v), "off") == 0);
}

json_t *open_spec(const struct image_args *a, const char *name, struct err *e)
{
    if (!a->image_opts)
        return image_spec_from_name(name, e);
    if (a->format) {
        err_set(e, EINVAL, "--image-opts and --format are mutually exclusive");
        return NULL;
    }
    json_t *spec = image_spec_from_opts(name, e);
    if (spec && a->force_share && spec_is_off(spec, "force-share")) {
        err_set(e, EINVAL, "--force-share/-U conflicts with image options");
        json_decref(spec);
        return NULL;
    }
    return spec;
}

static void repairs_tell(void *ctx, const char *text)
{
    (void)ctx;
    message_line(text);
}

static void repairs_error(void *ctx, const char *text)
{
    (void)ctx;
    message_error_line(text);
}

const struct check_sink open_repairs = {.line = repairs_tell, .error = repairs_error};

int open_image_spec(const struct image_args *a, const json_t *spec, const char *name,
                    struct image_flags flags, struct image **out, struct err *e)
{
    flags.force_share = a->force_share;
    flags.driver = a->format;
    flags.safety = a->safety;
    flags.repairs = &open_repairs;
    if (image_open(spec, name, &flags, out, e))
        return -1;
    if (flags.write && (*out)->probed && strcmp((*out)->format->name, "raw") == 0)
        message_guessed_raw(name);
    return 0;
}

int open_image(const struct image_args *a, const char *name, struct image_flags flags,
               struct image **out, struct err *e)
{
    AUTO(json_cleanup) json_t *spec = open_spec(a, name, e);
    return spec ? open_image_spec(a, spec, name, flags, out, e) : -1;
}

int open_cache(const char *text, const char *what, struct file_cache *out, struct err *e)
{
    if (text && file_cache_parse(text, out))
        return err_set(e, EINVAL, "%s: %s", what, text);
    return 0;
}

int open_take_max_size(void *field, const char *value, struct err *e)
{
    return wanted_max_size(value, field, e);
}
