/* A folder for one test, removed behind it. Needs cmocka.h included before. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scratch {
    char folder[256];
    char *names[32]; /* that were asked for */
    unsigned next;
};

static inline void scratch_init(struct scratch *s, const char *under)
{
    *s = (struct scratch){0};
    snprintf(s->folder, sizeof s->folder, "%s/mpi-img-test-XXXXXX", under);
    assert_non_null(mkdtemp(s->folder));
}

static inline int scratch_unlink(const char *path, const struct stat *st, int kind, struct FTW *w)
{
    (void)st;
    (void)kind;
    (void)w;
    return remove(path);
}

static inline void scratch_release(struct scratch *s)
{
    nftw(s->folder, scratch_unlink, 8, FTW_DEPTH | FTW_PHYS);
    for (unsigned i = 0; i < 32; i++)
        free(s->names[i]);
}

/* A name in it; valid until 32 more were asked for. */
static inline const char *scratch_name(struct scratch *s, const char *name)
{
    char **path = &s->names[s->next++ % 32];
    free(*path);
    assert_true(asprintf(path, "%s/%s", s->folder, name) > 0);
    return *path;
}

/* The disk: MPI_IMG_TEST_DIR, to try another file system, or /var/tmp. */
static inline const char *scratch_disk(void)
{
    const char *folder = getenv("MPI_IMG_TEST_DIR");
    return folder ? folder : "/var/tmp";
}

/* A repeatable stream of numbers. */
static inline uint32_t scratch_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static inline void scratch_fill(uint64_t *state, void *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)scratch_random(state);
}

#endif
