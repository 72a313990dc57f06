#include <string.h>

#include "base/num.h"
#include "io/file_ops.h"
#include "io/null.h"
#include "io/posix.h"
#include "io/remote.h"

/* Protocols whose library this build is without are known by name: then a name that begins so is
 * no path, and opening it says what is missing. */
#ifndef HAVE_NBD
static int nbd_missing(const json_t *spec, const struct file_options *o, struct file **out,
                       struct err *e)
{
    (void)spec;
    (void)o;
    (void)out;
    return err_set(e, ENOTSUP, "Driver 'nbd' is not available: this build has no libnbd");
}
#define nbd_open nbd_missing
#endif

#ifndef HAVE_CURL
static int http_missing(const json_t *spec, const struct file_options *o, struct file **out,
                        struct err *e)
{
    (void)o;
    (void)out;
    return err_set(e, ENOTSUP, "Driver '%s' is not available: this build has no libcurl",
                   json_string_value(json_object_get(spec, "driver")));
}
#define http_open http_missing
#endif

static const struct file_protocol protocols[] = {
    {"file", posix_open_file},
    {"host_device", posix_open_device},
    {"host_cdrom", posix_open_device},
    {"null-co", null_open},
    {"null-aio", null_open},
    {"nbd", nbd_open},
    {"http", http_open},
    {"https", http_open},
    {"ftp", http_open},
    {"ftps", http_open},
};

const struct file_protocol *file_protocol_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        if (!strcmp(protocols[i].name, name))
            return &protocols[i];
    }
    return NULL;
}

int file_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e)
{
    *out = NULL;
    const char *driver = json_string_value(json_object_get(spec, "driver"));
    if (!driver)
        return err_set(e, EINVAL, "Parameter 'driver' is missing");
    const struct file_protocol *p = file_protocol_find(driver);
    if (!p)
        return err_set(e, ENOENT, "Unknown driver '%s'", driver);
    return p->open(spec, o, out, e);
}

int file_open_path(const char *path, const struct file_options *o, struct file **out, struct err *e)
{
    struct posix_request r = {.path = path, .shown = path, .o = o, .mode = POSIX_MODE};
    *out = NULL;
    return posix_open(&r, out, e);
}
