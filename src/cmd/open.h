/* From the options that say which image to open, and how, to an open image. */
#ifndef CMD_OPEN_H
#define CMD_OPEN_H

#include <stdbool.h>

#include <jansson.h>

#include "base/err.h"
#include "cli/option.h"
#include "image/image.h"

struct image_args {
    const char *format; /* -f */
    bool image_opts;
    bool force_share;           /* -U */
    struct safety_rules safety; /* --safe, --max-size */
    struct text_list objects;
};

static inline void json_cleanup(json_t **v)
{
    json_decref(*v);
}

/* What the operand `name` stands for: a file name, or with --image-opts a list of options. New
 * reference; NULL with the error set. */
json_t *open_spec(const struct image_args *a, const char *name, struct err *e);

/* For image_flags.repairs: to stderr. */
extern const struct check_sink open_repairs;

/* Open the image that `name` stands for. What `flags` says of -f and -U is taken from `a`. */
int open_image(const struct image_args *a, const char *name, struct image_flags flags,
               struct image **out, struct err *e);
/* The same with the spec that `name` stands for, changed as the subcommand likes. */
int open_image_spec(const struct image_args *a, const json_t *spec, const char *name,
                    struct image_flags flags, struct image **out, struct err *e);

int open_take_max_size(void *field, const char *value, struct err *e);
#define ROWS_SAFETY(type, field)                                                                   \
    ROW_FLAG(0, "safe", type, field.on,                                                            \
             "Refuse images that do not pass all checks of untrusted images (see the manual); no " \
             "file is opened that an image names"),                                                \
    {                                                                                              \
        .name = "max-size", .metavar = "size", .take = TAKE_VALUE, .call = open_take_max_size,     \
        .offset = offsetof(type, field.max_size),                                                  \
        .help = "Refuse images with a larger virtual disk"                                         \
    }

/* -t, -T: text NULL leaves *out as it is. `what` begins the message ("Invalid cache option"). */
int open_cache(const char *text, const char *what, struct file_cache *out, struct err *e);

#endif
