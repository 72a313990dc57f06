#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/syntax.h"
#include "cli/version.h"
#include "cli/words.h"
#include "formats/format.h"
#include "formats/safety.h"

#define HELP_WIDTH  78
#define HELP_COLUMN 28

static void help_head(FILE *out, const struct command *const *all)
{
    version_print(out);
    fprintf(out,
            "usage: %s [standard options] command [command options]\n"
            "Disk image utility for one machine or many\n"
            "\n"
            "    '-h', '--help'       display this help and exit; after a command: help on it\n"
            "    '-V', '--version'    output version information and exit\n"
            "    '-T', '--trace'      [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
            "                         specify tracing options\n"
            "\n"
            "Command syntax:\n",
            message_program());
    for (const struct command *const *c = all; *c; c++) {
        fputs("  ", out);
        syntax_print(out, *c);
    }
}

static void help_words(FILE *out)
{
    fprintf(out, "\nCommand parameters:\n");
    for (const struct word *w = word_all; w->name; w++) {
        if (!w->help)
            continue;
        int n = fprintf(out, "  '%s' ", w->name);
        syntax_wrap(out, w->help, (unsigned)n, 4, HELP_WIDTH);
    }
}

static void help_row(FILE *out, const struct option_row *row)
{
    char shown[128];
    FILE *text = fmemopen(shown, sizeof shown, "w");
    if (!text)
        return;
    syntax_row(text, row);
    fclose(text);
    int n = fprintf(out, "  %s", shown);
    if (n + 2 > HELP_COLUMN) {
        fprintf(out, "\n");
        n = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - n, "");
    syntax_wrap(out, row->help, HELP_COLUMN, HELP_COLUMN, HELP_WIDTH);
}

static void help_options(FILE *out, const struct command *c)
{
    fprintf(out, "\nParameters to %s subcommand:\n", c->name);
    for (const struct option_row *row = c->rows; !option_row_ends(row); row++)
        if (row->take != TAKE_HELP)
            help_row(out, row);
}

void help_print(FILE *out, const struct command *const *all)
{
    help_head(out, all);
    help_words(out);
    for (const struct command *const *c = all; *c; c++)
        help_options(out, *c);
    fprintf(out, "\nSupported formats:");
    for (const struct format *const *f = format_all; *f; f++)
        fprintf(out, " %s", (*f)->name);
    putc('\n', out);
}

static void help_paragraphs(FILE *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        char *paragraph = strndup(text, n);
        putc('\n', out);
        if (paragraph)
            syntax_wrap(out, paragraph, 0, 0, HELP_WIDTH);
        free(paragraph);
        text += n + (end ? 2 : 0);
    }
}

static bool help_has_safe(const struct command *c)
{
    for (const struct option_row *row = c->rows; !option_row_ends(row); row++)
        if (row->name && strcmp(row->name, "safe") == 0)
            return true;
    return false;
}

static void help_word(FILE *out, const char *name, const char *help)
{
    int n = fprintf(out, "  %s", name);
    if (n + 2 > HELP_COLUMN) {
        fprintf(out, "\n");
        n = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - n, "");
    syntax_wrap(out, help, HELP_COLUMN, HELP_COLUMN, HELP_WIDTH);
}

static void help_checks(FILE *out, const struct safety_check *list)
{
    for (const struct safety_check *c = list; c && c->name; c++)
        help_word(out, c->name, c->help);
}

static void help_safe(FILE *out)
{
    fprintf(out, "\nChecks of --safe:\n");
    help_checks(out, safety_common);
    for (const struct format *const *f = format_all; *f; f++)
        help_checks(out, (*f)->safety);
}

void help_command(FILE *out, const struct command *c)
{
    fprintf(out, "Usage:\n  %s ", message_program());
    syntax_print(out, c);
    fprintf(out, "\n%s.\n", c->summary);
    help_paragraphs(out, c->description);
    fprintf(out, "\nArguments:\n");
    for (const struct option_row *row = c->rows; !option_row_ends(row); row++)
        help_row(out, row);
    const char *name, *help;
    if (c->word)
        fprintf(out, "\n%s:\n", c->words);
    for (size_t i = 0; c->word && c->word(i, &name, &help); i++)
        help_word(out, name, help);
    if (help_has_safe(c))
        help_safe(out);
}
