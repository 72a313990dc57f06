#include "io/lustre.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/mem.h"
#include "base/num.h"

#define LUSTRE_MAGIC UINT32_C(0x0bd00bd0)

/* llapi_layout(7), since Lustre 2.7 (2015); its headers are not needed. */
#define COUNT_ALL UINT64_C(0x1000000000000003) /* LLAPI_LAYOUT_WIDE: all targets */

struct llapi_layout;

struct llapi {
    struct llapi_layout *(*alloc)(void);
    void (*free)(struct llapi_layout *layout);
    int (*count_set)(struct llapi_layout *layout, uint64_t count);
    int (*size_set)(struct llapi_layout *layout, uint64_t size);
    int (*open)(const char *path, int flags, mode_t mode, const struct llapi_layout *layout);
};

static int llapi_find(void *library, struct llapi *api, struct err *e)
{
    const struct {
        const char *name;
        void *at;
    } functions[] = {
        {"llapi_layout_alloc", &api->alloc},
        {"llapi_layout_free", &api->free},
        {"llapi_layout_stripe_count_set", &api->count_set},
        {"llapi_layout_stripe_size_set", &api->size_set},
        {"llapi_layout_file_open", &api->open},
    };
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *f = dlsym(library, functions[i].name);
        if (!f)
            return err_set(e, ENOTSUP, "The library of Lustre has no %s", functions[i].name);
        memcpy(functions[i].at, &f, sizeof f);
    }
    return 0;
}

/* Stays for the life of the process. */
static int llapi_load(struct llapi *api, struct err *e)
{
    static const char *const names[] = {"liblustreapi.so.1", "liblustreapi.so"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library)
            return llapi_find(library, api, e);
    }
    return err_set(e, ENOTSUP, "Stripes can be set with the library of Lustre only: %s", dlerror());
}

/* The library would say so too, but in words of its own on stderr. */
static int check_folder(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *folder =
        slash ? mem_printf(e, "%.*s", (int)(slash - path) + 1, path) : mem_strdup(".", e);
    struct statfs s;
    if (!folder)
        return -1;
    if (statfs(folder, &s))
        return err_errno(e, errno, "Could not create '%s'", path);
    if ((uint32_t)s.f_type == LUSTRE_MAGIC)
        return 0;
    return err_set(e, ENOTTY, "'%s' is not on Lustre: its stripes cannot be set", path);
}

static int layout_fill(const struct llapi *api, struct llapi_layout *layout,
                       const struct file_stripes *s)
{
    uint64_t count = s->count < 0 ? COUNT_ALL : (uint64_t)s->count;
    if (s->count && api->count_set(layout, count))
        return -1;
    return s->size && api->size_set(layout, s->size) ? -1 : 0;
}

int lustre_open(const char *path, int flags, unsigned mode, const struct file_stripes *s,
                struct err *e)
{
    struct llapi api;
    if (check_folder(path, e) < 0 || llapi_load(&api, e) < 0)
        return -1;
    struct llapi_layout *layout = api.alloc();
    if (!layout)
        return err_nomem(e);
    bool filled = layout_fill(&api, layout, s) == 0;
    int fd = filled ? api.open(path, flags, mode, layout) : -1;
    int no = errno;
    api.free(layout);
    if (fd >= 0)
        return fd;
    return err_errno(e, no, filled ? "Could not create '%s'" : "Wrong stripes for '%s'", path);
}
