/* What rank 0 of a conversion has that places chunks, for a target that is nothing (null-co), so
 * that no disk is measured. */
#ifndef TESTS_BENCH_NULL_PLACER_H
#define TESTS_BENCH_NULL_PLACER_H

#include "base/num.h"
#include "flow/place.h"
#include "formats/format.h"
#include "formats/writer.h"
#include "io/file.h"

#define NULL_PLACER_MEMORY (128 * MIB)

/* It lives as long as the program. */
static inline int null_placer_new(const char *name, const char *list, uint64_t size, bool packed,
                                  struct writer **w, struct placer **p, struct err *e)
{
    const struct format *format = format_find(name);
    if (!format || !format->writer)
        return err_set(e, 0, "No format '%s' to write", name);
    static const struct option_def *tables[2];
    tables[0] = format->create_options;
    struct options *o = options_new(tables, e);
    json_t *spec = json_pack("{s:s}", "driver", "null-co");
    const struct file_options fo = {.write = true, .create = FILE_CREATE_NEW};
    struct file *file;
    if (!o || options_parse(o, list, NULL, e) < 0 || file_open(spec, &fo, &file, e) < 0)
        return -1;
    const struct writer_params params = {.options = o,
                                         .size = size,
                                         .file = file,
                                         .path = "nothing",
                                         .compress = packed,
                                         .memory = NULL_PLACER_MEMORY,
                                         .first = true};
    struct pages *pages;
    if (writer_open(format->writer, &params, w, e) < 0 || pages_new(file, &pages, e) < 0)
        return -1;
    return placer_new(*w, file, pages, p, e);
}

#endif
