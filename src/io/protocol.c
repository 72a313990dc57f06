#include <errno.h>
#include <string.h>

#include "base/module.h"
#include "base/num.h"
#include "base/trace.h"
#include "io/file_ops.h"
#include "io/null.h"
#include "io/posix.h"
#include "io/remote.h"

/* Protocols of servers are modules: their libraries load many others, which would more than double
 * the time that the program takes to start. A build may be without them: they are known by name all
 * the same, since a name that begins so is no path. */
#ifdef HAVE_NBD
#define NBD_FILE "mpi-img-nbd.so"
#else
#define NBD_FILE NULL
#endif
#ifdef HAVE_CURL
#define HTTP_FILE "mpi-img-http.so"
#else
#define HTTP_FILE NULL
#endif

typedef int open_function(const json_t *spec, const struct file_options *o, struct file **out,
                          struct err *e);

static int open_by_module(const char *file, const char *library, const char *symbol,
                          const json_t *spec, const struct file_options *o, struct file **out,
                          struct err *e)
{
    if (!file)
        return err_set(e, ENOTSUP, "Driver '%s' is not available: this build has no %s",
                       json_string_value(json_object_get(spec, "driver")), library);
    open_function *open = (open_function *)module_symbol(file, library, symbol, 0, e);
    if (!open || open(spec, o, out, e))
        return -1;
    TRACE(file_open, (*out)->name, (*out)->ops->protocol, o->write, file_size(*out));
    return 0;
}

static int nbd_by_module(const json_t *spec, const struct file_options *o, struct file **out,
                         struct err *e)
{
    return open_by_module(NBD_FILE, "libnbd", "nbd_open", spec, o, out, e);
}

static int http_by_module(const json_t *spec, const struct file_options *o, struct file **out,
                          struct err *e)
{
    return open_by_module(HTTP_FILE, "libcurl", "http_open", spec, o, out, e);
}

static const struct file_protocol protocols[] = {
    {"file", posix_open_file},         {"host_device", posix_open_device},
    {"host_cdrom", posix_open_device}, {"null-co", null_open},
    {"null-aio", null_open},           {"nbd", nbd_by_module},
    {"http", http_by_module},          {"https", http_by_module},
    {"ftp", http_by_module},           {"ftps", http_by_module},
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
