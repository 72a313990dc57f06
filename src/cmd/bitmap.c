/* bitmap: persistent bitmaps are made, removed, changed. */
#include "cmd/command.h"

#include <string.h>

#include "base/mem.h"
#include "cli/size.h"
#include "cmd/object.h"
#include "cmd/open.h"
#include "flow/bitmap.h"

struct bitmap_args {
    struct image_args image;
    struct text_list actions; /* their names in order, "merge" followed by its source */
    const char *source_file, *source_format;
    uint64_t granularity;
};

/* ---- options --------------------------------------------------------------------------------- */

static int take_add(void *field, const char *value, struct err *e)
{
    (void)value;
    return text_list_add(field, bitmap_act_names[BITMAP_ADD], e);
}

static int take_remove(void *field, const char *value, struct err *e)
{
    (void)value;
    return text_list_add(field, bitmap_act_names[BITMAP_REMOVE], e);
}

static int take_clear(void *field, const char *value, struct err *e)
{
    (void)value;
    return text_list_add(field, bitmap_act_names[BITMAP_CLEAR], e);
}

static int take_enable(void *field, const char *value, struct err *e)
{
    (void)value;
    return text_list_add(field, bitmap_act_names[BITMAP_ENABLE], e);
}

static int take_disable(void *field, const char *value, struct err *e)
{
    (void)value;
    return text_list_add(field, bitmap_act_names[BITMAP_DISABLE], e);
}

/* The source follows: the row is one of a list. */
static int take_merge(void *field, const char *value, struct err *e)
{
    (void)value;
    return text_list_add(field, bitmap_act_names[BITMAP_MERGE], e);
}

static int take_granularity(void *field, const char *value, struct err *e)
{
    return size_operand(value, "granularity", field, e);
}

static enum bitmap_act act_of(const char *name)
{
    enum bitmap_act act = 0;
    while (strcmp(bitmap_act_names[act], name) != 0)
        act++;
    return act;
}

static size_t actions_fill(const struct text_list *words, struct bitmap_action *out)
{
    size_t n = 0;
    for (size_t i = 0; i < words->n; i++) {
        enum bitmap_act act = act_of(words->item[i]);
        out[n++] = (struct bitmap_action){act, act == BITMAP_MERGE ? words->item[++i] : NULL};
    }
    return n;
}

/* What does not go together; NULL: all is well. */
static const char *find_misuse(const struct bitmap_args *a, const struct bitmap_action *actions,
                               size_t n, int operands)
{
    bool adds = false, merges = false;
    for (size_t i = 0; i < n; i++) {
        adds |= actions[i].act == BITMAP_ADD;
        merges |= actions[i].act == BITMAP_MERGE;
    }
    if (!n)
        return "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge";
    if (a->granularity && !adds)
        return "granularity only supported with --add";
    if (a->source_format && !a->source_file)
        return "-F only supported with -b";
    if (a->source_file && !merges)
        return "Merge bitmap source file only supported with --merge";
    return operands != 2 ? "Expecting filename and bitmap name" : NULL;
}

/* ---- the work -------------------------------------------------------------------------------- */

static int change(const struct bitmap_args *a, struct bitmap_job *job, const char *name,
                  struct secrets *secrets, struct err *e)
{
    AUTO(image_cleanup) struct image *img = NULL;
    AUTO(image_cleanup) struct image *source = NULL;
    const struct image_args from = {.format = a->source_format, .safety = a->image.safety};
    struct image_flags flags = {.write = true, .no_backing = true, .secrets = secrets};
    if (open_image(&a->image, name, flags, &img, e))
        return -1;
    flags.write = false;
    if (a->source_file && open_image(&from, a->source_file, flags, &source, e))
        return -1;
    job->image = img;
    job->source = source;
    if (bitmap_run(job, e))
        return -1;
    return image_close(MEM_TAKE(img), e) ? err_prefix(e, "Error while closing the image: ") : 0;
}

static int bitmap_main(struct command_run *r)
{
    const struct bitmap_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    AUTO_FREE struct bitmap_action *actions = mem_new(a->actions.n, sizeof *actions, &e);
    if (!actions)
        return command_fail(&e);
    size_t n = actions_fill(&a->actions, actions);
    const char *misuse = find_misuse(a, actions, n, r->operands.n);
    if (misuse) {
        err_set(&e, 0, "%s", misuse);
        return command_fail(&e);
    }
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    struct bitmap_job job = {
        .name = r->operands.text[1], .granularity = a->granularity, .actions = actions, .n = n};
    return objects == OBJECT_BAD || change(a, &job, r->operands.text[0], secrets, &e)
               ? command_fail(&e)
               : 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define ACTION(word, text)                                                                         \
    {                                                                                              \
        .name = #word, .take = TAKE_VALUE, .call = take_##word,                                    \
        .offset = offsetof(struct bitmap_args, actions), .help = (text), .syntax = ""              \
    }

static const struct option_row bitmap_rows[] = {
    ROW_HELP,
    {.name = "merge",
     .metavar = "SOURCE",
     .take = TAKE_LIST,
     .call = take_merge,
     .offset = offsetof(struct bitmap_args, actions),
     .syntax = "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)...",
     .help = "Set in the bitmap what is set in bitmap SOURCE, of the same image or of the one "
             "that -b names; they may differ in granularity, not in the size of the disk"},
    ACTION(add, "Make the bitmap, enabled and clear"),
    ACTION(remove, "Remove the bitmap; the only thing that can be done with an inconsistent one"),
    ACTION(clear, "Clear all bits"),
    ACTION(enable, "From now on writes to the image set bits in the bitmap"),
    ACTION(disable, "From now on they do not"),
    {.letter = 'b',
     .name = "source-file",
     .metavar = "source_file",
     .take = TAKE_TEXT,
     .offset = offsetof(struct bitmap_args, source_file),
     .syntax = "[-b source_file [-F source_fmt]]",
     .help = "Find the bitmaps that --merge names in this image"},
    {.letter = 'F',
     .name = "source-format",
     .metavar = "source_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct bitmap_args, source_format),
     .syntax = "",
     .help = "Format of the image that -b names"},
    {.letter = 'g',
     .name = "granularity",
     .metavar = "granularity",
     .take = TAKE_VALUE,
     .call = take_granularity,
     .offset = offsetof(struct bitmap_args, granularity),
     .help = "Bytes that a bit of the new bitmap stands for: a power of two from 512 to 2G "
             "(default: the image's cluster size, but from 4k to 64k)"},
    ROW_OBJECT(struct bitmap_args, image.objects),
    ROW_IMAGE_OPTS(struct bitmap_args, image.image_opts),
    ROW_TEXT('f', "format", "fmt", struct bitmap_args, image.format, "Format of the image"),
    ROWS_SAFETY(struct bitmap_args, image.safety),
    {0},
};

const struct command command_bitmap = {
    .name = "bitmap",
    .summary = "Change persistent bitmaps of a qcow2 image",
    .operands = "filename bitmap",
    .description =
        "A persistent bitmap tells which parts of the disk were written to since it was made or "
        "cleared. The actions are done in their order; if one fails, those before it stay done.\n\n"
        "A bitmap that was in use when a program ended without closing the image is inconsistent: "
        "it can be removed only.",
    .rows = bitmap_rows,
    .args_size = sizeof(struct bitmap_args),
    .run = bitmap_main,
};
