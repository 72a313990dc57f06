/* --object: the secrets that encrypted images and servers are opened with. */
#ifndef IMAGE_SECRET_H
#define IMAGE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct secrets;
struct secrets *secrets_new(struct err *e);
void secrets_free(struct secrets *s); /* wipes what they held; NULL is fine */
void secrets_cleanup(struct secrets **s);

/* Is `text` a question ("help", "secret,help")? Then *answer is what to print. */
bool secrets_help(const char *text, const char **answer);

/* Take one --object: "secret,id=ID,data=..|file=..[,format=raw|base64][,keyid=ID,iv=..]", or the
 * same as a JSON object. Other kinds of objects are accepted where they change nothing that we do.
 */
int secrets_add(struct secrets *s, const char *text, struct err *e);

/* The bytes of secret `id`; borrowed. "No secret with id 'x'" if there is none (also for s NULL).
 */
int secrets_find(const struct secrets *s, const char *id, const uint8_t **data, size_t *len,
                 struct err *e);

#endif
