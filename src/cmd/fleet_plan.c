#include "cmd/fleet_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"
#include "cli/size.h"
#include "cmd/open.h"
#include "fleet/order.h"

#define COLUMNS   8
#define CELL_MAX  4200
#define NAME_WIDE 60 /* longer names move their line's other cells */

/* image, from, to, virtual, target, how, after */
struct line {
    char cell[COLUMNS][64];
    char *name;
};

struct table {
    const struct manifest *m;
    const struct plan_row *rows;
    const bool *skip;
    uint64_t whole_below;
    const char *here;
    size_t width[COLUMNS];
    size_t wrong, todo, done;
    uint64_t virtual_size, target_size;
    size_t not_measured;
};

static const char *const heads[COLUMNS] = {"line",    "image",  "from",     "to",
                                           "virtual", "target", "image is", "after line"};

enum column { LINE, IMAGE, FROM, TO, VIRTUAL, TARGET, HOW, AFTER };

static const char *text_of(const json_t *record, const char *key, const char *absent)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : absent;
}

#define CELL(l, column, ...) snprintf((l)->cell[column], sizeof(l)->cell[column], __VA_ARGS__)

static void fill_sizes(struct line *l, const struct plan_row *row)
{
    char text[SIZE_HUMAN_MAX];
    if (row->why) {
        CELL(l, VIRTUAL, "-");
        CELL(l, TARGET, "-");
        return;
    }
    size_human(row->virtual_size, text);
    CELL(l, VIRTUAL, "%s", text);
    size_human(row->target_size == PLAN_UNKNOWN ? row->needs : row->target_size, text);
    CELL(l, TARGET, "%s%s", row->target_size == PLAN_UNKNOWN ? "~ " : "", text);
}

static const char *how(const struct table *t, size_t i)
{
    if (t->skip[i])
        return "done";
    if (t->rows[i].why)
        return "wrong";
    return manifest_item(t->m, i)->bytes >= t->whole_below ? "spread" : "whole";
}

static int fill(const struct table *t, size_t i, struct line *l, struct err *e)
{
    const struct manifest_item *item = manifest_item(t->m, i);
    const struct plan_row *row = &t->rows[i];
    AUTO(json_cleanup) json_t *record = manifest_record(t->m, i, e);
    if (!record)
        return -1;
    const char *target = text_of(record, "target", "");
    size_t n = strlen(t->here);
    l->name = mem_strdup(strncmp(target, t->here, n) ? target : target + n, e);
    if (!l->name)
        return -1;
    CELL(l, LINE, "%u", item->line);
    CELL(l, FROM, "%s",
         *row->source_format ? row->source_format : text_of(record, "source_format", "-"));
    CELL(l, TO, "%s%s", text_of(record, "target_format", "raw"), item->compress ? " -c" : "");
    CELL(l, HOW, "%s", how(t, i));
    CELL(l, AFTER, "-");
    if (item->after != ORDER_NONE)
        CELL(l, AFTER, "%u", manifest_item(t->m, item->after)->line);
    if (t->skip[i])
        CELL(l, VIRTUAL, "-"), CELL(l, TARGET, "-");
    else
        fill_sizes(l, row);
    return 0;
}

static bool is_number(enum column c)
{
    return c == LINE || c == VIRTUAL || c == TARGET;
}

static void print_cell(const struct table *t, enum column c, const char *text)
{
    int width = (int)t->width[c];
    if (c == AFTER)
        printf("%s\n", text);
    else
        printf(is_number(c) ? "%*s  " : "%-*s  ", width, text);
}

static void take_width(struct table *t, enum column c, const char *text)
{
    size_t n = strlen(text);
    if (c == IMAGE && n > NAME_WIDE)
        n = NAME_WIDE;
    if (n > t->width[c])
        t->width[c] = n;
}

static int each_line(struct table *t, bool print, struct err *e)
{
    for (size_t i = 0; i < manifest_count(t->m); i++) {
        struct line l = {.name = NULL};
        if (fill(t, i, &l, e))
            return -1;
        for (unsigned c = 0; c < COLUMNS; c++) {
            const char *text = c == IMAGE ? l.name : l.cell[c];
            if (print)
                print_cell(t, c, text);
            else
                take_width(t, c, text);
        }
        free(l.name);
    }
    return 0;
}

static void add_up(struct table *t)
{
    for (size_t i = 0; i < manifest_count(t->m); i++) {
        const struct plan_row *row = &t->rows[i];
        t->done += t->skip[i];
        t->wrong += row->why != NULL;
        if (t->skip[i] || row->why)
            continue;
        bool known = row->target_size != PLAN_UNKNOWN;
        t->todo++;
        t->virtual_size += row->virtual_size;
        t->target_size += known ? row->target_size : row->needs;
        t->not_measured += !known;
    }
}

static void print_totals(const struct table *t)
{
    char virtual_size[SIZE_HUMAN_MAX], target_size[SIZE_HUMAN_MAX];
    size_human(t->virtual_size, virtual_size);
    size_human(t->target_size, target_size);
    printf("\n%zu images: %zu to do, %zu done before, %zu that cannot be made\n",
           manifest_count(t->m), t->todo, t->done, t->wrong);
    printf("virtual %s, targets %s\n", virtual_size, target_size);
    if (t->not_measured)
        printf("~ of %zu the bytes of data: the format cannot be measured, or a backing image "
               "holds the rest\n",
               t->not_measured);
}

static int say_wrong(const struct table *t, struct err *e)
{
    size_t said = 0;
    for (size_t i = 0; i < manifest_count(t->m) && said < MANIFEST_WRONG_MAX; i++) {
        if (!t->rows[i].why)
            continue;
        AUTO(json_cleanup) json_t *record = manifest_record(t->m, i, e);
        if (!record)
            return -1;
        err_set(e, 0, "%s: %s", text_of(record, "target", ""), t->rows[i].why);
        message_error(e);
        err_clear(e);
        said++;
    }
    return 0;
}

int fleet_plan_print(const struct manifest *m, const struct plan_row *rows, const bool *skip,
                     uint64_t whole_below, const char *here, size_t *wrong, struct err *e)
{
    struct table t = {.m = m, .rows = rows, .skip = skip, .whole_below = whole_below, .here = here};
    for (unsigned c = 0; c < COLUMNS; c++)
        take_width(&t, c, heads[c]);
    add_up(&t);
    *wrong = t.wrong;
    if (each_line(&t, false, e))
        return -1;
    for (unsigned c = 0; c < COLUMNS; c++)
        print_cell(&t, c, heads[c]);
    if (each_line(&t, true, e))
        return -1;
    print_totals(&t);
    return say_wrong(&t, e);
}

/* ---- room ------------------------------------------------------------------------------------ */

void fleet_space_print(const struct space *s)
{
    char needs[SIZE_HUMAN_MAX], packed[SIZE_HUMAN_MAX], room[SIZE_HUMAN_MAX];
    for (unsigned i = 0; i < s->n; i++) {
        const struct space_store *store = &s->store[i];
        size_human(store->needs, needs);
        size_human(store->packed, packed);
        size_human(store->free, room);
        printf("%s: needed %s", store->folder, needs);
        if (store->packed)
            printf(", and at most %s for what is compressed", packed);
        if (store->free == PLAN_UNKNOWN)
            printf(", free: not known\n");
        else
            printf(", free %s%s\n", room, space_lacks(store) ? ": NOT ENOUGH" : "");
    }
}

int fleet_space_check(const struct space *s, struct err *e)
{
    char needs[SIZE_HUMAN_MAX], room[SIZE_HUMAN_MAX];
    for (unsigned i = 0; i < s->n; i++) {
        const struct space_store *store = &s->store[i];
        if (!space_lacks(store))
            continue;
        size_human(store->needs, needs);
        size_human(store->free, room);
        return err_set(e, ENOSPC,
                       "The targets need about %s on the file system of '%s', which has %s free",
                       needs, store->folder, room);
    }
    return 0;
}
