#include "mpi/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define MODULE_FILE "mpi-img-openmpi.so"

/* This program's own file; in a chroot without /proc by the name that it was started with. */
static bool path_own(char exe[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", exe, PATH_MAX - 1);
    if (n > 0)
        exe[n] = '\0';
    const char *started = (const char *)getauxval(AT_EXECFN);
    return n > 0 || (started && realpath(started, exe));
}

/* "<dir of the executable>/<below>/file"; an empty path if it is too long or cannot be known */
static void path_beside(char path[PATH_MAX], const char *below)
{
    char exe[PATH_MAX];
    path[0] = '\0';
    if (!path_own(exe))
        return;
    char *slash = strrchr(exe, '/');
    if (!slash)
        return;
    *slash = '\0';
    if (snprintf(path, PATH_MAX, "%s/%s" MODULE_FILE, exe, below) >= PATH_MAX)
        path[0] = '\0';
}

static void path_in(char path[PATH_MAX], const char *dir)
{
    if (snprintf(path, PATH_MAX, "%s/" MODULE_FILE, dir) >= PATH_MAX)
        path[0] = '\0';
}

static const struct wire_ops *module_open(const char *path, struct err *e)
{
    /* RTLD_GLOBAL: the MPI library loads components of its own that look for its symbols. */
    void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    const struct wire_ops *ops = module ? dlsym(module, WIRE_SYMBOL) : NULL;
    if (!ops)
        err_set(e, 0, "Could not load the MPI module: %s", dlerror());
    return ops;
}

/* An explicit folder is the only one: another module might be for another MPI. */
static unsigned module_paths(char path[3][PATH_MAX])
{
    const char *dir = getenv("MPI_IMG_MODULE_DIR");
    if (dir && *dir) {
        path_in(path[0], dir);
        return 1;
    }
    path_beside(path[0], MODULE_FROM_BINDIR "/");
    path_beside(path[1], "");
    path_in(path[2], MODULE_DIR);
    return 3;
}

const struct wire_ops *module_load(struct err *e)
{
    char path[3][PATH_MAX];
    unsigned n = module_paths(path);
    for (unsigned i = 0; i < n; i++)
        if (path[i][0] && access(path[i], F_OK) == 0)
            return module_open(path[i], e);
    err_set(e, 0, "Could not find the MPI module:");
    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(e->text);
        snprintf(e->text + used, sizeof e->text - used, "%s '%s'", i ? " or" : "", path[i]);
    }
    return NULL;
}
