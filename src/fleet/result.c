#include "fleet/result.h"

#include <inttypes.h>
#include <stdio.h>

#include "fleet/state.h"

static const char *status_name(enum result_status s)
{
    static const char *const names[] = {"done", "failed", "stopped"};
    return names[s];
}

/* "ALGORITHM/SIZE:digits" */
static json_t *hash_json(const struct result *r)
{
    char digits[DIGEST_TEXT], text[DIGEST_TEXT + 64];
    if (!r->hash || !r->hash->kind || r->status != RESULT_DONE || !r->report)
        return json_null();
    digest_text(r->hash->kind, r->report->hash, digits);
    snprintf(text, sizeof text, "%s/%" PRIu32 ":%s", r->hash->kind->name, r->hash->block_size,
             digits);
    return json_string(text);
}

static const char *text_of(const json_t *record, const char *field)
{
    return json_string_value(json_object_get(record, field));
}

static json_t *text_or_null(const char *text)
{
    /* names of files need not be UTF-8: then the manifest could not have named them */
    json_t *t = text && *text ? json_string(text) : NULL;
    return t ? t : json_null();
}

json_t *result_new(const json_t *record, const struct result *r)
{
    static const struct convert_report none;
    const struct convert_report *report = r->report ? r->report : &none;
    const char *source = text_of(record, "source"), *target = text_of(record, "target");
    const char *format = text_of(record, "target_format");
    bool done = r->status == RESULT_DONE;
    uint64_t allocated = done && target ? fleet_allocated(target) : 0;
    json_t *state = done && target ? fleet_state(target) : json_null();
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:o, s:i, s:o, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o, "
        "s:o, s:o, s:I}",
        "record", "image", "id", text_or_null(text_of(record, "id")), "source",
        text_or_null(source), "target", text_or_null(target), "status", status_name(r->status),
        "error", text_or_null(r->error), "attempts", 0, "source_format",
        text_or_null(report->source_format), "target_format", format ? format : "raw",
        "virtual_size", (json_int_t)report->size, "source_bytes",
        (json_int_t)(source ? fleet_allocated(source) : 0), "target_bytes", (json_int_t)allocated,
        "bytes", (json_int_t)report->data, "start", r->start, "end", r->end, "seconds",
        r->end - r->start, "hash", hash_json(r), "source_state",
        r->source_state ? json_incref(r->source_state) : json_null(), "target_state", state,
        "salvaged", (json_int_t)r->salvaged);
}
