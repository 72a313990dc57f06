#include "cli/option.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"

#define ROWS_MAX  64
#define LONG_BASE 256 /* a long name's code: LONG_BASE + its row */

/* ---- lists ----------------------------------------------------------------------------------- */

int text_list_add(struct text_list *l, const char *text, struct err *e)
{
    const char **grown = mem_grow(l->item, l->n + 1, sizeof *grown, e);
    if (!grown)
        return -1;
    l->item = grown;
    l->item[l->n++] = text;
    return 0;
}

void text_list_release(struct text_list *l)
{
    free(l->item);
    *l = (struct text_list){0};
}

char *text_list_join(const struct text_list *l, struct err *e)
{
    size_t len = 1;
    for (size_t i = 0; i < l->n; i++)
        len += strlen(l->item[i]) + 1;
    char *out = mem_new(len, 1, e);
    if (!out)
        return NULL;
    char *at = out;
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            *at++ = ',';
        at = stpcpy(at, l->item[i]);
    }
    return out;
}

/* ---- getopt's view of the table -------------------------------------------------------------- */

struct getopt_tables {
    char letters[2 + 2 * ROWS_MAX + 1];
    struct option names[ROWS_MAX + 1];
};

static void getopt_tables_fill(struct getopt_tables *t, const struct option_row *rows,
                               bool first_only)
{
    char *at = stpcpy(t->letters, first_only ? "+:" : ":");
    struct option *name = t->names;
    for (int i = 0; i < ROWS_MAX && !option_row_ends(&rows[i]); i++) {
        int has_arg = rows[i].may_lack  ? optional_argument
                      : rows[i].metavar ? required_argument
                                        : no_argument;
        if (rows[i].letter) {
            *at++ = rows[i].letter;
            if (has_arg == required_argument)
                *at++ = ':';
        }
        if (rows[i].name)
            *name++ = (struct option){rows[i].name, has_arg, NULL, LONG_BASE + i};
    }
    *at = '\0';
    *name = (struct option){0};
}

static const struct option_row *option_row_of(const struct option_row *rows, int code)
{
    if (code >= LONG_BASE)
        return &rows[code - LONG_BASE];
    for (; code && !option_row_ends(rows); rows++)
        if (rows->letter == code)
            return rows;
    return NULL;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Inside a group of letters ("-Uzq") getopt still stands at the group, after it, or after any long
 * option, it has passed on. */
static const char *option_culprit(int argc, char **argv, const struct option_row *rows)
{
    const char *passed = argv[optind - 1];
    size_t n = strlen(passed);
    bool unknown_letter = optopt && optopt < LONG_BASE && !option_row_of(rows, optopt);
    bool ends_group = n && passed[0] == '-' && passed[1] != '-' && passed[n - 1] == optopt;
    return unknown_letter && !ends_group && optind < argc ? argv[optind] : passed;
}

static int option_store(const struct option_row *row, const char *value, void *args, struct err *e)
{
    void *field = (char *)args + row->offset;
    if (row->call && row->call(field, value, e))
        return -1;
    switch (row->take) {
    case TAKE_FLAG:
        *(bool *)field = true;
        return 0;
    case TAKE_TEXT:
        *(const char **)field = value;
        return 0;
    case TAKE_LIST:
        return text_list_add(field, value, e);
    case TAKE_VALUE:
    case TAKE_HELP:
        break;
    }
    return 0;
}

enum option_outcome option_parse(const struct option_row *rows, bool first_only, int argc,
                                 char **argv, void *args, struct operands *out, struct err *e)
{
    struct getopt_tables t;
    getopt_tables_fill(&t, rows, first_only);
    opterr = 0;
    optind = 0; /* glibc: start over */
    int code;
    while ((code = getopt_long(argc, argv, t.letters, t.names, NULL)) != -1) {
        if (code == ':' || code == '?') {
            const char *shown = code == ':' ? argv[optind - 1] : option_culprit(argc, argv, rows);
            err_set(e, EINVAL,
                    code == ':' ? "missing argument for option '%s'" : "unrecognized option '%s'",
                    shown);
            message_usage(e);
            return OPTION_BAD;
        }
        const struct option_row *row = option_row_of(rows, code);
        if (row->take == TAKE_HELP)
            return OPTION_WANT_HELP;
        if (option_store(row, optarg, args, e))
            return OPTION_BAD;
    }
    *out = (struct operands){argv + optind, argc - optind};
    return OPTION_OK;
}

/* "-1G": no option is a digit. */
static bool is_negative(const char *text)
{
    return text[0] == '-' && text[1] >= '0' && text[1] <= '9';
}

/* Which argument is the size: the last one, unless that is an option. 0 = leave it to parsing. */
static int size_find(int argc, char **argv)
{
    const char *last = argv[argc - 1];
    if (argc < 2 || last[0] != '-' || is_negative(last))
        return argc - 1;
    for (int i = argc - 1; i > 0; i--)
        if (is_negative(argv[i]))
            return i;
    return 0;
}

enum option_outcome option_parse_size_last(const struct option_row *rows, int argc, char **argv,
                                           void *args, struct operands *out, struct err *e)
{
    int at = size_find(argc, argv);
    if (!at)
        return option_parse(rows, false, argc, argv, args, out, e);
    char *size = argv[at];
    memmove(&argv[at], &argv[at + 1], (size_t)(argc - 1 - at) * sizeof *argv);
    argv[argc - 1] = NULL; /* as the end of a command line is */
    enum option_outcome outcome = option_parse(rows, false, argc - 1, argv, args, out, e);
    argv[argc - 1] = size;
    out->n++;
    return outcome;
}

void option_release(const struct option_row *rows, void *args)
{
    for (; !option_row_ends(rows); rows++)
        if (rows->take == TAKE_LIST)
            text_list_release((struct text_list *)((char *)args + rows->offset));
}
