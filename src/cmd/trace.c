#include "cmd/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/trace.h"
#include "cli/message.h"

/* One -T: [[enable=]PATTERN][,events=FILE][,file=FILE]; a comma in a value is written twice. */
struct trace_request {
    const char *enable, *events, *file;
};

static int trace_list(void)
{
    for (unsigned i = 0; i < TRACE_N; i++)
        printf("%s\n", trace_name(i));
    return 0;
}

/* Ends the part that begins at `at`, with its double commas made one; the next part, or NULL. */
static char *trace_part_end(char *at)
{
    char *to = at;
    for (; *at; *to++ = *at++) {
        if (*at != ',')
            continue;
        if (at[1] != ',')
            break;
        at++;
    }
    char *next = *at ? at + 1 : NULL;
    *to = '\0';
    return next;
}

static int trace_take_part(struct trace_request *r, char *part, bool first, struct err *e)
{
    const struct {
        const char *key;
        const char **field;
    } keys[] = {{"enable", &r->enable}, {"events", &r->events}, {"file", &r->file}};
    char *value = strchr(part, '=');
    if (!value && first) {
        r->enable = part;
        return 0;
    }
    if (value)
        *value++ = '\0';
    for (size_t i = 0; value && i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(part, keys[i].key) == 0) {
            *keys[i].field = value;
            return 0;
        }
    }
    return err_set(e, EINVAL, "Invalid parameter '%s'", part);
}

static int trace_parse(struct trace_request *r, char *text, struct err *e)
{
    char *part = text, *next;
    for (bool first = true; part; part = next, first = false) {
        next = trace_part_end(part);
        if (*part && trace_take_part(r, part, first, e))
            return -1;
    }
    return 0;
}

static void trace_unknown(const char *name, const char *file, unsigned line)
{
    char text[256];
    snprintf(text, sizeof text, "trace event '%.200s' does not exist", name);
    if (file)
        message_warning_at(file, line, text);
    else
        message_warning(text);
}

/* A pattern a line; '#' begins a comment. */
static int trace_events(const char *path)
{
    char line[512];
    FILE *f = fopen(path, "r");
    if (!f) {
        message_error_at(path, strerror(errno));
        return -1;
    }
    for (unsigned number = 1; fgets(line, sizeof line, f); number++) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line && *line != '#' && !trace_enable(line))
            trace_unknown(line, path, number);
    }
    fclose(f);
    return 0;
}

static int trace_file(const char *path, unsigned rank, struct err *e)
{
    AUTO_FREE char *own = rank ? mem_printf(e, "%s.%u", path, rank) : mem_strdup(path, e);
    return own ? trace_to_file(own, e) : -1;
}

static enum trace_outcome trace_apply(const struct trace_request *r, unsigned rank, struct err *e)
{
    const char *enable = r->enable;
    if (enable && (strcmp(enable, "help") == 0 || strcmp(enable, "?") == 0)) {
        trace_list();
        return TRACE_HELPED;
    }
    if (enable && *enable && !trace_enable(enable))
        trace_unknown(enable, NULL, 0);
    if (r->events && trace_events(r->events))
        return TRACE_BAD;
    return r->file && trace_file(r->file, rank, e) ? TRACE_BAD : TRACE_SET;
}

enum trace_outcome trace_options(const struct text_list *values, unsigned rank, struct err *e)
{
    enum trace_outcome outcome = TRACE_SET;
    for (size_t i = 0; i < values->n && outcome == TRACE_SET; i++) {
        struct trace_request r = {0};
        AUTO_FREE char *text = mem_strdup(values->item[i], e);
        outcome = text && !trace_parse(&r, text, e) ? trace_apply(&r, rank, e) : TRACE_BAD;
    }
    return outcome;
}
