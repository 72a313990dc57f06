/*
 * Nodes: one level of a spec. What they have in common, and opening those that are files for the
 * format above them.
 */
#ifndef IMAGE_NODE_H
#define IMAGE_NODE_H

#include <stdbool.h>

#include <jansson.h>

#include "image/image.h"

/* The text under "driver", or NULL. */
static inline const char *node_driver(const json_t *node)
{
    return json_string_value(json_object_get(node, "driver"));
}

/* Is this driver's name that of a protocol (file, nbd, ...), not of a format? Knows also those that
 * this build cannot open. */
bool node_is_protocol(const char *driver);

/* Is there a block or character device of that name? It is host_device, not file. */
bool node_is_device(const char *path);

/* The options that every node takes ("read-only", "cache.direct", ...): checks them and changes
 * `flags` by them. */
int node_common(const json_t *node, struct image_flags *flags, struct err *e);

/* Open the node under `key` of `parent` as a byte store: a protocol, a window on one ("raw"), or a
 * whole image seen as a file. */
int node_open_file(const json_t *parent, const char *key, const struct image_flags *flags,
                   struct file **out, struct err *e);
/* The same for a node itself. */
int node_open(const json_t *node, const struct image_flags *flags, struct file **out,
              struct err *e);

/* on, off, true, false, yes, no; absent keeps *out. */
int node_bool(const json_t *node, const char *key, bool *out, struct err *e);
/* A size in any spelling; absent keeps *out. */
int node_size(const json_t *node, const char *key, uint64_t *out, struct err *e);

/* Refuse options that neither every node takes nor `known` names (NULL-terminated; "encrypt."
 * stands for all below it). Protocols look at their own. */
int node_check_options(const json_t *node, const char *const *known, const char *format,
                       struct err *e);

/* spec.c: image_spec_from_name without the words "Could not open 'name': " before its errors. */
json_t *image_spec_of_name(const char *name, struct err *e);
/* chain.c: open what is below `top`, all of it, as its flags say. */
int chain_open(struct image *top, struct err *e);
/* open.c: one image without what is below it. */
int image_open_layer(const json_t *spec, const char *name, const struct image_flags *flags,
                     struct image **out, struct err *e);

/* window.c: bytes [offset, offset + size) of a file as a file. Takes `base`, also on failure. */
int window_open(struct file *base, uint64_t offset, uint64_t size, struct file **out,
                struct err *e);
/* image_file.c: the guest's bytes of an image as a file, read only. Takes `img`. */
int image_file_open(struct image *img, struct file **out, struct err *e);

#endif
