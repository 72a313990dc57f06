/* snapshot: internal snapshots of an image. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"
#include "cmd/info_text.h"
#include "cmd/one_image.h"
#include "cmd/open.h"
#include "flow/snapshot.h"

enum snapshot_action {
    SNAPSHOT_NONE,
    SNAPSHOT_LIST,
    SNAPSHOT_APPLY,
    SNAPSHOT_CREATE,
    SNAPSHOT_DELETE
};

struct snapshot_choice {
    enum snapshot_action action;
    const char *name;
};

struct snapshot_args {
    struct image_args image;
    struct snapshot_choice choice;
    bool quiet;
};

/* ---- options --------------------------------------------------------------------------------- */

static int snapshot_choose(void *field, enum snapshot_action action, const char *name,
                           struct err *e)
{
    struct snapshot_choice *choice = field;
    if (choice->action != SNAPSHOT_NONE) {
        err_set(e, EINVAL, "Cannot mix '-l', '-a', '-c', '-d'");
        return message_usage(e);
    }
    *choice = (struct snapshot_choice){action, name};
    return 0;
}

static int snapshot_take_list(void *field, const char *value, struct err *e)
{
    return snapshot_choose(field, SNAPSHOT_LIST, value, e);
}

static int snapshot_take_apply(void *field, const char *value, struct err *e)
{
    return snapshot_choose(field, SNAPSHOT_APPLY, value, e);
}

static int snapshot_take_create(void *field, const char *value, struct err *e)
{
    return snapshot_choose(field, SNAPSHOT_CREATE, value, e);
}

static int snapshot_take_delete(void *field, const char *value, struct err *e)
{
    return snapshot_choose(field, SNAPSHOT_DELETE, value, e);
}

/* ---- doing it -------------------------------------------------------------------------------- */

static int snapshot_print(struct image *img, struct err *e)
{
    AUTO(json_cleanup) json_t *list = snapshot_list(img, e);
    if (!list)
        return -1;
    if (json_array_size(list))
        info_text_snapshots(stdout, list);
    return 0;
}

/* The original's words are a number; what it does not say comes below them. */
static int snapshot_create_failed(const char *name, struct err *e)
{
    AUTO_FREE char *more = e->no == EIO ? mem_strdup(e->text, e) : NULL;
    int no = e->no;
    err_set(e, no, "Could not create snapshot '%s': %d (%s)", name, -no, strerror(no));
    return more && strcmp(more, strerror(no)) != 0 ? err_hint(e, "%s", more) : -1;
}

static int snapshot_do(const struct snapshot_choice *choice, struct image *img, struct err *e)
{
    const char *name = choice->name;
    switch (choice->action) {
    case SNAPSHOT_NONE:
        break;
    case SNAPSHOT_LIST:
        return snapshot_print(img, e);
    case SNAPSHOT_CREATE:
        return snapshot_create(img, name, e) ? snapshot_create_failed(name, e) : 0;
    case SNAPSHOT_APPLY:
        return snapshot_apply(img, name, e) ? err_prefix(e, "Could not apply snapshot '%s': ", name)
                                            : 0;
    case SNAPSHOT_DELETE:
        return snapshot_delete(img, name, e)
                   ? err_prefix(e, "Could not delete snapshot '%s': ", name)
                   : 0;
    }
    return 0;
}

static int snapshot_run(const struct snapshot_args *a, const char *name, struct secrets *secrets,
                        struct err *e)
{
    const struct image_flags flags = {.write = a->choice.action != SNAPSHOT_LIST,
                                      .secrets = secrets};
    struct image *img = NULL;
    if (open_image(&a->image, name, flags, &img, e))
        return -1;
    struct err late = ERR_INIT;
    int r = snapshot_do(&a->choice, img, e);
    if (image_close(img, &late) && !r) {
        *e = late;
        return -1;
    }
    return r;
}

static int snapshot_main(struct command_run *r)
{
    const struct snapshot_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    return snapshot_run(a, name, secrets, &e) ? command_fail(&e) : 0;
}

#define ROW_SNAPSHOT(l, n, function, shown, text)                                                  \
    {                                                                                              \
        .letter = (l), .name = (n), .metavar = "snapshot", .take = TAKE_VALUE, .call = (function), \
        .offset = offsetof(struct snapshot_args, choice), .syntax = (shown), .help = (text)        \
    }

static const struct option_row snapshot_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct snapshot_args, image.objects),
    ROW_IMAGE_OPTS(struct snapshot_args, image.image_opts),
    ROW_TEXT('f', "format", "fmt", struct snapshot_args, image.format, "Format of the image"),
    ROW_FORCE_SHARE(struct snapshot_args, image.force_share),
    ROWS_SAFETY(struct snapshot_args, image.safety),
    ROW_QUIET(struct snapshot_args, quiet),
    {.letter = 'l',
     .name = "list",
     .take = TAKE_VALUE,
     .call = snapshot_take_list,
     .offset = offsetof(struct snapshot_args, choice),
     .syntax = "[-l | -a snapshot | -c snapshot | -d snapshot]",
     .help = "List the snapshots"},
    ROW_SNAPSHOT('a', "apply", snapshot_take_apply, "",
                 "Go back to this snapshot, by id or name; the state as it is now is lost"),
    ROW_SNAPSHOT('c', "create", snapshot_take_create, "",
                 "Make a snapshot of this name of the state as it is"),
    ROW_SNAPSHOT('d', "delete", snapshot_take_delete, "", "Delete the first snapshot of this name"),
    {0},
};

const struct command command_snapshot = {
    .name = "snapshot",
    .summary = "List, make, apply or delete the snapshots inside an image",
    .operands = "filename",
    .description =
        "Snapshots are inside the image (qcow2 has them): its content, and its size, at the time "
        "when they were made. What belongs to a deleted snapshot alone is given back to the file "
        "system.\n\n"
        "A change comes about by a single write at its end: when it is interrupted, the image "
        "holds the old state, or the new one.",
    .rows = snapshot_rows,
    .args_size = sizeof(struct snapshot_args),
    .run = snapshot_main,
};
