/* JSON as qemu-img reads it: also 'single quoted' strings; its words for what is wrong. */
#ifndef IMAGE_JSON_TEXT_H
#define IMAGE_JSON_TEXT_H

#include <jansson.h>

#include "base/err.h"

/* One value. New reference; NULL with the error set ("JSON parse error, expecting value"). */
json_t *json_text_parse(const char *text, struct err *e);

/* A string value of any bytes: file names need not be UTF-8, which json_string() asks for. */
json_t *json_text_string(const char *s, struct err *e);

#endif
