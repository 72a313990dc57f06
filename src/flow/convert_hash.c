#include "flow/convert_hash.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "flow/hash.h"
#include "flow/walk.h"

/* Where two chunks share an entry, one may be read back by the rank that wrote it. */
#define WROTE_MAX ((uint64_t)1 << 24)

/* ---- in the pass ----------------------------------------------------------------------------- */

/* The memory is touched only where there are chunks. */
static int remember_writers(struct convert_hash *h, uint64_t chunks, struct err *e)
{
    h->n_wrote = num_max(num_min(chunks, WROTE_MAX), 1);
    h->wrote = mem_new(h->n_wrote, sizeof *h->wrote, e);
    return h->wrote ? 0 : -1;
}

int convert_hash_begin(struct convert_hash *h, const struct convert_options *o, uint64_t size,
                       uint64_t chunk_size, bool first, struct err *e)
{
    h->on = true;
    if (blkhash_init(&h->blkhash, &o->hash, size, e) < 0)
        return -1;
    if (first && o->verify && remember_writers(h, num_div_up(size, chunk_size), e) < 0)
        return -1;
    return first ? blkhash_order_new(&h->blkhash, &h->order, e) : 0;
}

void convert_hash_release(struct convert_hash *h)
{
    blkhash_order_free(h->order);
    free(h->wrote);
}

int convert_hash_chunk(const struct convert_hash *h, struct chunk *c, struct err *e)
{
    static const char pad[8];
    if (blkhash_chunk(&h->blkhash, c, e) < 0)
        return -1;
    size_t n = num_up(c->n_message, sizeof pad) - c->n_message;
    void *to = chunk_message_add(c, n, e);
    if (!to)
        return -1;
    memcpy(to, pad, n);
    return 0;
}

int convert_hash_take(struct convert_hash *h, uint64_t chunk, uint64_t guest, unsigned rank,
                      const void *bytes, size_t len, struct err *e)
{
    if (h->wrote)
        h->wrote[chunk % h->n_wrote] = (uint16_t)num_min(rank + 1, UINT16_MAX);
    return blkhash_order_chunk(h->order, guest, bytes, len, e);
}

/* ---- the sources, in a pass of its own ------------------------------------------------------- */

static void passed(void *ctx, uint64_t guest, uint64_t data)
{
    telling_progress(ctx, guest, data);
}

static unsigned waiting(const struct source *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (image_is_remote(s->parts[i].image))
            return WALK_WAITING;
    return 0;
}

static int hash_sources(struct engine *g, const struct convert_hashed *of, struct err *e)
{
    const struct hash_walk w = {
        .source = of->source,
        .params = of->o->hash,
        .chunk_size = num_max(of->chunk_size, of->o->hash.block_size),
        .salvage = of->o->salvage,
        .first_only = of->alone,
        .least_workers = waiting(of->source),
        .memory = of->o->memory,
        .passed = passed,
        .ctx = of->telling,
    };
    return hash_walk(g, &w, of->telling->report->hash, e);
}

int convert_hash_end(struct engine *g, struct convert_hash *h, const struct convert_hashed *of,
                     struct err *e)
{
    struct convert_report *report = of->telling->report;
    report->hash_size = of->plan->size;
    if (!h->on) {
        telling_next_pass(of->telling);
        return hash_sources(g, of, e);
    }
    int status = h->order ? blkhash_order_end(h->order, report->hash, e) : 0;
    return engine_agree(g, status, e);
}

/* ---- the output, read back ------------------------------------------------------------------- */

/* How the fresh image is opened: under its temporary name, with the keys that it was made with. */
static json_t *spec_of_fresh(const struct convert_options *o, const struct target_plan *plan,
                             struct err *e)
{
    const char *key = options_str(o->options, "key-secret", NULL);
    const char *inner = options_str(o->options, "encrypt.key-secret", NULL);
    json_t *node = json_deep_copy(target_node(o));
    bool bad = json_object_get(node, "filename") &&
               json_object_set_new(node, "filename", json_string_nocheck(plan->path)) < 0;
    json_t *spec = json_pack("{s:s, s:o?}", "driver", o->target_driver, "file", node);
    bad |= spec && key && json_object_set_new(spec, "key-secret", json_string(key)) < 0;
    bad |= spec && inner &&
           json_object_set_new(spec, "encrypt", json_pack("{s:s}", "key-secret", inner)) < 0;
    if (!spec || bad || !node) {
        json_decref(spec);
        err_nomem(e);
        return NULL;
    }
    return spec;
}

struct reading {
    const struct convert_hash *h;
    struct telling *telling;
};

static unsigned avoid(void *ctx, uint64_t chunk)
{
    const struct convert_hash *h = ((const struct reading *)ctx)->h;
    return (unsigned)h->wrote[chunk % h->n_wrote] - 1; /* 0, none: UINT_MAX */
}

static void read_back(void *ctx, uint64_t guest, uint64_t data)
{
    const struct reading *r = ctx;
    telling_progress(r->telling, guest, data);
}

/* Formats that round sizes up: what is behind the content reads as zeros. */
static int check_rest(struct image *img, uint64_t at, struct err *e)
{
    AUTO_FREE unsigned char *buf = mem_io(64 * KIB, e);
    struct image_reader *r = buf ? image_reader_new(e) : NULL;
    struct extent x;
    int status = r ? 0 : -1;
    while (status == 0 && at < img->size) {
        status = image_map_chain(img, at, img->size - at, UINT_MAX, &x, e);
        uint64_t n = walk_is_zero(&x) ? x.length : num_min(x.length, 64 * KIB);
        if (status == 0 && !walk_is_zero(&x)) {
            status = image_read(r, img, at, n, buf, e);
            if (status == 0 && !zero_is(buf, n))
                status = err_set(e, EIO, "there is data behind the end");
        }
        at += n;
    }
    image_reader_free(r);
    return status;
}

static int judge(const struct convert_hashed *of, struct image *img, const uint8_t *hash,
                 struct err *e)
{
    char want[DIGEST_TEXT], got[DIGEST_TEXT];
    const struct digest_kind *k = of->o->hash.kind;
    const uint8_t *wanted = of->telling->report->hash;
    if (memcmp(hash, wanted, k->length) == 0)
        return of->o->no_create ? 0 : check_rest(img, of->plan->size, e);
    digest_text(k, wanted, want);
    digest_text(k, hash, got);
    return err_set(e, EIO, "it holds %s, not %s, which is what was converted", got, want);
}

/* Only what was converted counts: an output may be larger. */
static int read_output(struct engine *g, const struct convert_hash *h,
                       const struct convert_hashed *of, const struct walk *opened, struct err *e)
{
    struct image *img = opened->image[0];
    struct source_part part;
    struct source source = source_of_image(img, of->o->target, &part);
    struct reading reading = {h, of->telling};
    uint8_t hash[DIGEST_MAX];
    if (img->size < of->plan->size)
        return err_set(e, EIO, "it is shorter than what was converted");
    part.length = part.size = source.size = of->plan->size;
    source.by_map = false;
    const struct hash_walk w = {
        .source = &source,
        .params = of->o->hash,
        .chunk_size = opened->chunk,
        .least_workers = walk_least_workers(opened),
        .memory = of->o->memory,
        .avoid = h->wrote ? avoid : NULL,
        .passed = read_back,
        .ctx = &reading,
    };
    if (hash_walk(g, &w, hash, e) < 0)
        return -1;
    int status = engine_rank(g) == 0 ? judge(of, img, hash, e) : 0;
    return engine_agree(g, status, e);
}

static struct walk walk_of(const struct convert_hashed *of, const json_t *spec)
{
    const struct convert_options *o = of->o;
    return (struct walk){
        .n = 1,
        .name = {o->target},
        .spec = {spec},
        .driver = {o->target_driver},
        .flags = {.force_share = true, /* the output is locked, by us */
                  .unfinished = true,
                  .forget = true,
                  .cache = {.direct = o->target_cache.direct},
                  .secrets = o->secrets},
        .chunk = of->chunk_size,
    };
}

int convert_verify(struct engine *g, const struct convert_hash *h, const struct convert_hashed *of,
                   struct err *e)
{
    const struct convert_options *o = of->o;
    telling_next_pass(of->telling);
    json_t *spec = o->no_create ? json_incref(o->target_spec) : spec_of_fresh(o, of->plan, e);
    int status = engine_agree(g, spec ? 0 : -1, e);
    struct walk walk = walk_of(of, spec);
    if (status == 0)
        status = walk_open(g, &walk, e);
    if (status == 0)
        status = read_output(g, h, of, &walk, e);
    walk_close(&walk);
    json_decref(spec);
    if (status < 0 && engine_rank(g) == 0 && e->no != EINTR)
        return err_prefix(e, "Verifying '%s' failed: ", o->target);
    return status;
}
