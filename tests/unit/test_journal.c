/* The journal's records: what was written is read, whatever is torn or changed behind it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "flow/journal.h"
#include "formats/writer.h"
#include "scratch.h"

static struct err err;
static struct scratch scratch;
static const char *path;

#define HEAD   "{\"a\":1}"
#define CHUNKS 40

/* Record i is of a chunk that comes late, has i words of need and i * 7 bytes of edges. */
static uint64_t chunk_of(size_t i)
{
    return i ^ 3;
}

static struct journal_record record_of(size_t i)
{
    static need_t need[CHUNKS];
    static unsigned char edges[7 * CHUNKS], hash[CHUNKS];
    for (size_t k = 0; k < CHUNKS; k++)
        need[k] = (need_t)(i * 1000 + k);
    memset(edges, (int)i + 1, sizeof edges);
    memset(hash, (int)i + 77, sizeof hash);
    return (struct journal_record){
        .chunk = chunk_of(i),
        .data = i * 11,
        .place = ~(uint64_t)i,
        .need = need,
        .n_need = i,
        .hash = hash,
        .hash_len = i % 5,
        .edges = edges,
        .edges_len = i * 7,
    };
}

static void expect_record(struct journal *j, size_t at)
{
    struct journal_record got;
    size_t i = chunk_of(journal_chunk(j, at)); /* its own inverse */
    const struct journal_record want = record_of(i);
    assert_int_equal(journal_read(j, at, &got, &err), 0);
    assert_int_equal(got.chunk, want.chunk);
    assert_int_equal(got.data, want.data);
    assert_true(got.place == want.place);
    assert_int_equal(got.n_need, want.n_need);
    assert_int_equal(got.hash_len, want.hash_len);
    assert_int_equal(got.edges_len, want.edges_len);
    assert_int_equal((uintptr_t)got.need % sizeof(need_t), 0);
    assert_memory_equal(got.need, want.need, want.n_need * sizeof(need_t));
    assert_memory_equal(got.hash, want.hash, want.hash_len);
    assert_memory_equal(got.edges, want.edges, want.edges_len);
}

static struct journal *created(void)
{
    struct journal *j = NULL;
    assert_int_equal(journal_create(path, HEAD, strlen(HEAD), &j, &err), 0);
    return j;
}

static void add(struct journal *j, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct journal_record r = record_of(i);
        assert_int_equal(journal_add(j, &r, &err), 0);
    }
}

static void flush(struct journal *j)
{
    journal_turn(j);
    assert_int_equal(journal_write(j, &err), 0);
}

static struct journal *opened(void)
{
    struct journal *j = NULL;
    assert_int_equal(journal_open(path, &j, &err), 0);
    return j;
}

static void expect_records(struct journal *j, size_t n)
{
    assert_non_null(j);
    assert_int_equal(journal_count(j), n);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || journal_chunk(j, i) > journal_chunk(j, i - 1));
        expect_record(j, i);
    }
}

static long file_length(void)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    fclose(f);
    return n;
}

static void change_byte(long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    fputc(c ^ 0x40, f);
    fclose(f);
}

/* Lengths of the file after each record. */
static void fill(long end[CHUNKS + 1])
{
    struct journal *j = created();
    end[0] = file_length();
    for (size_t i = 0; i < CHUNKS; i++) {
        add(j, i, i + 1);
        flush(j);
        end[i + 1] = file_length();
    }
    journal_close(j);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void there_is_none(void **state)
{
    (void)state;
    assert_null(opened());
    journal_close(NULL);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    size_t len;
    struct journal *j = created();
    add(j, 0, 10);
    assert_true(journal_waiting(j) > 0);
    journal_turn(j);
    add(j, 10, 20); /* their data may not be on storage when the write comes */
    assert_int_equal(journal_write(j, &err), 0);
    journal_close(j);
    j = opened();
    assert_memory_equal(journal_head(j, &len), HEAD, strlen(HEAD));
    assert_int_equal(len, strlen(HEAD));
    expect_records(j, 10);
    journal_close(j);
}

static void another_run_writes_on(void **state)
{
    (void)state;
    struct journal *j = created();
    add(j, 0, 12);
    flush(j);
    journal_close(j);
    assert_int_equal(truncate(path, file_length() - 1), 0);
    j = opened();
    assert_int_equal(journal_count(j), 11);
    assert_int_equal(journal_append(j, &err), 0);
    add(j, 11, CHUNKS);
    flush(j);
    flush(j); /* nothing new */
    journal_close(j);
    j = opened();
    expect_records(j, CHUNKS);
    journal_close(j);
}

static void a_tear_anywhere_ends_it(void **state)
{
    (void)state;
    long end[CHUNKS + 1];
    fill(end);
    for (long n = end[CHUNKS], whole = CHUNKS; n >= 0; n--) {
        assert_int_equal(truncate(path, n), 0);
        while (whole >= 0 && end[whole] > n)
            whole--;
        struct journal *j = opened();
        if (whole < 0)
            assert_null(j);
        else
            assert_int_equal(journal_count(j), whole);
        journal_close(j);
    }
}

static void a_changed_byte_ends_it(void **state)
{
    (void)state;
    long end[CHUNKS + 1];
    fill(end);
    for (long at = 0; at < end[CHUNKS]; at++) {
        size_t whole = 0;
        while (end[whole + 1] <= at)
            whole++;
        change_byte(at);
        struct journal *j = NULL;
        int r = journal_open(path, &j, &err);
        if (at < end[0])
            assert_true(r < 0 || !j); /* of another kind of machine, or no journal */
        else
            expect_records(j, whole);
        journal_close(j);
        change_byte(at);
    }
}

static void records_of_another_journal_do_not_count(void **state)
{
    (void)state;
    struct journal *j = created();
    add(j, 0, 3);
    flush(j);
    journal_close(j);
    long n = file_length();
    unsigned char *bytes = malloc((size_t)n);
    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(bytes, 1, (size_t)n, f), n);
    fclose(f);
    assert_int_equal(journal_create(path, "{\"b\":1}", strlen(HEAD), &j, &err), 0);
    journal_close(j);
    long head = file_length();
    f = fopen(path, "ab");
    assert_int_equal(fwrite(bytes + head, 1, (size_t)(n - head), f), n - head);
    fclose(f);
    free(bytes);
    j = opened();
    expect_records(j, 0);
    journal_close(j);
}

static void a_chunk_twice_counts_once(void **state)
{
    (void)state;
    struct journal *j = created();
    add(j, 0, 8);
    add(j, 4, 12);
    flush(j);
    journal_close(j);
    j = opened();
    expect_records(j, 12);
    journal_close(j);
}

/* Longer than what is read at once, and many. */
static void records_of_any_length(void **state)
{
    (void)state;
    static unsigned char edges[3 * 1024 * 1024 + 5];
    struct journal_record got, r = {.chunk = 1, .edges = edges, .edges_len = sizeof edges};
    struct journal *j = created();
    memset(edges, 0x33, sizeof edges);
    for (uint64_t i = 0; i < 40000; i++) {
        const struct journal_record small = {.chunk = 2 + i};
        assert_int_equal(journal_add(j, i == 20000 ? &r : &small, &err), 0);
    }
    flush(j);
    journal_close(j);
    j = opened();
    assert_int_equal(journal_count(j), 40000);
    assert_int_equal(journal_read(j, 0, &got, &err), 0);
    assert_int_equal(got.edges_len, sizeof edges);
    assert_memory_equal(got.edges, edges, sizeof edges);
    journal_close(j);
}

static int set_up(void **state)
{
    err_clear(&err);
    scratch_init(&scratch, "/dev/shm");
    path = scratch_name(&scratch, "journal");
    (void)state;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_release(&scratch);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_is_none),
        TEST(what_was_written_is_read),
        TEST(another_run_writes_on),
        TEST(a_tear_anywhere_ends_it),
        TEST(a_changed_byte_ends_it),
        TEST(records_of_another_journal_do_not_count),
        TEST(a_chunk_twice_counts_once),
        TEST(records_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
