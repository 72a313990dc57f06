/*
 * LUKS version 1 (the LUKS on-disk format specification 1.2): a header with eight key slots in
 * front of the encrypted data. luks.c is a file of that form; qcow2 keeps one in clusters of its
 * own.
 *
 *   0 ..... 592    4096          + area        ...           payload
 *   header         slot 0        slot 1        ... slot 7    the data (in qcow2: elsewhere)
 *
 * A slot holds the master key, spread over 4000 stripes (anti-forensic split) and encrypted with
 * what PBKDF2 makes of a passphrase. The header holds a digest of the master key, by which one sees
 * that a passphrase was right.
 *
 *   luks_header.c  load and store, side by side; what must hold before anything is followed
 *   luks_info.c    what info shows
 *   luks_key.c     passphrase -> master key and back
 *   luks_create.c  create options -> a new header with one slot in use
 *   luks_amend.c   slots of a header that is there: passphrases added and erased
 */
#ifndef FORMATS_CRYPT_LUKS_H
#define FORMATS_CRYPT_LUKS_H

#include <stdbool.h>

#include <jansson.h>

#include "formats/crypt/sectors.h"
#include "formats/options.h"
#include "io/file.h"

#define LUKS_HEADER     592u
#define LUKS_SLOTS      8u
#define LUKS_SLOTS_AT   4096u /* where slot 0's key material begins, and its alignment */
#define LUKS_STRIPES    4000u
#define LUKS_SALT       32u
#define LUKS_DIGEST     20u
#define LUKS_UUID       36u
#define LUKS_KEY_MAX    64u
#define LUKS_ITERATIONS 1000u /* least, for what is created */

struct luks_slot {
    bool active;
    uint32_t iterations;
    uint8_t salt[LUKS_SALT];
    uint64_t offset; /* of the key material, in bytes from the header */
};

struct luks_header {
    struct crypt_spec spec;
    enum crypt_hash hash;
    size_t key_len;
    uint64_t payload; /* bytes from the header */
    uint8_t digest[LUKS_DIGEST], salt[LUKS_SALT];
    uint32_t iterations;
    char uuid[41];
    struct luks_slot slots[LUKS_SLOTS];
};

/* Where a header stands: `length` bytes of a file belong to it and its slots. */
struct luks_area {
    struct file *file;
    uint64_t at, length;
};

/* Is that the beginning of a LUKS 1 header? */
bool luks_probe(const uint8_t *head, size_t n);

/* From LUKS_HEADER bytes, with all checks. */
int luks_header_load(const uint8_t *buf, struct luks_header *out, struct err *e);
void luks_header_store(const struct luks_header *h, uint8_t *buf);
/* One slot of it: LUKS_SLOT bytes, of which the first LUKS_SLOT_STATE say whether it is active. */
#define LUKS_SLOT       48u
#define LUKS_SLOT_STATE 4u
uint64_t luks_slot_at(unsigned slot); /* ... and where they stand */
void luks_slot_store(const struct luks_slot *s, uint8_t buf[LUKS_SLOT]);
int luks_header_read(const struct luks_area *area, struct luks_header *out, struct err *e);

/* Bytes of a slot's key material: whole sectors. */
size_t luks_material(size_t key_len);

/* The object that info shows, in its key order; `in_qcow2` adds its "format". */
json_t *luks_info(const struct luks_header *h, bool in_qcow2);

/* The key of the data. Whoever holds it wipes it. */
struct luks_key {
    bool known;
    uint8_t master[LUKS_KEY_MAX];
};

/* "Invalid password, cannot unlock any keyslot" if no slot takes the passphrase. */
int luks_find_key(const struct luks_area *area, const struct luks_header *h, const uint8_t *pass,
                  size_t pass_len, struct luks_key *out, struct err *e);
/* Does slot `slot`, which is active, take the passphrase? */
int luks_slot_takes(const struct luks_area *area, const struct luks_header *h, unsigned slot,
                    const uint8_t *pass, size_t pass_len, bool *takes, struct err *e);
int luks_unlock(const struct luks_area *area, const struct luks_header *h, const uint8_t *pass,
                size_t pass_len, struct crypt **out, struct err *e);

/* The material of slot `slot` (luks_material() bytes), and h's digest of the master key: from the
 * key, the passphrase and stripes that the caller has filled with random bytes but the last. */
int luks_slot_fill(const struct luks_header *h, unsigned slot, const uint8_t *master,
                   const uint8_t *pass, size_t pass_len, uint8_t *stripes, struct err *e);
int luks_digest(const struct luks_header *h, const uint8_t *master, uint8_t digest[LUKS_DIGEST],
                struct err *e);

/* ---- creating -------------------------------------------------------------------------------- */

/* What the options ask for. */
struct luks_params {
    struct crypt_spec spec;
    enum crypt_hash hash;
    size_t key_len;
    uint64_t iter_time;         /* milliseconds to spend on a passphrase */
    const char *unknown_cipher; /* one that other programs have; borrowed, or NULL */
};

/* Options are named with `prefix` before them ("encrypt."). */
int luks_params_parse(const struct options *o, const char *prefix, struct luks_params *out,
                      struct err *e);
/* Of all that could be asked for, can it be had? */
int luks_params_check(const struct luks_params *p, struct err *e);

/* Bytes from the header to the data. */
uint64_t luks_payload(const struct luks_params *p);

/* All that is secret comes from `random`, so that every rank makes the same key of it ... */
int luks_crypt_new(const struct luks_params *p, const uint8_t random[64], struct crypt **out,
                   struct err *e);
/* ... and one writes the header: luks_payload() bytes, a new allocation. With MPI_IMG_SEED set the
 * number of iterations does not depend on the machine's speed. */
int luks_create(const struct luks_params *p, const uint8_t random[64], const uint8_t *pass,
                size_t pass_len, uint8_t **out, struct err *e);

/* PBKDF2 iterations that take `ms` milliseconds for `len` bytes. */
int luks_iterations(enum crypt_hash hash, size_t len, double ms, uint32_t *out, struct err *e);
/* Bytes made of random ones; each use has a stream of its own. */
enum luks_use { LUKS_MASTER = 1, LUKS_SALTS, LUKS_SLOT_SALT, LUKS_ID, LUKS_MATERIAL };
int luks_expand(const uint8_t random[64], enum luks_use use, uint8_t *out, size_t len,
                struct err *e);

/* ---- changing slots -------------------------------------------------------------------------- */

struct secrets;
struct luks_amend; /* which slots become what, with the key material of a new one */

/* What amend takes; `prefix` is a string constant. */
#define LUKS_AMEND_OPTIONS(prefix)                                                                 \
    {prefix "state", OPTION_STR, "Select new state of affected keyslots (active/inactive)", NULL}, \
        {prefix "new-secret", OPTION_STR,                                                          \
         "New secret to set in the matching keyslots. Empty string to erase", NULL},               \
        {prefix "old-secret", OPTION_STR, "Select all keyslots that match this password", NULL},   \
        {prefix "keyslot", OPTION_NUM, "Select a single keyslot to modify explicitly", NULL},      \
    {                                                                                              \
        prefix "iter-time", OPTION_NUM, "Time to spend in PBKDF in milliseconds", NULL             \
    }

/* Is any of them given? */
bool luks_amend_given(const struct options *o, const char *prefix);
/* All checks; nothing is written. `force`: also what makes the data unreadable for good. */
int luks_amend_plan(const struct luks_area *area, const struct luks_header *h,
                    const struct luks_key *key, const struct options *o, const char *prefix,
                    const struct secrets *secrets, bool force, struct luks_amend **out,
                    struct err *e);
/* At every write, the data can be unlocked by a passphrase that was there or by the new one. */
int luks_amend_apply(const struct luks_area *area, struct luks_header *h,
                     const struct luks_amend *a, struct err *e);
void luks_amend_free(struct luks_amend *a); /* NULL is fine */

#endif
