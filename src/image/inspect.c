#include "image/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "formats/format.h"
#include "formats/safety.h"

/* The checks of one image so far. */
struct verdict {
    json_t *told; /* borrowed; NULL: nobody asks */
    struct err *e;
    bool failed;
    struct err why; /* of the check that is being made */
};

static int tell(struct verdict *v, const struct safety_check *c, bool passed)
{
    if (!v->told)
        return 0;
    json_t *entry = json_pack("{s:s,s:b}", "check", c->name, "passed", passed);
    if (entry && !passed && json_object_set_new(entry, "reason", json_string(v->why.text))) {
        json_decref(entry);
        entry = NULL;
    }
    return entry && !json_array_append_new(v->told, entry) ? 0 : err_nomem(v->e);
}

/* All checks are made, also after one that failed: who asks for the list wants it whole. */
static void note(struct verdict *v, const struct safety_check *c, int rc)
{
    if (tell(v, c, rc == 0)) {
        v->failed = true;
    } else if (rc && !v->failed) {
        err_set(v->e, v->why.no, "Safety check '%s' failed: %s", c->name, v->why.text);
        v->failed = true;
    }
    err_clear(&v->why);
}

static void check_file(struct verdict *v, const struct safety_check *list,
                       const struct safety_subject *s)
{
    for (const struct safety_check *c = list; c && c->name; c++)
        if (c->file)
            note(v, c, c->file(s, &v->why));
}

static int subject_read(struct safety_subject *s, struct err *e)
{
    size_t got;
    if (file_read_padded(s->file, s->head, sizeof s->head, 0, &got, e))
        return err_prefix(e, "Could not read image for checking its safety: ");
    s->got = (uint32_t)got;
    return 0;
}

int inspect_file(struct file *f, const struct format *format, bool named, json_t *told,
                 struct err *e)
{
    struct safety_subject s = {.file = f, .format = format, .named = named};
    struct verdict v = {.told = told, .e = e};
    if (subject_read(&s, e))
        return -1;
    check_file(&v, safety_common, &s);
    check_file(&v, format->safety, &s);
    return v.failed ? -1 : 0;
}

int inspect_before(const struct image *img, struct err *e)
{
    const struct safety_rules *rules = &img->flags.safety;
    return rules->on ? inspect_file(img->file, img->format, !img->probed, rules->told, e) : 0;
}

int inspect_opened(const struct image *img, struct err *e)
{
    const struct safety_rules *rules = &img->flags.safety;
    struct verdict v = {.told = rules->told, .e = e};
    for (const struct safety_check *c = safety_common; c->name; c++)
        if (c->opened && (rules->on || (rules->max_size && c->opened == safety_size)))
            note(&v, c, c->opened(img, &v.why));
    return v.failed ? -1 : 0;
}

int inspect_size(const struct safety_rules *rules, uint64_t size, struct err *e)
{
    if (!rules->max_size || size <= rules->max_size)
        return 0;
    return err_set(e, EFBIG,
                   "Safety check 'virtual-size' failed: %" PRIu64 " bytes, where at most %" PRIu64
                   " are allowed",
                   size, rules->max_size);
}
