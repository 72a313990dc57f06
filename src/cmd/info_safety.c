#include "cmd/info_safety.h"

#include "base/tree.h"
#include "cli/report.h"

bool info_is_refused(const json_t *checks)
{
    size_t i;
    const json_t *check;
    json_array_foreach(checks, i, check)
    {
        if (!json_is_true(json_object_get(check, "passed")))
            return true;
    }
    return false;
}

bool info_add_safety(json_t *tree, json_t *checks)
{
    json_t *safety = json_object();
    bool good = report_bool(safety, "passed", !info_is_refused(checks)) &&
                report_add(safety, "checks", json_incref(checks));
    return report_add(tree, "safety", safety) && good;
}

json_t *info_refused(const char *name, json_t *checks)
{
    json_t *tree = json_object();
    if (report_text(tree, "filename", name) && info_add_safety(tree, checks))
        return tree;
    json_decref(tree);
    return NULL;
}

void info_safety_text(FILE *out, const json_t *tree)
{
    const json_t *checks = json_object_get(json_object_get(tree, "safety"), "checks"), *check;
    size_t i;
    if (!checks)
        return;
    fprintf(out, "Safety checks:\n");
    json_array_foreach(checks, i, check)
    {
        fprintf(out, "    %s: %s\n", json_string_value(json_object_get(check, "check")),
                json_is_true(json_object_get(check, "passed")) ? "passed" : "failed");
    }
}
