/* Numbers of a report: statistics, curves, how they are shown; and that text stays text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "report/chart.h"
#include "report/curve.h"
#include "report/markup.h"
#include "report/totals.h"

static struct err err;

/* ---- statistics ------------------------------------------------------------------------------ */

static void medians_and_percentiles(void **state)
{
    (void)state;
    static const double v[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                               11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    assert_true(totals_median(v, 0) == 0 && totals_percentile(v, 0, 0.95) == 0);
    assert_true(totals_median(v, 1) == 1 && totals_percentile(v, 1, 0.95) == 1);
    assert_true(totals_median(v, 4) == 2.5 && totals_median(v, 5) == 3);
    assert_true(totals_percentile(v, 20, 0.95) == 19); /* 19 of 20 are not above it */
    assert_true(totals_percentile(v, 10, 0.95) == 10);
    assert_true(totals_percentile(v, 20, 0) == 1 && totals_percentile(v, 20, 1) == 20);
}

static void add_line(struct history *h, const char *fmt, ...)
{
    char line[1000];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    assert_true(history_line(h, line, (size_t)n, &err));
    assert_false(err.set);
}

static void add_image(struct history *h, int number, const char *status, double start, double end)
{
    add_line(h,
             "{\"record\":\"image\",\"target\":\"t%d\",\"status\":\"%s\",\"start\":%f,\"end\":%f,"
             "\"bytes\":1000,\"source_bytes\":500,\"target_bytes\":250,\"virtual_size\":4000}",
             number, status, start, end);
}

static void totals_of_two_runs(void **state)
{
    (void)state;
    struct history h = {0};
    struct totals t;
    add_line(&h, "{\"record\":\"run\",\"time\":1000,\"images\":6,\"manifest\":\"m\"}");
    add_image(&h, 1, "done", 1001, 1003);
    add_image(&h, 2, "failed", 1001, 1002);
    add_image(&h, 3, "stopped", 1001, 1010);
    add_line(&h, "{\"record\":\"end\",\"time\":1010,\"status\":\"stopped\",\"bytes\":5000,"
                 "\"left\":4,\"busy\":0.5}");
    add_line(&h, "{\"record\":\"run\",\"time\":2000,\"images\":6,\"manifest\":\"m\"}");
    add_image(&h, 1, "skipped", 0, 0);
    add_image(&h, 2, "done", 2001, 2005);
    add_image(&h, 3, "done", 2001, 2011);
    add_image(&h, 4, "failed", 2001, 2011);
    add_image(&h, 4, "done", 2011, 2020);
    add_line(&h, "{\"record\":\"progress\",\"time\":2015,\"bytes\":2500,\"busy\":1}");
    add_line(&h, "{\"record\":\"progress\",\"time\":2030,\"bytes\":2600,\"busy\":0.8}");
    assert_int_equal(history_settle(&h, &err), 0);

    assert_int_equal(totals_fleet(&h, &t, &err), 0);
    assert_int_equal(t.images, 6);
    assert_int_equal(t.count[HISTORY_DONE], 4);
    assert_int_equal(t.count[HISTORY_FAILED], 0);
    assert_int_equal(t.left, 2);
    assert_int_equal(t.bytes, 5000 + 4000);
    assert_true(t.seconds == 40 && t.rate == 225);
    assert_true(t.median == 6.5 && t.p95 == 10 && t.longest == 10); /* of 2, 4, 9, 10 */
    assert_int_equal(t.source_bytes, 2000);
    assert_int_equal(t.target_bytes, 1000);
    assert_true(fabs(t.busy - (0.5 * 10 + 0.9 * 30) / 40) < 1e-9);

    assert_int_equal(totals_run(&h, &h.run[0], &t, &err), 0);
    assert_int_equal(t.count[HISTORY_STOPPED], 1);
    assert_int_equal(t.left, 4);
    assert_true(t.seconds == 10 && t.rate == 500);
    assert_int_equal(totals_run(&h, &h.run[1], &t, &err), 0);
    assert_int_equal(t.count[HISTORY_DONE], 3); /* the failed attempt has a later record */
    assert_int_equal(t.count[HISTORY_FAILED], 0);
    assert_int_equal(t.count[HISTORY_SKIPPED], 1);
    assert_int_equal(t.bytes, 4000);
    history_release(&h);
}

static void sums_do_not_wrap(void **state)
{
    (void)state;
    struct history h = {0};
    struct totals t;
    for (int k = 0; k < 4; k++)
        add_line(&h,
                 "{\"record\":\"image\",\"target\":\"t%d\",\"status\":\"done\","
                 "\"bytes\":9000000000000000000,\"virtual_size\":9000000000000000000}",
                 k);
    assert_int_equal(history_settle(&h, &err), 0);
    assert_int_equal(totals_fleet(&h, &t, &err), 0);
    assert_true(t.bytes == UINT64_MAX && t.virtual_size == UINT64_MAX);
    assert_true(t.seconds == 0 && t.rate == 0);
    history_release(&h);
}

/* ---- curves ---------------------------------------------------------------------------------- */

static double sum(const struct curve *c)
{
    double s = 0;
    for (size_t k = 0; k < CURVE_BINS; k++)
        s += c->bin[k];
    return s;
}

static void curves_keep_amounts(void **state)
{
    (void)state;
    struct curve c;
    curve_init(&c, 1000, 1000 + CURVE_BINS);
    curve_add(&c, 1000.5, 1003.5, 30);
    assert_true(fabs(c.bin[0] - 5) < 1e-9 && fabs(c.bin[1] - 10) < 1e-9);
    assert_true(fabs(c.bin[3] - 5) < 1e-9 && c.bin[4] == 0);
    curve_add(&c, 1100, 1100, 7);
    assert_true(c.bin[100] == 7);
    curve_add(&c, 1000 + CURVE_BINS, 1000 + CURVE_BINS, 3);
    assert_true(c.bin[CURVE_BINS - 1] == 3);
    assert_true(fabs(sum(&c) - 40) < 1e-9);
    curve_add(&c, 900, 1100, 20); /* half of it lies before */
    assert_true(fabs(sum(&c) - 50) < 1e-9);
    curve_add(&c, 1, 2, 1e9);
    curve_add(&c, 5000, 6000, 1e9);
    curve_add(&c, 5000, 5000, 1e9);
    curve_add(&c, 2, 1, 1e9);
    assert_true(fabs(sum(&c) - 50) < 1e-9);
    curve_init(&c, 1000, 1000); /* a run of no time */
    curve_add(&c, 1000, 1000, 1);
    assert_true(sum(&c) == 1);
}

static void scales_are_round(void **state)
{
    (void)state;
    static const struct {
        double highest, top, step;
    } bytes[] = {{0, 1, 1}, {1000, 1024, 256}, {1.1e9, 1.25 * 1073741824, 268435456}};
    struct chart c = {0};
    chart_scale(&c, 290);
    assert_true(c.top == 300 && c.step == 100);
    chart_scale(&c, 9990);
    assert_true(c.top == 10000 && c.step == 5000);
    for (size_t k = 0; k < sizeof bytes / sizeof bytes[0]; k++) {
        chart_scale_bytes(&c, bytes[k].highest);
        if (bytes[k].highest < 1e9)
            assert_true(c.top == bytes[k].top && c.step == bytes[k].step);
        assert_true(c.top >= bytes[k].highest && c.top / c.step <= 5);
    }
    for (double length = 1e-3; length < 1e12; length *= 1.7) {
        struct chart_time t = chart_time_of(1000, 1000 + length);
        assert_true(t.step > 0 && t.length / t.step <= 8.001);
    }
}

/* ---- shown ----------------------------------------------------------------------------------- */

static void numbers_are_readable(void **state)
{
    (void)state;
    assert_string_equal(shown_count(0).text, "0");
    assert_string_equal(shown_count(999).text, "999");
    assert_string_equal(shown_count(1000).text, "1,000");
    assert_string_equal(shown_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
    assert_string_equal(shown_size(0).text, "0 B");
    assert_string_equal(shown_size(999).text, "999 B");
    assert_string_equal(shown_size(999.7 * 1024).text, "0.976 MiB");
    assert_string_equal(shown_size(1.5 * 1073741824).text, "1.5 GiB");
    assert_string_equal(shown_rate(1048576).text, "1 MiB/s");
    assert_string_equal(shown_span(0).text, "0 ms");
    assert_string_equal(shown_span(0.31).text, "310 ms");
    assert_string_equal(shown_span(4.25).text, "4.25 s");
    assert_string_equal(shown_span(59.94).text, "59.9 s");
    assert_string_equal(shown_span(59.96).text, "1 min");
    assert_string_equal(shown_span(125).text, "2 min 5 s");
    assert_string_equal(shown_span(3 * 3600 + 119).text, "3 h 1 min");
    assert_string_equal(shown_span(100 * 3600).text, "4 d 4 h");
    assert_string_equal(shown_span(1e300).text, "11574074074 d 1 h");
    assert_string_equal(shown_share(0.9731).text, "97.3 %");
    assert_string_equal(shown_at(0).text, "0");
    assert_string_equal(shown_at(12.5).text, "12.5");
    assert_string_equal(shown_at(99.9996).text, "100");
    assert_string_equal(shown_time(0).text, "unknown");
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void expect_text(const char *s, const char *html, const char *json)
{
    char *got = NULL;
    size_t n;
    FILE *f = open_memstream(&got, &n);
    markup_text(f, s);
    fclose(f);
    assert_string_equal(got, html);
    free(got);
    f = open_memstream(&got, &n);
    markup_json(f, s, SIZE_MAX);
    fclose(f);
    assert_string_equal(got, json);
    free(got);
}

static void texts_stay_texts(void **state)
{
    (void)state;
    expect_text("plain", "plain", "\"plain\"");
    expect_text("</script><script>", "&lt;/script&gt;&lt;script&gt;",
                "\"\\u003c/script\\u003e\\u003cscript\\u003e\"");
    expect_text("<!--", "&lt;!--", "\"\\u003c!--\"");
    expect_text("a\" onload='x' &amp;", "a&quot; onload=&#39;x&#39; &amp;amp;",
                "\"a\\\" onload='x' \\u0026amp;\"");
    expect_text("back\\slash", "back\\slash", "\"back\\\\slash\"");
    expect_text("\n\t\x01\x7f", "␊␉␁␡", "\"␊␉␁␡\"");
    expect_text("ä€😀", "ä€😀", "\"ä€😀\"");
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
#define BAD "\xef\xbf\xbd"
    expect_text("a\xff\x62", "a" BAD "b", "\"a" BAD "b\"");
    expect_text("\xc3", BAD, "\"" BAD "\""); /* ends too early */
    expect_text("\xe2\x82<", BAD BAD "&lt;", "\"" BAD BAD "\\u003c\"");
    expect_text("\xc0\xbc", BAD BAD, "\"" BAD BAD "\""); /* '<' in two bytes */
    expect_text("\xed\xa0\x80", BAD, "\"" BAD "\"");     /* half a surrogate */
    expect_text("\xf4\x90\x80\x80", BAD, "\"" BAD "\""); /* beyond Unicode */
    expect_text("\xe2\x80\xae", BAD, "\"" BAD "\"");     /* turns what follows */
    expect_text("\xe2\x80\xa8", BAD, "\"" BAD "\"");     /* ends a line of script */
    expect_text("\xc2\x85", BAD, "\"" BAD "\"");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n;
    FILE *f = open_memstream(&got, &n);
    markup_cut(f, "ä<b>", 2);
    markup_cut(f, "abc", 3);
    markup_json(f, "abc", 1);
    fclose(f);
    assert_string_equal(got, "ä&lt;…abc\"a…\"");
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians_and_percentiles), cmocka_unit_test(totals_of_two_runs),
        cmocka_unit_test(sums_do_not_wrap),        cmocka_unit_test(curves_keep_amounts),
        cmocka_unit_test(scales_are_round),        cmocka_unit_test(numbers_are_readable),
        cmocka_unit_test(texts_stay_texts),        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
