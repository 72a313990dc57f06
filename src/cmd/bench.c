/* bench: how fast an image takes requests. */
#include "cmd/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/message.h"
#include "cli/size.h"
#include "cmd/one_image.h"
#include "cmd/open.h"
#include "flow/bench.h"

#define BENCH_COUNT 75000u
#define BENCH_DEPTH 64u
#define BENCH_SIZE  4096u

struct bench_args {
    struct image_args image;
    uint64_t count, depth;
    uint64_t offset, size, step;
    uint64_t pattern;
    uint64_t flush_interval;
    const char *aio;   /* -i */
    bool native;       /* -n */
    const char *cache; /* -t */
    bool no_drain, quiet, write;
};

static void bench_defaults(void *args)
{
    struct bench_args *a = args;
    a->count = BENCH_COUNT;
    a->depth = BENCH_DEPTH;
    a->size = BENCH_SIZE;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* As strtoul reads it, so also 0x10. */
static int bench_number(const char *value, const char *what, uint64_t least, uint64_t most,
                        uint64_t *out, struct err *e)
{
    char *end;
    errno = 0;
    *out = strtoull(value, &end, 0);
    if (end == value || *end || strchr(value, '-') || errno || *out < least || *out > most)
        return err_set(e, EINVAL, "Invalid %s specified", what);
    return 0;
}

static int bench_take_count(void *field, const char *value, struct err *e)
{
    return bench_number(value, "request count", 1, INT32_MAX, field, e);
}

static int bench_take_depth(void *field, const char *value, struct err *e)
{
    return bench_number(value, "queue depth", 1, INT32_MAX, field, e);
}

static int bench_take_flush(void *field, const char *value, struct err *e)
{
    return bench_number(value, "flush interval", 0, INT32_MAX, field, e);
}

static int bench_take_pattern(void *field, const char *value, struct err *e)
{
    return bench_number(value, "pattern byte", 0, UINT8_MAX, field, e);
}

static int bench_take_offset(void *field, const char *value, struct err *e)
{
    return size_operand(value, "offset", field, e);
}

static int bench_bytes(const char *value, const char *what, uint64_t *out, struct err *e)
{
    if (size_operand(value, what, out, e) && e->no != ERANGE)
        return -1;
    if (e->no == ERANGE || *out > INT32_MAX)
        return err_set(e, ERANGE, "Invalid %s specified. Must be between 0 and %d.", what,
                       INT32_MAX);
    return 0;
}

static int bench_take_size(void *field, const char *value, struct err *e)
{
    return bench_bytes(value, "buffer size", field, e);
}

static int bench_take_step(void *field, const char *value, struct err *e)
{
    return bench_bytes(value, "step_size", field, e);
}

static const char *const bench_aio_words[] = {
    [FILE_QUEUE_NONE] = "threads",
    [FILE_QUEUE_NATIVE] = "native",
    [FILE_QUEUE_URING] = "io_uring",
};

/* false: no such word, or not in this build. */
static bool bench_aio_kind(const char *word, enum file_queue_kind *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(bench_aio_words); i++) {
        *out = i;
        if (strcmp(word, bench_aio_words[i]) == 0)
            return i == FILE_QUEUE_NONE || file_queue_known(*out);
    }
    return false;
}

static int bench_check_aio(void *field, const char *value, struct err *e)
{
    enum file_queue_kind ignored;
    (void)field;
    if (!bench_aio_kind(value, &ignored))
        return err_set(e, EINVAL, "Invalid aio option: %s", value);
    return 0;
}

static int bench_check_cache(void *field, const char *value, struct err *e)
{
    struct file_cache cache;
    (void)field;
    if (file_cache_parse(value, &cache))
        return err_set(e, EINVAL, "Invalid cache mode");
    return 0;
}

static int bench_check(const struct bench_args *a, struct err *e)
{
    if (a->flush_interval && !a->write)
        return err_set(e, EINVAL, "--flush-interval is only available in write tests");
    if (a->flush_interval && a->flush_interval < a->depth)
        return err_set(e, EINVAL, "Flush interval can't be smaller than depth");
    return 0;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* How the file below all is read: an option of its node, which may say itself what it asks for. */
static int bench_set_aio(const struct bench_args *a, json_t *spec, enum file_queue_kind *kind,
                         struct err *e)
{
    const char *aio = a->native ? "native" : a->aio;
    json_t *node = spec, *below;
    while (json_is_object(below = json_object_get(node, "file")))
        node = below;
    const char *own = json_string_value(json_object_get(node, "aio"));
    if (!json_object_get(node, "filename") || !(own || aio))
        return 0;
    if (!bench_aio_kind(own ? own : aio, kind))
        *kind = FILE_QUEUE_NONE;
    return !own && json_object_set_new(node, "aio", json_string(aio)) ? err_nomem(e) : 0;
}

/* A kernel may be without io_uring, and containers often forbid it: said before anything is sent.
 */
static int bench_try_queue(enum file_queue_kind kind, const char *name, struct err *e)
{
    if (kind != FILE_QUEUE_URING)
        return 0;
    struct file_queue *q = file_queue_new(kind, 1, e);
    file_queue_free(q);
    return q ? 0 : err_prefix(e, "Could not open '%s': ", name);
}

static int bench_open(const struct bench_args *a, const char *name, struct secrets *secrets,
                      struct image **out, enum file_queue_kind *kind, struct err *e)
{
    struct image_flags flags = {.write = a->write, .secrets = secrets};
    AUTO(json_cleanup) json_t *spec = open_spec(&a->image, name, e);
    if (!spec || bench_set_aio(a, spec, kind, e) || open_cache(a->cache, "", &flags.cache, e) ||
        open_image_spec(&a->image, spec, name, flags, out, e))
        return -1;
    return bench_try_queue(*kind, name, e);
}

static void bench_tell(const struct bench_args *a, const struct bench_options *o)
{
    printf("Sending %" PRIu64 " %s requests, %zu bytes each, %u in parallel "
           "(starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
           o->count, o->write ? "write" : "read", o->size, o->depth, o->offset, o->step);
    if (a->flush_interval)
        printf("Sending flush every %" PRIu64 " requests\n", a->flush_interval);
    fflush(stdout);
}

static int bench_image(const struct bench_args *a, struct image *img, enum file_queue_kind queue,
                       struct err *e)
{
    const struct bench_options o = {
        .image = img,
        .count = a->count,
        .depth = (unsigned)a->depth,
        .offset = a->offset,
        .step = a->step ? a->step : a->size,
        .size = a->size,
        .write = a->write,
        .pattern = (uint8_t)a->pattern,
        .flush_interval = a->flush_interval,
        .drain = !a->no_drain,
        .queue = queue,
    };
    double seconds;
    bench_tell(a, &o);
    if (bench_run(&o, &seconds, e))
        return err_prefix(e, "Failed request: ");
    printf("Run completed in %3.3f seconds.\n", seconds);
    return 0;
}

static int bench_main(struct command_run *r)
{
    const struct bench_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    AUTO(image_cleanup) struct image *img = NULL;
    enum file_queue_kind queue = FILE_QUEUE_NONE;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    if (bench_check(a, &e) || bench_open(a, name, secrets, &img, &queue, &e) ||
        bench_image(a, img, queue, &e) || image_close(MEM_TAKE(img), &e))
        return command_fail(&e);
    return 0;
}

#define ROW_BENCH_VALUE(l, n, meta, field, function, text)                                         \
    {                                                                                              \
        .letter = (l), .name = (n), .metavar = (meta), .take = TAKE_VALUE, .call = (function),     \
        .offset = offsetof(struct bench_args, field), .help = (text)                               \
    }

static const struct option_row bench_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct bench_args, image.objects),
    ROW_IMAGE_OPTS(struct bench_args, image.image_opts),
    ROW_BENCH_VALUE('c', "count", "count", count, bench_take_count,
                    "Requests to send (default 75000)"),
    ROW_BENCH_VALUE('d', "depth", "depth", depth, bench_take_depth,
                    "Requests in flight at once (default 64)"),
    ROW_TEXT('f', "format", "fmt", struct bench_args, image.format, "Format of the image"),
    ROW_BENCH_VALUE(0, "flush-interval", "flush_interval", flush_interval, bench_take_flush,
                    "Writing: flush after so many requests; at least the depth"),
    {.letter = 'i',
     .name = "aio",
     .metavar = "aio",
     .take = TAKE_TEXT,
     .call = bench_check_aio,
     .offset = offsetof(struct bench_args, aio),
     .help = "How requests wait: threads (default), native (libaio; needs -t none), or io_uring"},
    ROW_FLAG('n', "native", struct bench_args, native, "The same as -i native"),
    ROW_FLAG(0, "no-drain", struct bench_args, no_drain,
             "A flush does not wait for the requests before it"),
    ROW_BENCH_VALUE('o', "offset", "offset", offset, bench_take_offset,
                    "Where the first request goes (default 0)"),
    ROW_BENCH_VALUE(0, "pattern", "pattern", pattern, bench_take_pattern,
                    "Writing: the byte that is written (default 0)"),
    ROW_FLAG('q', "quiet", struct bench_args, quiet,
             "Taken, but the result is printed all the same"),
    ROW_BENCH_VALUE('s', "buffer-size", "buffer_size", size, bench_take_size,
                    "Bytes of a request (default 4k)"),
    ROW_BENCH_VALUE('S', "step-size", "step_size", step, bench_take_step,
                    "Bytes from one request to the next (default: the size of a request)"),
    {.letter = 't',
     .name = "cache",
     .metavar = "cache",
     .take = TAKE_TEXT,
     .call = bench_check_cache,
     .offset = offsetof(struct bench_args, cache),
     .help = "Cache mode to open the image with (default writeback)"},
    ROW_FLAG('w', "write", struct bench_args, write, "Write; what was there is lost"),
    ROW_FORCE_SHARE(struct bench_args, image.force_share),
    ROWS_SAFETY(struct bench_args, image.safety),
    {0},
};

const struct command command_bench = {
    .name = "bench",
    .summary = "Measure how fast an image is read or written",
    .operands = "filename",
    .description =
        "Sends requests that follow one another with a fixed step, going round at the end of the "
        "image, and prints the time they took. With -w the image is written: its data is lost.\n\n"
        "Requests are waited for by a thread each, of which there are no more than needed to keep "
        "the processors and the storage busy, and no more than the depth.",
    .rows = bench_rows,
    .args_size = sizeof(struct bench_args),
    .defaults = bench_defaults,
    .run = bench_main,
};
