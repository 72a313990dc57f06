#include "cmd/object.h"

#include <stdio.h>

#include "base/mem.h"

static enum object_outcome object_load_here(const struct text_list *texts, struct secrets **out,
                                            struct err *e)
{
    AUTO(secrets_cleanup) struct secrets *s = texts->n ? secrets_new(e) : NULL;
    const char *answer;
    *out = NULL;
    if (texts->n && !s)
        return OBJECT_BAD;
    for (size_t i = 0; i < texts->n; i++) {
        if (secrets_help(texts->item[i], &answer)) {
            fputs(answer, stdout);
            return OBJECT_HELPED;
        }
        if (secrets_add(s, texts->item[i], e))
            return OBJECT_BAD;
    }
    *out = MEM_TAKE(s);
    return OBJECT_OK;
}

enum object_outcome object_load(struct engine *g, const struct text_list *texts,
                                struct secrets **out, struct err *e)
{
    enum object_outcome outcome = object_load_here(texts, out, e);
    if (!g || !texts->n)
        return outcome;
    return engine_agree(g, outcome == OBJECT_BAD ? -1 : 0, e) ? OBJECT_BAD : outcome;
}
