#include "cmd/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/open.h"
#include "formats/protocol.h"
#include "image/node.h"

int target_options(const struct format *format, const json_t *spec, const struct text_list *lists,
                   struct options **out, struct err *e)
{
    AUTO_FREE char *text = text_list_join(lists, e);
    return text ? wanted_options(format, spec, text, out, e) : -1;
}

/* ---- help ------------------------------------------------------------------------------------ */

#define HELP_MAX 64 /* options of one format and its protocol */

struct help_list {
    const struct option_def *def[HELP_MAX];
    size_t n;
};

static bool help_list_has(const struct help_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->def[i]->name, name) == 0)
            return true;
    return false;
}

/* Kept sorted by name. */
static void help_list_add(struct help_list *l, const struct option_def *table)
{
    for (; table->name && l->n < HELP_MAX; table++) {
        if (help_list_has(l, table->name))
            continue;
        size_t i = l->n++;
        for (; i && strcmp(l->def[i - 1]->name, table->name) > 0; i--)
            l->def[i] = l->def[i - 1];
        l->def[i] = table;
    }
}

static void help_list_print(const struct help_list *l)
{
    static const char *const types[] = {[OPTION_STR] = "<str>",
                                        [OPTION_SIZE] = "<size>",
                                        [OPTION_NUM] = "<num>",
                                        [OPTION_BOOL] = "<bool (on/off)>"};
    for (size_t i = 0; i < l->n; i++) {
        const char *type = types[l->def[i]->type];
        int n = printf("  %s=%s", l->def[i]->name, type);
        printf("%*s - %s\n", n < 24 ? 24 - n : 0, "", l->def[i]->help);
    }
}

void target_help_table(const struct option_def *table)
{
    struct help_list list = {0};
    help_list_add(&list, table);
    help_list_print(&list);
}

bool target_wants_help(const struct text_list *lists)
{
    for (size_t i = 0; i < lists->n; i++)
        if (options_want_help(lists->item[i]))
            return true;
    return false;
}

int target_help(const char *format_name, const char *name, struct err *e)
{
    const struct format *format = wanted_format_creatable(format_name, e);
    struct help_list list = {0};
    AUTO(json_cleanup) json_t *spec = format && name ? wanted_spec(name, e) : NULL;
    if (!format || (name && !spec))
        return -1;
    help_list_add(&list, format->create_options);
    if (name)
        help_list_add(&list, protocol_options_of(wanted_protocol(spec)));
    if (name)
        printf("Supported options:\n");
    else
        printf("Supported %s options:\n", format->name);
    help_list_print(&list);
    if (!name)
        printf("\nThe protocol level may support further options.\n"
               "Specify the target filename to include those options.\n");
    return 0;
}
