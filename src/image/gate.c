#include "image/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safety.h"
#include "image/node.h"

/* A path, or "file:" before one: all else are options, or lead elsewhere. What no protocol has is
 * no danger: opening it fails. */
static bool is_plain(const char *name)
{
    struct err ignored = ERR_INIT;
    json_t *spec = strncmp(name, "json:", 5) ? image_spec_of_name(name, &ignored) : NULL;
    const json_t *file = json_object_get(spec, "file");
    const char *driver = json_string_value(json_object_get(file, "driver"));
    bool plain = ignored.set || (spec && (!driver || strcmp(driver, "file") == 0));
    json_decref(spec);
    return plain;
}

static bool names_are_trusted(void)
{
    const char *value = getenv("MPI_IMG_TRUST_NAMES");
    return value && *value && strcmp(value, "0") != 0;
}

int gate_backing(const struct image *overlay, const char *name, struct err *e)
{
    if (overlay->flags.safety.on)
        return safety_second_file(overlay->name, name, e);
    if (is_plain(name) || names_are_trusted())
        return 0;
    err_set(e, EPERM, "'%s' names its backing image as '%s', which is no plain file name",
            overlay->name, name);
    return err_hint(
        e, "If the image can be trusted, set MPI_IMG_TRUST_NAMES=1 in the environment, or name "
           "its backing image in the options of this command (\"backing\": {...})");
}

int gate_member(const struct image *img, const char *name, struct err *e)
{
    if (img->flags.safety.on)
        return safety_second_file(img->name, name, e);
    return *name ? 0 : err_set(e, EINVAL, "The 'file' block driver requires a file name");
}
