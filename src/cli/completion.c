#include "cli/completion.h"

#include "cli/words.h"
#include "formats/format.h"

static void completion_names(FILE *out, const struct command *c)
{
    fprintf(out, "        %s) options='", c->name);
    for (const struct option_row *row = c->rows; !option_row_ends(row); row++) {
        if (row->letter)
            fprintf(out, "-%c ", row->letter);
        if (row->name)
            fprintf(out, "--%s%s ", row->name, row->metavar && !row->may_lack ? "=" : "");
    }
    fprintf(out, "' ;;\n");
}

/* What follows an option: "command:-f|command:--format)". */
static void completion_value(FILE *out, const struct command *c, const struct option_row *row)
{
    const struct word *w = word_find(row->metavar);
    if (!row->metavar || row->may_lack)
        return;
    fputs("        ", out);
    if (row->letter)
        fprintf(out, "%s:-%c%s", c->name, row->letter, row->name ? "|" : "");
    if (row->name)
        fprintf(out, "%s:--%s", c->name, row->name);
    switch (w ? w->kind : WORD_ANY) {
    case WORD_FORMAT:
        fprintf(out, ") words=$formats ;;\n");
        break;
    case WORD_CHOICE:
        fprintf(out, ") words='%s' ;;\n", w->choices);
        break;
    case WORD_FILE:
        fprintf(out, ") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
        break;
    case WORD_ANY:
        fprintf(out, ") return ;;\n");
        break;
    }
}

static void completion_head(FILE *out, const struct command *const *all)
{
    fprintf(out,
            "# bash completion for mpi-img                                -*- shell-script -*-\n"
            "\n"
            "_mpi_img() {\n"
            "    local cur prev words cword command= options= i\n"
            "    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
            "    # readline cuts at '=': --output=json is three words\n"
            "    if [[ $cur == = ]]; then\n"
            "        cur=\n"
            "    elif [[ $prev == = ]]; then\n"
            "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
            "    fi\n"
            "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
            "        if [[ ${COMP_WORDS[i]} != -* ]]; then\n"
            "            command=${COMP_WORDS[i]}\n"
            "            break\n"
            "        fi\n"
            "    done\n"
            "    local formats='");
    for (const struct format *const *f = format_all; *f; f++)
        fprintf(out, "%s ", (*f)->name);
    fprintf(out, "'\n"
                 "    if [[ -z $command ]]; then\n"
                 "        COMPREPLY=($(compgen -W '--help --version");
    for (const struct command *const *c = all; *c; c++)
        fprintf(out, " %s", (*c)->name);
    fprintf(out, "' -- \"$cur\"))\n"
                 "        return\n"
                 "    fi\n");
}

void completion_print(FILE *out, const struct command *const *all)
{
    completion_head(out, all);
    fprintf(out, "    case $command:$prev in\n");
    for (const struct command *const *c = all; *c; c++)
        for (const struct option_row *row = (*c)->rows; !option_row_ends(row); row++)
            completion_value(out, *c, row);
    fprintf(out, "    esac\n"
                 "    if [[ -n ${words:-} ]]; then\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "        return\n"
                 "    fi\n"
                 "    if [[ $cur != -* ]]; then\n"
                 "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                 "        return\n"
                 "    fi\n"
                 "    case $command in\n");
    for (const struct command *const *c = all; *c; c++)
        completion_names(out, *c);
    fprintf(out, "    esac\n"
                 "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                 "    [[ ${COMPREPLY[0]:-} == *= ]] && compopt -o nospace\n"
                 "}\n"
                 "complete -o filenames -F _mpi_img mpi-img\n");
}
