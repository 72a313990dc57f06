/* The sections of the page, a file each. All but page.c's own are in their order on the page. */
#ifndef REPORT_PAGE_PARTS_H
#define REPORT_PAGE_PARTS_H

#include <stdio.h>

#include "report/history.h"
#include "report/totals.h"

#define PAGE_NAME_CUT  300 /* characters of a name in a list */
#define PAGE_ERROR_CUT 500

/* Made of page.css and page.js when the program is built (embed.cmake). */
extern const char page_css[], page_js[];
extern const char page_css_hash[], page_js_hash[]; /* as a content security policy has them */

/* An image's place in a list of pointers to those that match. NULL with the error set. */
const struct history_image **page_select(const struct history *h,
                                         bool (*match)(const struct history_image *i), size_t *n,
                                         struct err *e);
/* qsort for such lists: those that took longest first. */
int page_compare_slow(const void *x, const void *y);
/* What follows the last slash. */
const char *page_name_of(const char *path);

int page_runs(FILE *out, const struct history *h, struct err *e);
int page_failures(FILE *out, const struct history *h, struct err *e);
int page_slowest(FILE *out, const struct history *h, const struct totals *t, struct err *e);
int page_images(FILE *out, const struct history *h, struct err *e);

#endif
