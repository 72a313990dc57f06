/* convert -l: which internal snapshot is meant. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/format.h"
#include "image/image.h"

static int load(struct image *img, const char *id, const char *name, struct err *e)
{
    err_clear(e);
    return img->format->load_snapshot(img, id, name, e);
}

/* "snapshot.id=1,snapshot.name=x", cut in place */
static int parse(char *text, const char **id, const char **name, struct err *e)
{
    char *save = NULL;
    for (char *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        char *value = strchr(s, '=');
        if (value)
            *value++ = '\0';
        if (!strcmp(s, "snapshot.id"))
            *id = value ? value : "on";
        else if (!strcmp(s, "snapshot.name"))
            *name = value ? value : "on";
        else
            return err_set(e, EINVAL, "Invalid parameter '%s'", s);
    }
    return 0;
}

int image_load_snapshot(struct image *img, const char *param, struct err *e)
{
    const char *id = NULL, *name = NULL;
    bool by_key = !strncmp(param, "snapshot.", 9);
    AUTO_FREE char *text = mem_strdup(param, e);
    if (!text)
        return -1;
    if (by_key && parse(text, &id, &name, e)) {
        err_hint(e, "Failed in parsing snapshot param '%s'", param);
        return -1;
    }
    if (!img->format->load_snapshot)
        return err_set(e, ENOTSUP,
                       "Block format '%s' used by device '' does not support temporarily loading "
                       "internal snapshots",
                       img->format->name);
    if (by_key)
        return load(img, id, name, e);
    int rc = load(img, param, NULL, e);
    return rc && e->no == ENOENT ? load(img, NULL, param, e) : rc;
}
