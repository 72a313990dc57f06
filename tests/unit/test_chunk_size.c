/* How large a writer's chunks are: by the image alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/num.h"
#include "formats/format.h"
#include "formats/writer.h"
#include "io/file.h"

static struct err err;

static uint64_t chunk_size(const char *name, uint64_t size, const char *list)
{
    const struct format *format = format_find(name);
    assert_non_null(format);
    const struct option_def *const tables[] = {format->create_options, NULL};
    struct options *o = options_new(tables, &err);
    assert_non_null(o);
    assert_int_equal(options_parse(o, list, NULL, &err), 0);
    json_t *spec = json_pack("{s:s}", "driver", "null-co");
    const struct file_options fo = {.write = true, .create = FILE_CREATE_NEW};
    struct file *file;
    assert_int_equal(file_open(spec, &fo, &file, &err), 0);
    const struct writer_params p = {.options = o,
                                    .size = size,
                                    .file = file,
                                    .path = "nothing",
                                    .memory = 16 * MIB,
                                    .first = true};
    struct writer *w;
    assert_int_equal(writer_open(format->writer, &p, &w, &err), 0);
    uint64_t chunk = w->chunk_size;
    assert_true(!w->block_size || chunk % w->block_size == 0);
    w->ops->free(w);
    file_close(file, &err);
    json_decref(spec);
    options_free(o);
    return chunk;
}

static void a_mebibyte_and_four_from_4_tib_on(void **state)
{
    (void)state;
    static const char *const placed[] = {"qcow2", "qed", "vhdx", "parallels"};
    for (size_t i = 0; i < ARRAY_LEN(placed); i++) {
        assert_int_equal(chunk_size(placed[i], GIB, ""), MIB);
        assert_int_equal(chunk_size(placed[i], 4 * TIB - MIB, ""), MIB);
        assert_int_equal(chunk_size(placed[i], 4 * TIB, ""), 4 * MIB);
    }
    assert_int_equal(chunk_size("qcow2", GIB, "cluster_size=2M"), 2 * MIB);
    assert_int_equal(chunk_size("qcow2", 64 * TIB, "cluster_size=2M"), 4 * MIB);
}

/* What is written in place costs rank 0 little; its chunks fit a core's cache. */
static void in_place_they_stay_small(void **state)
{
    (void)state;
    assert_int_equal(chunk_size("raw", 64 * TIB, ""), MIB);
    assert_int_equal(chunk_size("vhdx", 8 * TIB, "subformat=fixed"), 4 * MIB); /* it has places */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mebibyte_and_four_from_4_tib_on),
        cmocka_unit_test(in_place_they_stay_small),
    };
    return cmocka_run_group_tests_name("chunk_size", tests, NULL, NULL);
}
