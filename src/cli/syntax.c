#include "cli/syntax.h"

#include <string.h>

#include "cli/command.h"

static void syntax_option(FILE *out, const struct option_row *row)
{
    if (row->syntax)
        fprintf(out, "%s%s", *row->syntax ? " " : "", row->syntax);
    else if (row->letter && row->metavar && !row->may_lack)
        fprintf(out, " [-%c %s]", row->letter, row->metavar);
    else if (row->letter)
        fprintf(out, " [-%c]", row->letter);
    else if (row->may_lack)
        return;
    else if (row->metavar && strcmp(row->name, "object") == 0)
        fprintf(out, " [--%s %s]", row->name, row->metavar);
    else if (row->metavar)
        fprintf(out, " [--%s=%s]", row->name, row->metavar);
    else
        fprintf(out, " [--%s]", row->name);
}

void syntax_print(FILE *out, const struct command *c)
{
    fputs(c->name, out);
    for (const struct option_row *row = c->rows; !option_row_ends(row); row++)
        syntax_option(out, row);
    fprintf(out, " %s\n", c->operands);
}

void syntax_row(FILE *out, const struct option_row *row)
{
    if (row->letter)
        fprintf(out, "-%c%s", row->letter, row->name ? ", " : "");
    if (row->name)
        fprintf(out, "--%s", row->name);
    if (row->may_lack)
        fprintf(out, "[=%s]", row->metavar);
    else if (row->metavar)
        fprintf(out, "%c%s", row->name ? '=' : ' ', row->metavar);
}

void syntax_wrap(FILE *out, const char *text, unsigned at, unsigned indent, unsigned width)
{
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (!first && at + 1 + n > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", (int)n, text);
        at += (unsigned)n + !first;
        first = false;
        text += n + strspn(text + n, " ");
    }
    putc('\n', out);
}
