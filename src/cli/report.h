/*
 * What a subcommand reports is one tree (jansson values, keys in the order they are shown). JSON
 * and human text are two ways to print it.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/err.h"

/* ---- building: each returns false when out of memory ----------------------------------------- */

/* A value that was made in place is given away; NULL for one is out of memory. */
bool report_add(json_t *object, const char *key, json_t *value);
bool report_text(json_t *object, const char *key, const char *text); /* any bytes */
bool report_number(json_t *object, const char *key, uint64_t number);
bool report_bool(json_t *object, const char *key, bool value);
/* Left out when 0. */
bool report_count(json_t *object, const char *key, uint64_t number);

/* ---- printing -------------------------------------------------------------------------------- */

/* Indented by four, one value a line, a newline at the end. Bytes that are not ASCII come out as
 * \uXXXX, bytes that are no UTF-8 as \uFFFD. */
void report_json(FILE *out, const json_t *value);

/* A string of JSON alone, with its quotes. */
void report_json_text(FILE *out, const char *text);

/* "key: value" lines, deeper ones indented by four more; '-' in keys is shown as a space, list
 * items as "[0]:". The first level is indented by `level`. */
void report_human(FILE *out, const json_t *value, unsigned level);

/* --output's value. */
int report_format(const char *text, bool *json, struct err *e);

#endif
