#include "flow/prove.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "flow/hash.h"
#include "flow/walk.h"
#include "io/join.h"

struct proof {
    struct proof_of of;
    struct hash_walk walk;
    struct hash_pass *pass;

    /* of the output */
    bool back;
    json_t *spec;
    struct walk opened;
    struct source source;
    struct source_part part;
};

/* ---- the sources, in a pass of its own ------------------------------------------------------- */

static void passed(void *ctx, uint64_t guest, uint64_t data)
{
    const struct proof *p = ctx;
    telling_progress(p->of.telling, guest, data);
}

static bool give_up(void *ctx)
{
    const struct proof *p = ctx;
    const struct convert_report *r = p->of.telling->report;
    return r->give_up(r->ctx);
}

static struct proof *proof_new(const struct proof_of *of, struct err *e)
{
    struct proof *p = mem_new(1, sizeof *p, e);
    if (!p)
        return NULL;
    p->of = *of;
    p->walk = (struct hash_walk){.params = of->o->hash,
                                 .memory = of->o->memory,
                                 .passed = passed,
                                 .give_up = of->telling->report->give_up ? give_up : NULL,
                                 .ctx = p};
    return p;
}

static unsigned waiting(const struct source *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (image_is_remote(s->parts[i].image))
            return WALK_WAITING;
    return 0;
}

int proof_of_sources(const struct proof_of *of, struct proof **out, struct err *e)
{
    struct proof *p = *out = proof_new(of, e);
    if (!p)
        return -1;
    p->walk.source = of->source;
    p->walk.chunk_size = num_max(of->chunk_size, of->o->hash.block_size);
    p->walk.salvage = of->o->salvage;
    p->walk.first_only = of->alone;
    p->walk.least_workers = waiting(of->source);
    return hash_pass_new(&p->walk, &p->pass, e);
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

static unsigned avoid(void *ctx, uint64_t chunk)
{
    const struct convert_hash *h = ((const struct proof *)ctx)->of.hash;
    return (unsigned)h->wrote[chunk % h->n_wrote] - 1; /* 0, none: UINT_MAX */
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

static int judge(const struct proof_of *of, struct image *img, const uint8_t *hash, struct err *e)
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

static struct walk walk_of(const struct proof_of *of, const json_t *spec)
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

/* Only what was converted counts: an output may be larger. */
static int begin_reading(struct proof *p, struct err *e)
{
    const struct proof_of *of = &p->of;
    struct image *img = p->opened.image[0];
    p->source = source_of_image(img, of->o->target, &p->part);
    if (img->size < of->plan->size)
        return err_set(e, EIO, "it is shorter than what was converted");
    p->part.length = p->part.size = p->source.size = of->plan->size;
    p->source.by_map = false;
    p->walk.source = &p->source;
    p->walk.chunk_size = p->opened.chunk;
    p->walk.least_workers = walk_least_workers(&p->opened);
    p->walk.avoid = of->hash->wrote ? avoid : NULL;
    return hash_pass_new(&p->walk, &p->pass, e);
}

int proof_of_output(struct engine *g, const struct proof_of *of, struct proof **out, struct err *e)
{
    struct proof *p = *out = proof_new(of, e);
    if (p) {
        p->back = true;
        p->spec =
            of->o->no_create ? json_incref(of->o->target_spec) : spec_of_fresh(of->o, of->plan, e);
        p->opened = walk_of(of, p->spec);
        join_look(of->plan->path); /* this rank may not have written any of it */
    }
    if (engine_agree(g, p && p->spec ? 0 : -1, e) < 0 || walk_open(g, &p->opened, e) < 0)
        return -1;
    return begin_reading(p, e);
}

void proof_free(struct proof *p)
{
    if (!p)
        return;
    hash_pass_free(p->pass);
    walk_close(&p->opened);
    json_decref(p->spec);
    free(p);
}

/* ---- both ------------------------------------------------------------------------------------ */

void proof_job(struct proof *p, unsigned threads, struct unit_job *job)
{
    telling_next_pass(p->of.telling);
    hash_pass_job(p->pass, threads, job);
}

int proof_end(struct proof *p, struct err *e)
{
    uint8_t hash[DIGEST_MAX];
    if (!p->back)
        return hash_pass_end(p->pass, p->of.telling->report->hash, e);
    if (hash_pass_end(p->pass, hash, e) < 0)
        return -1;
    return judge(&p->of, p->opened.image[0], hash, e);
}

int proof_fail(const struct proof_of *of, struct err *e)
{
    return e->no == EINTR ? -1 : err_prefix(e, "Verifying '%s' failed: ", of->o->target);
}
