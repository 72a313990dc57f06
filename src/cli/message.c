#include "cli/message.h"

#include <stdio.h>
#include <string.h>

static const char *program = "mpi-img";
static bool silent;
static bool held;
static char kept[2048]; /* what was said meanwhile; what does not fit is lost */

void message_init(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *name = slash ? slash + 1 : argv0;
    if (name && *name)
        program = name;
}

const char *message_program(void)
{
    return program;
}

void message_silence(void)
{
    silent = true;
    if (!freopen("/dev/null", "w", stdout))
        fclose(stdout);
}

void message_error(const struct err *e)
{
    if (silent)
        return;
    for (const char *line = e->text; line;) {
        size_t n = strcspn(line, "\n");
        fprintf(stderr, "%s: %.*s\n", program, (int)n, line);
        line = line[n] ? line + n + 1 : NULL;
    }
    size_t n = strlen(e->hint);
    if (n)
        fprintf(stderr, "%s%s", e->hint, e->hint[n - 1] == '\n' ? "" : "\n");
}

void message_hold(void)
{
    held = true;
}

void message_go_on(void)
{
    if (held && !silent)
        fputs(kept, stderr);
    held = false;
}

void message_warning(const char *text)
{
    size_t n = strlen(kept);
    if (held)
        snprintf(kept + n, sizeof kept - n, "%s: warning: %s\n", program, text);
    else if (!silent)
        fprintf(stderr, "%s: warning: %s\n", program, text);
}

void message_warning_at(const char *file, unsigned line, const char *text)
{
    if (!silent)
        fprintf(stderr, "%s:%s:%u: warning: %s\n", program, file, line, text);
}

void message_error_at(const char *file, const char *text)
{
    if (!silent)
        fprintf(stderr, "%s:%s: %s\n", program, file, text);
}

void message_line(const char *text)
{
    if (!silent)
        fprintf(stderr, "%s\n", text);
}

void message_error_line(const char *text)
{
    if (!silent)
        fprintf(stderr, "%s: %s\n", program, text);
}

void message_guessed_raw(const char *name)
{
    if (silent)
        return;
    fprintf(stderr,
            "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write "
            "operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n",
            name);
}

int message_usage(struct err *e)
{
    return err_hint(e, "Try '%s --help' for more information", program);
}
