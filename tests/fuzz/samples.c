/*
 * samples FOLDER          run what is in FOLDER/<format>/ for each format through the harness
 * samples --pack IN OUT   make a short input of an image that is mostly zeros
 *
 * The samples are inputs that once went wrong, or that get far: a build with sanitizers shows more.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "base/zero.h"
#include "formats/format.h"
#include "harness.h"

#define GRAIN 64u /* zeros that are shorter are kept */

static uint8_t *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    *n = 0;
    if (f && !fseek(f, 0, SEEK_END) && (bytes = malloc((size_t)ftell(f) + 1))) {
        *n = (size_t)ftell(f);
        rewind(f);
        *n = fread(bytes, 1, *n, f);
    }
    if (f)
        fclose(f);
    return bytes;
}

/* ---- samples --------------------------------------------------------------------------------- */

static bool run_file(const char *format, const char *path)
{
    size_t n;
    uint8_t *bytes = load(path, &n);
    if (!bytes) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    printf("%s\n", path);
    fflush(stdout); /* the last line names the one that crashed */
    harness_run(format, bytes, n);
    free(bytes);
    return true;
}

/* How many were run; -1 if one cannot be. */
static int run_format(const char *folder, const char *format)
{
    char path[4096];
    int done = 0;
    snprintf(path, sizeof path, "%s/%s", folder, format);
    DIR *d = opendir(path);
    if (!d || !format_find(format)) {
        fprintf(stderr, "no folder or no format: %s\n", path);
        return -1;
    }
    for (struct dirent *entry; done >= 0 && (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", folder, format, entry->d_name);
        done = run_file(format, path) ? done + 1 : -1;
    }
    closedir(d);
    return done;
}

static int run_folder(const char *folder)
{
    DIR *d = opendir(folder);
    int total = 0, done = 0;
    if (!d) {
        fprintf(stderr, "no folder %s\n", folder);
        return 1;
    }
    for (struct dirent *entry; done >= 0 && (entry = readdir(d)); total += done) {
        done = 0;
        if (entry->d_name[0] != '.')
            done = run_format(folder, entry->d_name);
    }
    closedir(d);
    printf("%d samples\n", total);
    return done < 0 || !total;
}

/* ---- packing --------------------------------------------------------------------------------- */

static void put_record(FILE *f, const uint8_t *bytes, size_t at, size_t n)
{
    uint8_t head[HARNESS_RECORD];
    le64_store(head, at);
    le32_store(head + 8, (uint32_t)n);
    fwrite(head, 1, sizeof head, f);
    fwrite(bytes + at, 1, n, f);
}

static void put_list(FILE *f, const uint8_t *bytes, size_t n)
{
    uint8_t size[8];
    le64_store(size, n);
    fwrite(HARNESS_MAGIC, 1, 8, f);
    fwrite(size, 1, 8, f);
    for (size_t at = 0; at < n;) {
        bool zero;
        size_t run = zero_run(bytes + at, n - at, GRAIN, &zero);
        if (!zero)
            put_record(f, bytes, at, run);
        at += run;
    }
}

static int pack(const char *in, const char *out)
{
    size_t n;
    uint8_t *bytes = load(in, &n);
    FILE *f = bytes ? fopen(out, "wb") : NULL;
    if (f)
        put_list(f, bytes, n);
    bool good = f && !ferror(f);
    if (f && fclose(f))
        good = false;
    free(bytes);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--pack"))
        return pack(argv[2], argv[3]);
    if (argc == 2)
        return run_folder(argv[1]);
    fprintf(stderr, "usage: %s FOLDER | --pack IN OUT\n", argv[0]);
    return 1;
}
