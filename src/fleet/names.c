#include "fleet/names.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "image/uri.h"

#define FOLDERS     1024u /* that are remembered */
#define STAT_SECTOR 512

struct folder {
    char *path;
    uint64_t key;
    dev_t device;
    bool there, writable;
};

struct names {
    struct folder folders[FOLDERS];
};

uint64_t names_hash(uint64_t seed, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ at[i]) * UINT64_C(0x100000001b3);
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

bool names_is_path(const char *name)
{
    return strncmp(name, "file:", 5) == 0 ||
           (strncmp(name, "json:", 5) != 0 && uri_scheme(name) == 0);
}

char *names_absolute(const char *folder, const char *name, struct err *e)
{
    if (!names_is_path(name))
        return mem_strdup(name, e);
    if (strncmp(name, "file:", 5) == 0)
        name += 5;
    return *name == '/' ? mem_strdup(name, e) : mem_printf(e, "%s/%s", folder, name);
}

struct names *names_new(struct err *e)
{
    return mem_new(1, sizeof(struct names), e);
}

void names_free(struct names *n)
{
    for (size_t i = 0; n && i < FOLDERS; i++)
        free(n->folders[i].path);
    free(n);
}

void names_cleanup(struct names **n)
{
    names_free(*n);
}

/* ---- folders --------------------------------------------------------------------------------- */

/* The last '/' of path[0..n), or 0. */
static size_t last_slash(const char *path, size_t n)
{
    while (n && path[n] != '/')
        n--;
    return n;
}

/* A folder that is not there yet is told by the first of its parents that is, and the rest. */
static void folder_look(const char *path, struct folder *f)
{
    char at[PATH_MAX];
    struct stat st;
    size_t n = strlen(path);
    f->there = f->writable = false;
    f->device = 0;
    f->key = names_hash(0, path, n);
    if (n >= sizeof at)
        return;
    memcpy(at, path, n + 1);
    f->there = stat(n ? at : "/", &st) == 0 && S_ISDIR(st.st_mode);
    bool found = f->there;
    while (!found && n && errno == ENOENT) {
        at[n = last_slash(at, n - 1)] = '\0';
        found = stat(n ? at : "/", &st) == 0 && S_ISDIR(st.st_mode);
    }
    if (!found)
        return;
    const uint64_t id[] = {st.st_dev, st.st_ino};
    f->device = st.st_dev;
    f->writable = access(n ? at : "/", W_OK | X_OK) == 0;
    f->key = names_hash(names_hash(0, id, sizeof id), path + n, strlen(path + n));
}

static struct folder folder_find(struct names *names, const char *path)
{
    struct folder *f = &names->folders[names_hash(0, path, strlen(path)) % FOLDERS];
    if (f->path && strcmp(f->path, path) == 0)
        return *f;
    free(f->path);
    folder_look(path, f);
    f->path = strdup(path); /* not remembered, where there is no memory */
    return *f;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void look_in_folder(struct names *n, const char *path, struct names_file *out)
{
    char folder[PATH_MAX];
    size_t slash = last_slash(path, strlen(path));
    *out = (struct names_file){.key = names_hash(1, path, strlen(path))};
    if (slash >= sizeof folder || path[0] != '/')
        return;
    memcpy(folder, path, slash);
    folder[slash] = '\0';
    const struct folder f = folder_find(n, folder);
    out->folder = f.there;
    out->writable = f.writable;
    out->device = f.device;
    out->key = names_hash(f.key, path + slash, strlen(path + slash));
}

static void take_sizes(const struct stat *st, struct names_file *out)
{
    out->there = true;
    out->is_folder = S_ISDIR(st->st_mode);
    out->size = (uint64_t)st->st_size;
    out->allocated = (uint64_t)st->st_blocks * STAT_SECTOR;
}

void names_look(struct names *n, const char *path, struct names_file *out)
{
    struct stat st;
    char real[PATH_MAX];
    bool there = lstat(path, &st) == 0;
    bool link = there && S_ISLNK(st.st_mode) && realpath(path, real);
    look_in_folder(n, link ? real : path, out);
    if (link)
        there = stat(path, &st) == 0;
    if (there && !S_ISLNK(st.st_mode))
        take_sizes(&st, out);
}
