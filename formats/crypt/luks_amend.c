/*
 * Passphrases added to a LUKS header and erased from it.
 *
 *     fill   material ─sync─▶ iterations and salt ─sync─▶ "active" ─sync
 *     drop   "inactive" ─sync─▶ material is overwritten, iterations and salt go ─sync
 *
 * The state of a slot is four bytes inside a sector: it changes as a whole. The material of a slot
 * that is inactive is nobody's.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/luks.h"
#include "formats/crypt/passphrase.h"
#include "image/secret.h"

#define ITER_TIME 2000 /* milliseconds, where it is not said */
#define RANDOM    64u

struct luks_amend {
    bool erase[LUKS_SLOTS];
    bool fills;
    unsigned slot;           /* fills */
    struct luks_slot become; /* ... with this */
    uint8_t *material;
    size_t material_len;
};

void luks_amend_free(struct luks_amend *a)
{
    if (!a)
        return;
    if (a->material)
        explicit_bzero(a->material, a->material_len);
    free(a->material);
    free(a);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* The options, without their prefix. */
struct wish {
    bool active;
    const char *new_secret, *old_secret;
    bool has_slot, has_time;
    uint64_t slot, iter_time;
};

struct plan {
    const struct luks_area *area;
    const struct luks_header *h;
    const struct luks_key *key;
    const struct secrets *secrets;
    bool force;
    struct wish wish;
    struct luks_amend *out;
};

struct named {
    char text[64];
};

static struct named name_of(const char *prefix, const char *name)
{
    struct named n;
    snprintf(n.text, sizeof n.text, "%s%s", prefix, name);
    return n;
}

bool luks_amend_given(const struct options *o, const char *prefix)
{
    static const char *const names[] = {"state", "new-secret", "old-secret", "keyslot",
                                        "iter-time"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (options_given(o, name_of(prefix, names[i]).text))
            return true;
    return false;
}

static int wish_parse(const struct options *o, const char *prefix, struct wish *w, struct err *e)
{
    const char *state = options_str(o, name_of(prefix, "state").text, NULL);
    w->new_secret = options_str(o, name_of(prefix, "new-secret").text, NULL);
    w->old_secret = options_str(o, name_of(prefix, "old-secret").text, NULL);
    w->has_slot = options_given(o, name_of(prefix, "keyslot").text);
    w->slot = options_size(o, name_of(prefix, "keyslot").text, 0);
    w->has_time = options_given(o, name_of(prefix, "iter-time").text);
    w->iter_time = options_size(o, name_of(prefix, "iter-time").text, ITER_TIME);
    if (!state)
        return err_set(e, EINVAL, "Parameter 'state' is missing");
    w->active = !strcmp(state, "active");
    if (!w->active && strcmp(state, "inactive"))
        return err_set(e, EINVAL, "Parameter 'state' does not accept value '%s'", state);
    return 0;
}

/* A slot is a number of 32 bits, of which messages show no sign. */
static int check_slot(const struct wish *w, struct err *e)
{
    if (!w->has_slot || w->slot < LUKS_SLOTS)
        return 0;
    uint64_t shown = w->slot > INT64_MAX ? (uint32_t)w->slot : w->slot;
    return err_set(e, EINVAL, "Invalid keyslot %" PRIu64 " specified, must be between 0 and %u",
                   shown, LUKS_SLOTS - 1);
}

static unsigned count_active(const struct luks_header *h)
{
    unsigned n = 0;
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        n += h->slots[i].active;
    return n;
}

/* ---- a passphrase is added ------------------------------------------------------------------- */

static int find_free(const struct luks_header *h, unsigned *slot, struct err *e)
{
    for (*slot = 0; *slot < LUKS_SLOTS; ++*slot)
        if (!h->slots[*slot].active)
            return 0;
    return err_set(e, ENOSPC, "Can't add a keyslot - all keyslots are in use");
}

static int choose_slot(const struct plan *p, unsigned *slot, struct err *e)
{
    const struct wish *w = &p->wish;
    if (!w->new_secret)
        return err_set(e, EINVAL, "'new-secret' is required to activate a keyslot");
    if (w->old_secret)
        return err_set(e, EINVAL, "'old-secret' must not be given when activating keyslots");
    if (check_slot(w, e))
        return -1;
    if (!w->has_slot)
        return find_free(p->h, slot, e);
    *slot = (unsigned)w->slot;
    if (p->h->slots[*slot].active && !p->force)
        return err_set(e, EINVAL, "Refusing to overwrite active keyslot %u - please erase it first",
                       *slot);
    return 0;
}

/* The slot as it is to be, and its material. */
static int make_slot(const struct plan *p, const uint8_t *pass, size_t len, struct err *e)
{
    struct luks_amend *a = p->out;
    struct luks_header h = *p->h;
    uint8_t random[RANDOM];
    struct luks_slot *s = &h.slots[a->slot];
    a->material_len = luks_material(h.key_len);
    a->material = mem_io(a->material_len, e);
    if (!a->material)
        return -1;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return err_errno(e, errno, "No random numbers");
    s->active = true;
    int rc = luks_iterations(h.hash, h.key_len, (double)p->wish.iter_time, &s->iterations, e) ||
                     luks_expand(random, LUKS_SLOT_SALT, s->salt, LUKS_SALT, e) ||
                     luks_expand(random, LUKS_MATERIAL, a->material, (LUKS_STRIPES - 1) * h.key_len,
                                 e) ||
                     luks_slot_fill(&h, a->slot, p->key->master, pass, len, a->material, e)
                 ? -1
                 : 0;
    a->become = *s;
    explicit_bzero(random, sizeof random);
    return rc;
}

static int plan_fill(const struct plan *p, struct err *e)
{
    const uint8_t *pass;
    size_t len;
    if (choose_slot(p, &p->out->slot, e) ||
        crypt_passphrase(p->secrets, p->wish.new_secret, "new-secret", &pass, &len, e))
        return -1;
    p->out->fills = true;
    if (!p->key->known)
        return err_set(e, EINVAL, "The image was opened for its metadata alone");
    if (make_slot(p, pass, len, e))
        return err_hint(e, "Failed to write to keyslot %u", p->out->slot);
    return 0;
}

/* ---- passphrases are erased ------------------------------------------------------------------ */

static int plan_erase_slot(const struct plan *p, const uint8_t *old, size_t len, struct err *e)
{
    unsigned slot = (unsigned)p->wish.slot;
    bool active = p->h->slots[slot].active, takes = false;
    if (old && active && luks_slot_takes(p->area, p->h, slot, old, len, &takes, e))
        return -1;
    if (old && !takes)
        return err_set(e, EINVAL,
                       "Given keyslot %u doesn't contain the given old password for erase "
                       "operation",
                       slot);
    if (!p->force && !active)
        return err_set(e, EINVAL, "Given keyslot %u is already erased (inactive) ", slot);
    if (!p->force && count_active(p->h) == 1)
        return err_set(e, EINVAL,
                       "Attempt to erase the only active keyslot %u which will erase all the data "
                       "in the image irreversibly - refusing operation",
                       slot);
    p->out->erase[slot] = active;
    return 0;
}

/* A passphrase against one slot: on a thread of its own, since it is meant to take its time. */
struct trial {
    const struct plan *p;
    unsigned slot;
    const uint8_t *pass;
    size_t len;
    pthread_t thread;
    bool runs, takes;
    int rc;
    struct err err;
};

static void *trial_run(void *arg)
{
    struct trial *t = arg;
    t->rc = luks_slot_takes(t->p->area, t->p->h, t->slot, t->pass, t->len, &t->takes, &t->err);
    return NULL;
}

static int trials_run(struct trial *trials, const struct plan *p, const uint8_t *pass, size_t len,
                      struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        struct trial *t = &trials[i];
        *t = (struct trial){.p = p, .slot = i, .pass = pass, .len = len};
        if (!p->h->slots[i].active)
            continue;
        t->runs = !pthread_create(&t->thread, NULL, trial_run, t);
        if (!t->runs)
            trial_run(t);
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (trials[i].runs)
            pthread_join(trials[i].thread, NULL);
        p->out->erase[i] = trials[i].takes;
        if (trials[i].rc && !rc)
            *e = trials[i].err;
        rc |= trials[i].rc;
    }
    return rc;
}

static int plan_erase_matching(const struct plan *p, const uint8_t *old, size_t len, struct err *e)
{
    AUTO_FREE struct trial *trials = mem_new(LUKS_SLOTS, sizeof *trials, e);
    unsigned n = 0;
    if (!trials || trials_run(trials, p, old, len, e))
        return -1;
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        n += p->out->erase[i];
    if (!n)
        return err_set(e, EINVAL, "No keyslots match given (old) password for erase operation");
    if (!p->force && n == count_active(p->h))
        return err_set(e, EINVAL,
                       "All the active keyslots match the (old) password that was given and "
                       "erasing them will erase all the data in the image irreversibly - refusing "
                       "operation");
    return 0;
}

static int plan_erase(const struct plan *p, struct err *e)
{
    const struct wish *w = &p->wish;
    const uint8_t *old = NULL;
    size_t len = 0;
    if (w->new_secret)
        return err_set(e, EINVAL, "'new-secret' must not be given when erasing keyslots");
    if (w->has_time)
        return err_set(e, EINVAL, "'iter-time' must not be given when erasing keyslots");
    if ((w->old_secret &&
         crypt_passphrase(p->secrets, w->old_secret, "old-secret", &old, &len, e)) ||
        check_slot(w, e))
        return -1;
    if (w->has_slot)
        return plan_erase_slot(p, old, len, e);
    if (w->old_secret)
        return plan_erase_matching(p, old, len, e);
    return err_set(e, EINVAL,
                   "To erase keyslot(s), either explicit keyslot index or the password currently "
                   "contained in them must be given");
}

int luks_amend_plan(const struct luks_area *area, const struct luks_header *h,
                    const struct luks_key *key, const struct options *o, const char *prefix,
                    const struct secrets *secrets, bool force, struct luks_amend **out,
                    struct err *e)
{
    struct plan p = {.area = area, .h = h, .key = key, .secrets = secrets, .force = force};
    if (wish_parse(o, prefix, &p.wish, e) || !(p.out = mem_new(1, sizeof *p.out, e)))
        return -1;
    if (p.wish.active ? plan_fill(&p, e) : plan_erase(&p, e)) {
        luks_amend_free(p.out);
        return -1;
    }
    *out = p.out;
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The first `len` bytes of a slot's record. */
static int put_record(const struct luks_area *area, const struct luks_header *h, unsigned slot,
                      size_t len, struct err *e)
{
    uint8_t buf[LUKS_SLOT];
    luks_slot_store(&h->slots[slot], buf);
    return file_write(area->file, buf, len, area->at + luks_slot_at(slot), e) ||
                   file_sync(area->file, e)
               ? -1
               : 0;
}

/* An inactive slot becomes an active one. */
static int slot_fill(const struct luks_area *area, struct luks_header *h, unsigned slot,
                     const struct luks_amend *a, struct err *e)
{
    struct luks_slot *s = &h->slots[slot];
    *s = (struct luks_slot){.iterations = a->become.iterations, .offset = s->offset};
    memcpy(s->salt, a->become.salt, LUKS_SALT);
    if (file_write(area->file, a->material, a->material_len, area->at + s->offset, e) ||
        file_sync(area->file, e) || put_record(area, h, slot, LUKS_SLOT, e))
        return -1;
    s->active = true;
    return put_record(area, h, slot, LUKS_SLOT_STATE, e);
}

static int random_fill(uint8_t *buf, size_t len, struct err *e)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom(buf + done, len - done, 0);
        if (n < 0 && errno != EINTR)
            return err_errno(e, errno, "No random numbers");
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int slot_drop(const struct luks_area *area, struct luks_header *h, unsigned slot,
                     struct err *e)
{
    struct luks_slot *s = &h->slots[slot];
    size_t len = luks_material(h->key_len);
    AUTO_FREE uint8_t *noise = mem_io(len, e);
    s->active = false;
    if (!noise || random_fill(noise, len, e) || put_record(area, h, slot, LUKS_SLOT_STATE, e) ||
        file_write(area->file, noise, len, area->at + s->offset, e) || file_sync(area->file, e))
        return -1;
    *s = (struct luks_slot){.offset = s->offset};
    return put_record(area, h, slot, LUKS_SLOT, e);
}

/* The only slot in use is written over: until that is done another one takes the passphrase. */
static int slot_replace(const struct luks_area *area, struct luks_header *h,
                        const struct luks_amend *a, struct err *e)
{
    bool only = count_active(h) == 1;
    unsigned spare = a->slot ? 0 : 1;
    return (only && slot_fill(area, h, spare, a, e)) || slot_drop(area, h, a->slot, e) ||
                   slot_fill(area, h, a->slot, a, e) || (only && slot_drop(area, h, spare, e))
               ? -1
               : 0;
}

int luks_amend_apply(const struct luks_area *area, struct luks_header *h,
                     const struct luks_amend *a, struct err *e)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        if (a->erase[i] && slot_drop(area, h, i, e))
            return err_hint(e, "Failed to erase keyslot %u", i);
    if (!a->fills)
        return 0;
    if (h->slots[a->slot].active ? slot_replace(area, h, a, e) : slot_fill(area, h, a->slot, a, e))
        return err_hint(e, "Failed to write to keyslot %u", a->slot);
    return 0;
}
