/*
 * One table a subcommand: its options and operands. The table feeds parsing, --help, the manual
 * page and shell completion.
 */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* ---- the table ------------------------------------------------------------------------------- */

enum option_take {
    TAKE_FLAG,  /* bool: set */
    TAKE_TEXT,  /* const char *: the last one counts */
    TAKE_LIST,  /* struct text_list: all of them, in order */
    TAKE_VALUE, /* whatever `call` makes of it */
    TAKE_HELP   /* end of parsing: help is asked for */
};

struct option_row {
    char letter;         /* 0 = long only */
    const char *name;    /* long name; NULL = letter only, and no letter = end of the table */
    const char *metavar; /* of the argument; NULL = none */
    bool may_lack; /* the long name's argument may be left out, the letter has none: TAKE_VALUE
                    * whose call gets NULL then */
    enum option_take take;
    size_t offset; /* of the field in the subcommand's arguments */
    /* Check the value, and store it for TAKE_VALUE. Runs in the order of the command line. */
    int (*call)(void *field, const char *value, struct err *e);
    const char *help;   /* a sentence without its full stop */
    const char *syntax; /* how the syntax line shows it; NULL = by the rules, "" = not at all */
};

/* Rows that several subcommands have. `type` is their struct of arguments. */
#define ROW_HELP                                                                                   \
    {                                                                                              \
        .letter = 'h', .name = "help", .take = TAKE_HELP, .syntax = "",                            \
        .help = "Show help and exit"                                                               \
    }
#define ROW_FLAG(l, n, type, field, text)                                                          \
    {                                                                                              \
        .letter = (l), .name = (n), .take = TAKE_FLAG, .offset = offsetof(type, field),            \
        .help = (text)                                                                             \
    }
#define ROW_TEXT(l, n, meta, type, field, text)                                                    \
    {                                                                                              \
        .letter = (l), .name = (n), .metavar = (meta), .take = TAKE_TEXT,                          \
        .offset = offsetof(type, field), .help = (text)                                            \
    }
#define ROW_OBJECT(type, field)                                                                    \
    {                                                                                              \
        .name = "object", .metavar = "objectdef", .take = TAKE_LIST,                               \
        .offset = offsetof(type, field),                                                           \
        .help = "Define a secret that other options name, e.g. secret,id=sec0,file=key.txt"        \
    }
#define ROW_IMAGE_OPTS(type, field)                                                                \
    ROW_FLAG(0, "image-opts", type, field,                                                         \
             "Take file names as key=value lists (driver=qcow2,file.filename=x); not with -f")
#define ROW_FORCE_SHARE(type, field)                                                               \
    ROW_FLAG('U', "force-share", type, field,                                                      \
             "Open images that another process is writing; what is read may be inconsistent")
#define ROW_QUIET(type, field)                                                                     \
    ROW_FLAG('q', "quiet", type, field, "Print errors only; no progress either")
#define ROW_OUTPUT(type, field)                                                                    \
    ROW_TEXT(0, "output", "ofmt", type, field, "Print as human (default) or json")

/* ---- what parsing gives ---------------------------------------------------------------------- */

struct text_list {
    const char **item; /* the texts are borrowed from argv */
    size_t n;
};

int text_list_add(struct text_list *l, const char *text, struct err *e);
void text_list_release(struct text_list *l);
/* All items with commas between; NULL when out of memory. free() it. */
char *text_list_join(const struct text_list *l, struct err *e);

struct operands {
    char **text; /* part of argv */
    int n;
};

enum option_outcome {
    OPTION_OK,
    OPTION_WANT_HELP,
    OPTION_BAD /* the error is whole, with the line that follows usage errors */
};

/*
 * Parse argv[1] and on as GNU getopt does: options may follow operands unless `first_only`, "--"
 * ends them, long names may be cut short. `args` is the struct that the rows' offsets are about.
 * The error of the first bad option in the order of the command line is reported.
 */
enum option_outcome option_parse(const struct option_row *rows, bool first_only, int argc,
                                 char **argv, void *args, struct operands *out, struct err *e);

/* The same for a command line that ends with a size, "-1G" too; options may follow it nevertheless.
 */
enum option_outcome option_parse_size_last(const struct option_row *rows, int argc, char **argv,
                                           void *args, struct operands *out, struct err *e);

/* Free what TAKE_LIST rows hold. */
void option_release(const struct option_row *rows, void *args);

static inline bool option_row_ends(const struct option_row *row)
{
    return !row->letter && !row->name;
}

#endif
