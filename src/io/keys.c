#include "io/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* ---- which keys there may be ----------------------------------------------------------------- */

/* Of the image layer; so are all that begin "cache.". */
static const char *const common[] = {"driver",        "cache",       "discard",
                                     "detect-zeroes", "read-only",   "auto-read-only",
                                     "node-name",     "force-share", NULL};

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

int keys_check(const json_t *node, const char *driver, const char *const *known, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(node, "cache"), key, value)
    {
        if (strcmp(key, "direct") != 0 && strcmp(key, "no-flush") != 0)
            return err_set(e, EINVAL, "Block protocol '%s' doesn't support the option 'cache.%s'",
                           driver, key);
    }
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        if (!is_one_of(key, common) && !is_one_of(key, known) && strncmp(key, "cache.", 6))
            return err_set(e, EINVAL, "Block protocol '%s' doesn't support the option '%s'", driver,
                           key);
    }
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

int keys_text(const json_t *node, const char *key, char **out, struct err *e)
{
    const json_t *v = json_object_get(node, key);
    char *text = NULL;
    if (!v || json_is_null(v))
        return 0;
    if (json_is_string(v))
        text = mem_strdup(json_string_value(v), e);
    else if (json_is_integer(v))
        text = mem_printf(e, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        text = mem_strdup(json_is_true(v) ? "on" : "off", e);
    else
        return err_set(e, EINVAL, "Invalid parameter type for '%s', expected: string", key);
    free(*out);
    *out = text;
    return text ? 0 : -1;
}

int keys_bool(const json_t *node, const char *key, bool *out, struct err *e)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    static const char *const no[] = {"off", "no", "false", "n", NULL};
    AUTO_FREE char *text = NULL;
    if (keys_text(node, key, &text, e))
        return -1;
    if (!text)
        return 0;
    if (!is_one_of(text, yes) && !is_one_of(text, no))
        return err_set(e, EINVAL, "Parameter '%s' expects 'on' or 'off'", key);
    *out = is_one_of(text, yes);
    return 0;
}

int keys_number(const json_t *node, const char *key, uint64_t *out, struct err *e)
{
    AUTO_FREE char *text = NULL;
    char *end;
    if (keys_text(node, key, &text, e))
        return -1;
    if (!text)
        return 0;
    errno = 0;
    uint64_t n = strtoull(text, &end, 0);
    if (end == text || *end || errno)
        return err_set(e, EINVAL, "Parameter '%s' expects a number", key);
    *out = n;
    return 0;
}

static bool parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "kMGTPE";
    char *end;
    errno = 0;
    uint64_t n = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (*text < '0' || *text > '9' || errno)
        return false;
    const char *unit = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
    if (*end && (!unit || end[1]))
        return false;
    *out = n;
    return !unit || num_mul(n, (uint64_t)1 << (10 * (unit - units + 1)), out);
}

int keys_size(const json_t *node, const char *key, uint64_t *out, struct err *e)
{
    AUTO_FREE char *text = NULL;
    if (keys_text(node, key, &text, e))
        return -1;
    if (!text || parse_size(text, out))
        return 0;
    err_set(e, EINVAL, "Parameter '%s' expects a non-negative number below 2^64", key);
    return err_hint(e, "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, "
                       "peta-\nand exabytes, respectively.");
}
