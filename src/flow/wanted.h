/*
 * What is asked of a conversion: texts become values, and what cannot go together is refused. The
 * command line and a fleet's manifest say it in the same words.
 */
#ifndef FLOW_WANTED_H
#define FLOW_WANTED_H

#include <jansson.h>

#include "base/err.h"
#include "flow/blkhash.h"
#include "formats/format.h"

/* ---- values ---------------------------------------------------------------------------------- */

#define WANTED_SPARSE ((uint64_t)4 << 10) /* -S that is not given */

int wanted_sparse(const char *text, uint64_t *out, struct err *e);
int wanted_level(const char *text, uint64_t *out, struct err *e);    /* --compression-level */
int wanted_max_size(const char *text, uint64_t *out, struct err *e); /* --max-size */
/* Of a hash: "4k". */
int wanted_block_size(const char *text, uint64_t *out, struct err *e);

/* Which hash: an algorithm's name, "ALGORITHM" or "ALGORITHM/SIZE"; NULL: the usual one. */
int wanted_hash(const char *text, struct blkhash_params *out, struct err *e);

/* ---- an image that is to be made ------------------------------------------------------------- */

/* NULL with the error set: "Unknown file format 'x'". */
const struct format *wanted_format(const char *name, struct err *e);
/* The same, and it must be one that can be created. */
const struct format *wanted_format_creatable(const char *name, struct err *e);

/* What the name of a new image means: {"file": protocol node}. New reference; NULL with the error
 * set, also where nothing can be created. */
json_t *wanted_spec(const char *name, struct err *e);
/* The protocol of such a spec; that of files for NULL. */
const char *wanted_protocol(const json_t *spec);

/* A list "a=b,...", against the tables of the format and of the protocol that `spec` names (NULL:
 * that of files). */
int wanted_options(const struct format *format, const json_t *spec, const char *list,
                   struct options **out, struct err *e);

/* -b/-B and -F become options of the image; either may be NULL. */
int wanted_backing(const struct format *format, struct options *o, const char *backing,
                   const char *backing_format, struct err *e);

/* ---- a conversion ---------------------------------------------------------------------------- */

/* Can the target, with its options, be compressed? */
int wanted_check_compress(const struct format *format, const struct options *o, struct err *e);
/* Can it have the backing file that its options name? */
int wanted_check_backing(const struct options *o, unsigned n_sources, struct err *e);

#endif
