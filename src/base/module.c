#include "base/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* This program's own file; in a chroot without /proc by the name that it was started with. */
static bool path_own(char exe[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", exe, PATH_MAX - 1);
    if (n > 0)
        exe[n] = '\0';
    const char *started = (const char *)getauxval(AT_EXECFN);
    return n > 0 || (started && realpath(started, exe));
}

/* "<dir of the executable>/<below>file"; an empty path if it is too long or cannot be known */
static void path_beside(char path[PATH_MAX], const char *below, const char *file)
{
    char exe[PATH_MAX];
    path[0] = '\0';
    if (!path_own(exe))
        return;
    char *slash = strrchr(exe, '/');
    if (!slash)
        return;
    *slash = '\0';
    if (snprintf(path, PATH_MAX, "%s/%s%s", exe, below, file) >= PATH_MAX)
        path[0] = '\0';
}

static void path_in(char path[PATH_MAX], const char *dir, const char *file)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, file) >= PATH_MAX)
        path[0] = '\0';
}

/* An explicit folder is the only one: another module might be for another MPI. */
static unsigned module_paths(char path[3][PATH_MAX], const char *file)
{
    const char *dir = getenv("MPI_IMG_MODULE_DIR");
    if (dir && *dir) {
        path_in(path[0], dir, file);
        return 1;
    }
    path_beside(path[0], MODULE_FROM_BINDIR "/", file);
    path_beside(path[1], "", file);
    path_in(path[2], MODULE_DIR, file);
    return 3;
}

static void *module_open(const char *path, const char *what, const char *symbol, int global,
                         struct err *e)
{
    void *module = dlopen(path, RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
    void *found = module ? dlsym(module, symbol) : NULL;
    if (!found)
        err_set(e, 0, "Could not load %s: %s", what, dlerror());
    return found;
}

void *module_symbol(const char *file, const char *what, const char *symbol, int global,
                    struct err *e)
{
    char path[3][PATH_MAX];
    unsigned n = module_paths(path, file);
    for (unsigned i = 0; i < n; i++)
        if (path[i][0] && access(path[i], F_OK) == 0)
            return module_open(path[i], what, symbol, global, e);
    err_set(e, 0, "Could not find %s:", what);
    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(e->text);
        snprintf(e->text + used, sizeof e->text - used, "%s '%s'", i ? " or" : "", path[i]);
    }
    return NULL;
}
