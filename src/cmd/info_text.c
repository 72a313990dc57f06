#include "cmd/info_text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli/report.h"
#include "cli/size.h"

static const char *tree_text(const json_t *tree, const char *key)
{
    return json_string_value(json_object_get(tree, key));
}

static uint64_t tree_number(const json_t *tree, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(tree, key));
}

static void info_text_sizes(FILE *out, const json_t *tree)
{
    char size[SIZE_HUMAN_MAX], disk[SIZE_HUMAN_MAX] = "unavailable";
    size_human(tree_number(tree, "virtual-size"), size);
    if (json_object_get(tree, "actual-size"))
        size_human(tree_number(tree, "actual-size"), disk);
    fprintf(out, "virtual size: %s (%" PRIu64 " bytes)\ndisk size: %s\n", size,
            tree_number(tree, "virtual-size"), disk);
}

static void info_text_backing(FILE *out, const json_t *tree)
{
    const char *name = tree_text(tree, "backing-filename");
    const char *full = tree_text(tree, "full-backing-filename");
    const char *format = tree_text(tree, "backing-filename-format");
    if (!name)
        return;
    fprintf(out, "backing file: %s", name);
    if (!full)
        fprintf(out, " (cannot determine actual path)");
    else if (strcmp(name, full) != 0)
        fprintf(out, " (actual path: %s)", full);
    putc('\n', out);
    if (format)
        fprintf(out, "backing file format: %s\n", format);
}

static void info_text_snapshot(FILE *out, const json_t *s)
{
    char size[SIZE_HUMAN_MAX], date[64] = "", clock[64], icount[32] = "";
    time_t seconds = (time_t)tree_number(s, "date-sec");
    uint64_t ran = tree_number(s, "vm-clock-sec");
    struct tm tm;
    size_human(tree_number(s, "vm-state-size"), size);
    if (localtime_r(&seconds, &tm))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(clock, sizeof clock, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64,
             ran / 3600, ran / 60 % 60, ran % 60, tree_number(s, "vm-clock-nsec") / 1000000);
    if (json_object_get(s, "icount"))
        snprintf(icount, sizeof icount, "%" PRIu64, tree_number(s, "icount"));
    fprintf(out, "%-9s %-16s %8s%20s%13s%11s\n", tree_text(s, "id"), tree_text(s, "name"), size,
            date, clock, icount);
}

void info_text_snapshots(FILE *out, const json_t *list)
{
    size_t i;
    json_t *snapshot;
    if (!list)
        return;
    fprintf(out, "Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
            "VM CLOCK", "ICOUNT");
    json_array_foreach(list, i, snapshot) info_text_snapshot(out, snapshot);
}

void info_text(FILE *out, const json_t *tree)
{
    const json_t *specific = json_object_get(json_object_get(tree, "format-specific"), "data");
    fprintf(out, "image: %s\nfile format: %s\n", tree_text(tree, "filename"),
            tree_text(tree, "format"));
    info_text_sizes(out, tree);
    if (json_object_get(tree, "encrypted"))
        fprintf(out, "encrypted: yes\n");
    if (json_object_get(tree, "cluster-size"))
        fprintf(out, "cluster_size: %" PRIu64 "\n", tree_number(tree, "cluster-size"));
    if (json_is_true(json_object_get(tree, "dirty-flag")))
        fprintf(out, "cleanly shut down: no\n");
    info_text_backing(out, tree);
    if (json_object_get(tree, "limits")) {
        fprintf(out, "Block limits:\n");
        report_human(out, json_object_get(tree, "limits"), 1);
    }
    info_text_snapshots(out, json_object_get(tree, "snapshots"));
    if (specific && json_object_size(specific)) {
        fprintf(out, "Format specific information:\n");
        report_human(out, specific, 1);
    }
}
