#include "flow/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/journal.h"
#include "formats/format.h"

#define HEAD (64 * KIB) /* of a file: what its format keeps in front, or the first of its data */

/* ---- options
   --------------------------------------------------------------------------------- */

static int word_set(json_t *words, const char *key, const char *value, struct err *e)
{
    return json_object_set_new_nocheck(words, key, json_string_nocheck(value ? value : "none"))
               ? err_nomem(e)
               : 0;
}

static int number_set(json_t *words, const char *key, uint64_t value, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return word_set(words, key, text, e);
}

static int flags_set(json_t *words, const struct convert_options *o, struct err *e)
{
    const struct {
        const char *key;
        bool on;
    } flags[] = {
        {"-c", o->compress},          {"-C", o->copy_offload},
        {"-B", o->backing_in_target}, {"--salvage", o->salvage},
        {"--bitmaps", o->bitmaps},    {"--skip-broken-bitmaps", o->skip_broken_bitmaps},
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (word_set(words, flags[i].key, flags[i].on ? "on" : "off", e) < 0)
            return -1;
    return 0;
}

static int create_options_set(json_t *words, const struct options *o, struct err *e)
{
    const char *name, *value;
    size_t at = 0;
    while (options_next(o, &at, &name, &value)) {
        AUTO_FREE char *key = mem_printf(e, "-o %s", name);
        if (!key || word_set(words, key, value, e) < 0)
            return -1;
    }
    return 0;
}

/* Chunks that were done have their hash in the journal. */
static int hash_set(json_t *words, const struct blkhash_params *p, struct err *e)
{
    if (!p->kind)
        return word_set(words, "--hash", NULL, e);
    AUTO_FREE char *text = mem_printf(e, "%s/%" PRIu64, p->kind->name, (uint64_t)p->block_size);
    return text ? word_set(words, "--hash", text, e) : -1;
}

/* Chunks are as long as they are. */
static int stripes_set(json_t *words, uint64_t size, struct err *e)
{
    return size ? number_set(words, "--stripe-size", size, e)
                : word_set(words, "--stripe-size", NULL, e);
}

static int words_fill(json_t *words, const struct convert_options *o, struct err *e)
{
    if (word_set(words, "-O", o->target_driver, e) < 0 ||
        word_set(words, "-f", o->source_driver, e) < 0 ||
        word_set(words, "-l", o->snapshot, e) < 0 ||
        number_set(words, "-S", o->sparse_size, e) < 0 ||
        number_set(words, "--compression-level", (uint64_t)o->level, e) < 0 ||
        stripes_set(words, o->stripes.size, e) < 0 || hash_set(words, &o->hash, e) < 0 ||
        flags_set(words, o, e) < 0)
        return -1;
    return create_options_set(words, o->options, e);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int head_hash(struct file *f, uint64_t *hash, struct err *e)
{
    AUTO_FREE unsigned char *buf = mem_io(HEAD, e);
    size_t got;
    if (!buf || file_read_padded(f, buf, HEAD, 0, &got, e) < 0)
        return -1;
    *hash = journal_hash(0, buf, got);
    return 0;
}

static int file_add(json_t *files, struct file *f, struct err *e)
{
    struct file_mark mark;
    uint64_t hash;
    file_mark(f, &mark);
    if (head_hash(f, &hash, e) < 0)
        return err_prefix(e, "Could not read '%s': ", file_name(f));
    json_t *name = json_string_nocheck(file_name(f));
    json_t *state =
        name ? json_pack("{s:o, s:I, s:I, s:I}", "name", name, "size", (json_int_t)mark.size,
                         "modified", (json_int_t)mark.modified, "head", (json_int_t)hash)
             : NULL;
    return !state || json_array_append_new(files, state) ? err_nomem(e) : 0;
}

static int image_add(json_t *files, const struct image *img, struct err *e)
{
    struct file *f;
    if (file_add(files, img->file, e) < 0)
        return -1;
    for (size_t i = 0; img->format->further && (f = img->format->further(img, i)); i++)
        if (file_add(files, f, e) < 0)
            return -1;
    return 0;
}

static int files_fill(json_t *files, const struct source *s, struct err *e)
{
    for (unsigned i = 0; i < s->n; i++)
        for (const struct image *img = s->parts[i].image; img; img = img->backing)
            if (image_add(files, img, e) < 0)
                return -1;
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

json_t *identity_new(const struct convert_options *o, const struct source *s, struct err *e)
{
    json_t *words = json_object(), *files = json_array();
    int status = words && files ? 0 : err_nomem(e);
    if (status == 0)
        status = words_fill(words, o, e);
    if (status == 0)
        status = files_fill(files, s, e);
    json_t *all = status == 0 ? json_pack("{s:O, s:O}", "options", words, "sources", files) : NULL;
    json_decref(words);
    json_decref(files);
    if (status == 0 && !all)
        err_nomem(e);
    return all;
}

static const char *text_of(const json_t *words, const char *key)
{
    const char *text = json_string_value(json_object_get(words, key));
    return text ? text : "none";
}

/* All words of `a`, as they are in `was` and in `now`. */
static int words_check(const json_t *a, const json_t *was, const json_t *now, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)a, key, value)
    {
        const char *then = text_of(was, key), *today = text_of(now, key);
        if (strcmp(then, today) != 0)
            return err_set(e, 0, "it was begun with %s %s, now it is %s", key, then, today);
    }
    return 0;
}

static int file_check(const json_t *was, const json_t *now, struct err *e)
{
    static const struct {
        const char *key, *what;
    } marks[] = {{"size", "its size"}, {"head", "its first bytes"}, {"modified", "its time"}};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (!json_equal(json_object_get(was, marks[i].key), json_object_get(now, marks[i].key)))
            return err_set(e, 0, "the source '%s' has changed (%s)",
                           json_string_value(json_object_get(now, "name")), marks[i].what);
    return 0;
}

static int files_check(const json_t *was, const json_t *now, struct err *e)
{
    size_t n = json_array_size(was), m = json_array_size(now);
    for (size_t i = 0; i < n && i < m; i++)
        if (file_check(json_array_get(was, i), json_array_get(now, i), e) < 0)
            return -1;
    return n == m ? 0 : err_set(e, 0, "the source was %zu files, now it is %zu", n, m);
}

int identity_check(const json_t *was, const json_t *now, struct err *e)
{
    const json_t *then = json_object_get(was, "options"), *today = json_object_get(now, "options");
    if (files_check(json_object_get(was, "sources"), json_object_get(now, "sources"), e) < 0)
        return -1;
    /* each way, as one may have words that the other has not */
    return words_check(then, then, today, e) < 0 ? -1 : words_check(today, then, today, e);
}
