/* Text for a page: whatever the bytes are, they come out as text and nothing else. */
#ifndef REPORT_MARKUP_H
#define REPORT_MARKUP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* As content of an element, or as the value of an attribute in double quotes. Bytes that are no
 * UTF-8 become U+FFFD, control characters their pictures (U+2400 and on). */
void markup_text(FILE *out, const char *s);
/* The same, cut with "…" after so many characters. */
void markup_cut(FILE *out, const char *s, size_t characters);
/* A JSON string with its quotes, safe inside <script>. Cut likewise; SIZE_MAX = not. */
void markup_json(FILE *out, const char *s, size_t characters);

/* ---- numbers as people read them: shown_x(..).text ------------------------------------------- */

struct shown {
    char text[48];
};

struct shown shown_count(uint64_t n);       /* 10,000 */
struct shown shown_size(double bytes);      /* 1.29 GiB */
struct shown shown_rate(double per_second); /* 1.29 GiB/s */
struct shown shown_span(double seconds); /* 310 ms, 4.25 s, 12.3 s, 2 min 5 s, 3 h 1 min, 2 d 4 h */
struct shown shown_share(double share);  /* 97.3 % */
struct shown shown_time(double unix_time);  /* 2024-05-01 12:00:00 UTC, in the zone of TZ */
struct shown shown_clock(double unix_time); /* 12:00:00 */
/* A coordinate: at most three digits behind the point, no more than needed. */
struct shown shown_at(double v);

#endif
