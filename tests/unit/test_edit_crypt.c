/* Encrypted images changed in place, LUKS and both kinds of qcow2: storms against a model, a stop
 * at each write of them, and a luks image that gets longer and shorter. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "edit_crash.h"
#include "edit_storm.h"
#include "image/secret.h"
#include "scratch.h"

#define SIZE (2 * MIB + 512)

static struct {
    struct scratch dir;
    struct secrets *secrets;
} here;

static const struct kind {
    const char *driver, *create, *open;
} kinds[] = {
    {"luks", "key-secret=s,iter-time=10", "key-secret=s"},
    {"luks", "key-secret=s,iter-time=10,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256",
     "key-secret=s"},
    {"qcow2", "encrypt.key-secret=s,encrypt.format=luks,encrypt.iter-time=10",
     "encrypt.key-secret=s"},
    {"qcow2", "encrypt.key-secret=s,encrypt.format=luks,encrypt.iter-time=10,cluster_size=512",
     "encrypt.key-secret=s"},
    {"qcow2", "encrypt.key-secret=s,encrypt.format=luks,encrypt.iter-time=10,extended_l2=on",
     "encrypt.key-secret=s"},
    {"qcow2", "encrypt.key-secret=s,encrypt.format=aes", "encrypt.key-secret=s"},
    {"qcow2", "encrypt.key-secret=s,encrypt.format=aes,cluster_size=4k,compat=0.10",
     "encrypt.key-secret=s"},
};

/* The options that open it; without its file: path NULL. */
static json_t *spec_of(const struct kind *k, const char *path)
{
    struct err e = ERR_INIT;
    char text[400];
    snprintf(text, sizeof text, "driver=%s,%s,file.filename=%s", k->driver, k->open,
             path ? path : "x");
    json_t *spec = image_spec_from_opts(text, &e);
    storm_must(!spec, &e);
    if (!path)
        json_object_del(spec, "file");
    return spec;
}

/* What nobody wrote to a luks image reads as noise: the file's zeros, decrypted. */
static void make(struct storm *s, const struct kind *k)
{
    struct err e = ERR_INIT;
    struct edit *d;
    storm_create(k->driver, s->path, k->create, s->size, NULL, here.secrets);
    struct image *img = storm_open(s, true, false);
    storm_must(edit_begin(img, &d, &e), &e);
    storm_must(edit_zero(d, 0, s->size, EDIT_ZERO_DROP, &e), &e);
    storm_must(edit_end(d, &e), &e);
    storm_close(img);
}

static void storms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *path = scratch_name(&here.dir, "storm");
        struct storm s = {.driver = kinds[i].driver,
                          .path = path,
                          .spec = spec_of(&kinds[i], path),
                          .secrets = here.secrets,
                          .size = SIZE,
                          .seed = i,
                          .rounds = 2,
                          .steps = 60};
        make(&s, &kinds[i]);
        storm_run(&s);
        json_decref(s.spec);
    }
}

/* Of a luks image every sector has its place, so what was there is not kept: one by one they are
 * new or old. */
static void stops(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *path = scratch_name(&here.dir, "crash");
        struct storm s = {.driver = kinds[i].driver,
                          .path = path,
                          .spec = spec_of(&kinds[i], path),
                          .secrets = here.secrets,
                          .size = SIZE};
        struct crash c = {.driver = kinds[i].driver,
                          .options = spec_of(&kinds[i], NULL),
                          .secrets = here.secrets,
                          .seed = i,
                          .leaks = true};
        make(&s, &kinds[i]);
        crash_run(&c, path, 14);
        json_decref(c.options);
        json_decref(s.spec);
    }
}

/* Nothing that was written can be read in the file. */
static void is_encrypted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *path = scratch_name(&here.dir, "plain");
        struct storm s = {.driver = kinds[i].driver,
                          .path = path,
                          .spec = spec_of(&kinds[i], path),
                          .secrets = here.secrets};
        struct err e = ERR_INIT;
        struct edit *d;
        static const char words[] = "these words are seen by nobody";
        storm_create(s.driver, path, kinds[i].create, SIZE, NULL, here.secrets);
        struct image *img = storm_open(&s, true, false);
        storm_must(edit_begin(img, &d, &e), &e);
        storm_must(edit_write(d, 70000, words, sizeof words, &e), &e);
        storm_must(edit_end(d, &e), &e);
        storm_close(img);
        struct disk disk = {0};
        disk_load(&disk, path);
        assert_null(memmem(disk.data, disk.size, "seen by", 7));
        free(disk.data);
        json_decref(s.spec);
    }
}

/* ---- resize ---------------------------------------------------------------------------------- */

static uint64_t length_of(const char *path)
{
    struct disk d = {0};
    disk_load(&d, path);
    uint64_t size = d.size;
    free(d.data);
    return size;
}

static void resize(struct storm *s, uint64_t size, enum edit_prealloc how, const char *words)
{
    struct err e = ERR_INIT;
    struct image *img = storm_open(s, true, false);
    uint64_t payload = length_of(s->path) - s->size;
    int r = img->format->edit->resize(img, size, how, &e);
    assert_int_equal(r, words ? -1 : 0);
    if (words)
        assert_string_equal(e.text, words);
    else
        assert_int_equal(img->size, num_up(size, 512));
    storm_close(img);
    assert_int_equal(length_of(s->path), payload + (words ? s->size : size));
    s->size = words ? s->size : size;
}

static void luks_gets_longer_and_shorter(void **state)
{
    (void)state;
    const char *path = scratch_name(&here.dir, "resize");
    struct storm s = {.driver = "luks",
                      .path = path,
                      .spec = spec_of(&kinds[0], path),
                      .secrets = here.secrets,
                      .size = SIZE,
                      .rounds = 1,
                      .steps = 40,
                      .model = calloc(1, 4 * SIZE)};
    make(&s, &kinds[0]);
    storm_run(&s);
    resize(&s, SIZE, EDIT_PREALLOC_METADATA, "Unsupported preallocation mode: metadata");
    resize(&s, INT64_MAX - GIB, EDIT_PREALLOC_OFF,
           "offset(9223372035783102463) exceeds maximum(9223372035781033984)");
    resize(&s, 3 * MIB, EDIT_PREALLOC_FALLOC, NULL);
    resize(&s, 4 * MIB, EDIT_PREALLOC_FULL, NULL);
    resize(&s, 4 * MIB + 100, EDIT_PREALLOC_OFF, NULL);
    resize(&s, MIB, EDIT_PREALLOC_OFF, NULL);
    struct image *img = storm_open(&s, false, false);
    storm_same(&s, img);
    storm_close(img);
    free(s.model);
    json_decref(s.spec);
}

static int set_up(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    setenv("MPI_IMG_SEED", "1", 1); /* iterations do not depend on a clock */
    scratch_init(&here.dir, "/dev/shm");
    here.secrets = secrets_new(&e);
    return here.secrets ? secrets_add(here.secrets, "secret,id=s,data=abc", &e) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    secrets_free(here.secrets);
    scratch_release(&here.dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storms),
        cmocka_unit_test(stops),
        cmocka_unit_test(is_encrypted),
        cmocka_unit_test(luks_gets_longer_and_shorter),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
