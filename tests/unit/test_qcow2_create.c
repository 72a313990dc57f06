/* Create options of qcow2 that do not go together, and what of an image's metadata stays in memory
 * while it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/meta.h"
#include "io/pages.h"

static struct err e;
static const struct option_def *const tables[] = {qcow2_create_options, NULL};

static const char *refusal(const char *list, uint64_t size, const char *backing)
{
    struct options *o = options_new(tables, &e);
    struct qcow2_create c;
    err_clear(&e);
    assert_int_equal(options_parse(o, list, NULL, &e), 0);
    int rc = qcow2_create_parse(o, size, backing, options_str(o, "backing_fmt", NULL), &c, &e);
    options_free(o);
    return rc ? e.text : "fine";
}

#define V3 " compatibility level 1.1 and above (use version=v3 or greater)"

/* The words, and of two faults the one that qemu names first. */
static void what_goes_together(void **state)
{
    (void)state;
    const char *const cases[][2] = {
        {"size=1", "fine"},
        {"compat=v2,cluster_size=512", "fine"},
        {"compat=9,backing_fmt=foo", "Parameter 'version' does not accept value '9'"},
        {"backing_fmt=foo,encrypt.format=x", "Parameter 'backing-fmt' does not accept value 'foo'"},
        {"encrypt.key-secret=s,preallocation=x", "Parameter 'encrypt.format' is missing"},
        {"encrypt.format=x,preallocation=x", "Parameter 'format' does not accept value 'x'"},
        {"encryption=on,encrypt.format=aes",
         "'encrypt.format' and its alias 'encryption' can't be used at the same time"},
        {"preallocation=x,compression_type=x",
         "Parameter 'preallocation' does not accept value 'x'"},
        {"compression_type=x,cluster_size=1",
         "Parameter 'compression-type' does not accept value 'x'"},
        {"extended_l2=on,compat=v2,cluster_size=1",
         "Extended L2 entries are only supported with" V3},
        {"cluster_size=96k", "Cluster size must be a power of two between 512 and 2048k"},
        {"cluster_size=4M", "Cluster size must be a power of two between 512 and 2048k"},
        {"extended_l2=on,cluster_size=8k,backing_fmt=raw",
         "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes"},
        {"backing_fmt=raw,lazy_refcounts=on,compat=v2",
         "Backing format cannot be used without backing file"},
        {"lazy_refcounts=on,compat=v2,refcount_bits=3", "Lazy refcounts only supported with" V3},
        {"refcount_bits=3", "Refcount width must be a power of two and may not exceed 64 bits"},
        {"refcount_bits=128", "Refcount width must be a power of two and may not exceed 64 bits"},
        {"refcount_bits=8,compat=v2",
         "Different refcount widths than 16 bits require compatibility level 1.1 or above (use "
         "version=v3 or greater)"},
        {"data_file_raw=on,compression_type=zstd,compat=v2", "data-file-raw requires data-file"},
        {"data_file=x,compat=v2,compression_type=zstd",
         "External data files are only supported with" V3},
        {"compression_type=zstd,compat=v2", "Non-zlib compression type is only supported with" V3},
        {"encrypt.format=aes", "Parameter 'encrypt.key-secret' is required for cipher"},
        {"encryption=on,encrypt.key-secret=s,encrypt.iter-time=1",
         "Parameter 'encrypt.iter-time' is unexpected"},
        {"encrypt.format=luks,encrypt.cipher-alg=x",
         "Parameter 'cipher-alg' does not accept value 'x'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(refusal(cases[i][0], MIB, NULL), cases[i][1]);
}

static void with_a_backing_file(void **state)
{
    (void)state;
    assert_string_equal(refusal("backing_fmt=raw", MIB, "b"), "fine");
    assert_string_equal(refusal("preallocation=metadata", MIB, "b"),
                        "Backing file and preallocation can only be used at the same time if "
                        "extended_l2 is on");
    assert_string_equal(refusal("preallocation=metadata,extended_l2=on", MIB, "b"), "fine");
    assert_string_equal(refusal("data_file=d,data_file_raw=on", MIB, "b"),
                        "Backing file and data-file-raw cannot be used at the same time");
}

static void sizes(void **state)
{
    (void)state;
    const char *large = "The image size is too large for file format 'qcow2' (try using a larger "
                        "cluster size)";
    assert_string_equal(refusal("cluster_size=512", 128 * GIB, NULL), "fine");
    assert_string_equal(refusal("cluster_size=512", 128 * GIB + 512, NULL), large);
    assert_string_equal(refusal("cluster_size=64k", 2048 * TIB, NULL), "fine");
    assert_string_equal(refusal("cluster_size=64k", 2048 * TIB + 512, NULL), large);
    assert_string_equal(refusal("cluster_size=16k,extended_l2=on", 64 * TIB + 512, NULL), large);
    assert_string_equal(refusal("cluster_size=2M", UINT64_C(1) << 63, NULL), large);
    assert_string_equal(refusal("", 1000, NULL), "Image size must be a multiple of 512 bytes");
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint32_t draw(uint32_t n)
{
    static uint64_t seed = 9;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

static struct file *null_file(void)
{
    struct file *f;
    json_t *spec = json_pack("{s:s, s:i}", "driver", "null-co", "size", 0);
    const struct file_options fo = {.write = true};
    assert_int_equal(file_open(spec, &fo, &f, &e), 0);
    json_decref(spec);
    return f;
}

/* Every `step`th chunk of an image, each block as `draw` says; returns the most that was held. */
static size_t high_water(const char *list, uint64_t size, uint64_t step, bool packs)
{
    struct options *o = options_new(tables, &e);
    struct qcow2_create create;
    struct qcow2_layout l;
    struct qcow2_meta *m;
    struct pages *pages;
    struct file *f = null_file();
    assert_int_equal(options_parse(o, list, NULL, &e), 0);
    assert_int_equal(qcow2_create_parse(o, size, NULL, NULL, &create, &e), 0);
    qcow2_layout_init(&l, &create);
    assert_int_equal(qcow2_meta_new(&l, &create, f, &m, &e), 0);
    assert_int_equal(pages_new(f, &pages, &e), 0);
    uint64_t per = qcow2_layout_chunk(&l) / l.cluster;
    AUTO_FREE need_t *need = mem_new(per, sizeof *need, &e);
    struct placing placed = {.host = mem_new(per, sizeof *placed.host, &e)};
    struct cursor c;
    size_t most = 0;
    assert_int_equal(qcow2_layout_begin(&l, &c, NULL, &e), 0);
    for (uint64_t first = 0; first < l.blocks; first += per * step) {
        size_t n = num_min(per, l.blocks - first);
        for (size_t i = 0; i < n; i++)
            need[i] =
                packs && draw(3) ? NEED_PACKED | (1 + draw((uint32_t)l.cluster - 1)) : NEED_PLAIN;
        placed.n_meta = 0;
        if (qcow2_layout_place(&l, first, need, n, &c, &placed, &e) ||
            qcow2_meta_publish(m, first, need, n, &placed, pages, &e))
            fail_msg("%s", e.text);
        most = num_max(most, qcow2_meta_memory(m) + pages_waiting(pages));
    }
    if (step == 1 && !packs)
        assert_int_equal(c.end, qcow2_layout_full_end(&l));
    struct qcow2_head head = {0};
    assert_int_equal(qcow2_meta_finish(m, &c, pages, &head, &e), 0);
    free(placed.host);
    placing_release(&placed);
    pages_free(pages);
    qcow2_meta_free(m);
    options_free(o);
    assert_int_equal(file_close(f, &e), 0);
    return most;
}

/* L1 and eight bytes a refcount block grow with the image, nothing else. */
static void memory_is_bounded(void **state)
{
    (void)state;
    assert_in_range(high_water("cluster_size=64k", 16 * TIB, 997, false), 1, MIB);
    assert_in_range(high_water("cluster_size=64k", 16 * TIB, 997, true), 1, MIB);
    assert_in_range(high_water("cluster_size=64k", 256 * GIB, 1, true), 1, MIB);
    assert_in_range(high_water("cluster_size=2M", 16 * TIB, 1, false), 1, 9 * MIB);
    assert_in_range(high_water("cluster_size=2M", 16 * TIB, 1, true), 1, 9 * MIB);
    assert_in_range(high_water("cluster_size=4k,refcount_bits=64", 16 * GIB, 1, false), 1, MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_together),
        cmocka_unit_test(with_a_backing_file),
        cmocka_unit_test(sizes),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
