/* Mailboxes: order, urgency, waiting, many threads posting; and errors as messages' bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "mpi/mailbox.h"

static struct err err;

static void urgent_messages_first_else_in_order(void **state)
{
    (void)state;
    struct mailbox m;
    struct message msg[6];
    assert_int_equal(mailbox_init(&m, &err), 0);
    for (int i = 0; i < 6; i++)
        mailbox_post(&m, &msg[i], i % 2);
    static const int order[] = {1, 3, 5, 0, 2, 4};
    for (int i = 0; i < 6; i++)
        assert_ptr_equal(mailbox_take(&m), &msg[order[i]]);
    for (int i = 0; i < 6; i++)
        mailbox_post(&m, &msg[i], i % 2);
    const struct message *all = mailbox_take_all(&m, 0);
    for (int i = 0; i < 6; i++, all = all->next)
        assert_ptr_equal(all, &msg[order[i]]);
    assert_null(all);
    assert_null(mailbox_take_all(&m, 0));
    mailbox_post(&m, &msg[0], false);
    assert_ptr_equal(mailbox_take(&m), &msg[0]);
    mailbox_release(&m);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void waiting_ends_when_time_is_up(void **state)
{
    (void)state;
    struct mailbox m;
    assert_int_equal(mailbox_init(&m, &err), 0);
    double start = seconds();
    assert_null(mailbox_take_all(&m, 30000));
    assert_true(seconds() - start >= 0.03);
    mailbox_release(&m);
}

/* -- threads that post, get their messages back and post again --------------------------------- */

#define POSTERS 4
#define ROUNDS  5000

struct poster {
    pthread_t thread;
    struct mailbox in;
    struct mailbox *out;
    struct message msg;
};

static void *poster_run(void *arg)
{
    struct poster *p = arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        p->msg.head.unit = i;
        mailbox_post(p->out, &p->msg, i % 3 == 0);
        if (mailbox_take(&p->in) != &p->msg)
            return p;
    }
    return NULL;
}

static void bounce(struct mailbox *m, struct poster *p, unsigned n)
{
    uint64_t next[POSTERS] = {0};
    for (unsigned got = 0; got < n * ROUNDS;) {
        struct message *msg = mailbox_take_all(m, 1000000);
        assert_non_null(msg);
        while (msg) {
            struct message *after = msg->next;
            struct poster *from = (struct poster *)((char *)msg - offsetof(struct poster, msg));
            assert_true(msg->head.unit == next[from - p]++);
            mailbox_post(&from->in, msg, false);
            msg = after;
            got++;
        }
    }
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    struct mailbox m;
    static struct poster p[POSTERS];
    assert_int_equal(mailbox_init(&m, &err), 0);
    for (int i = 0; i < POSTERS; i++) {
        p[i].out = &m;
        assert_int_equal(mailbox_init(&p[i].in, &err), 0);
        assert_int_equal(pthread_create(&p[i].thread, NULL, poster_run, &p[i]), 0);
    }
    bounce(&m, p, POSTERS);
    for (int i = 0; i < POSTERS; i++) {
        void *bad;
        pthread_join(p[i].thread, &bad);
        assert_null(bad);
        mailbox_release(&p[i].in);
    }
    mailbox_release(&m);
}

/* -- errors as bytes --------------------------------------------------------------------------- */

static void errors_come_out_as_they_went_in(void **state)
{
    (void)state;
    static struct err in, out;
    struct keep k = {0};
    err_set(&in, 28, "Could not write '%s'", "x");
    err_hint(&in, "two\nlines");
    error_pack(&k, &in);
    error_unpack(&out, k.data, k.len);
    assert_true(out.set);
    assert_int_equal(out.no, 28);
    assert_string_equal(out.text, in.text);
    assert_string_equal(out.hint, in.hint);
    assert_true(k.len < 64);

    memset(in.text, 'x', sizeof in.text - 1);
    memset(in.hint, 'y', sizeof in.hint - 1);
    error_pack(&k, &in);
    error_unpack(&out, k.data, k.len);
    assert_string_equal(out.text, in.text);
    assert_string_equal(out.hint, in.hint);
    keep_release(&k);
}

static void damaged_errors_read_as_out_of_memory(void **state)
{
    (void)state;
    static struct err in, out;
    struct keep k = {0};
    err_set(&in, 1, "text");
    error_pack(&k, &in);
    for (size_t len = 0; len < k.len; len++) {
        error_unpack(&out, k.data, len);
        assert_true(out.set);
        assert_string_equal(out.text, "Cannot allocate memory");
    }
    error_unpack(&out, NULL, 0);
    assert_string_equal(out.text, "Cannot allocate memory");
    keep_release(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urgent_messages_first_else_in_order),
        cmocka_unit_test(waiting_ends_when_time_is_up),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(errors_come_out_as_they_went_in),
        cmocka_unit_test(damaged_errors_read_as_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
