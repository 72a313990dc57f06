/* What the environment says about who started the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/num.h"
#include "mpi/launcher.h"

static struct launcher l;
static struct err err;

static const char *const all[] = {
    "OMPI_COMM_WORLD_SIZE", "PMI_RANK",     "PMI_SIZE",     "PMIX_RANK",   "PMIX_NAMESPACE",
    "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NTASKS", "MPI_IMG_MPI",
};

/* Only these are set: name, value, ..., NULL. Gives launcher_find's answer. */
static int with(const char *name, ...)
{
    va_list ap;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        unsetenv(all[i]);
    va_start(ap, name);
    for (; name; name = va_arg(ap, const char *))
        setenv(name, va_arg(ap, const char *), 1);
    va_end(ap);
    err_clear(&err);
    return launcher_find(&l, &err);
}

static void is(enum launcher_mpi first, unsigned n, unsigned size)
{
    assert_true(launcher_there());
    assert_int_equal(l.mpi[0], first);
    assert_int_equal(l.n_mpis, n);
    assert_int_equal(l.size, size);
}

static void a_batch_script_is_no_launcher(void **state)
{
    (void)state;
    assert_int_equal(with("SLURM_PROCID", "0", "SLURM_NTASKS", "4", NULL), 0);
    assert_false(launcher_there());
    assert_null(l.sign);
    assert_int_equal(l.size, 0);
}

static void each_launcher_has_its_mpi(void **state)
{
    (void)state;
    assert_int_equal(with("OMPI_COMM_WORLD_SIZE", "3", "PMIX_RANK", "1", NULL), 0);
    is(LAUNCHER_OPENMPI, 1, 3);
    assert_int_equal(with("PMI_RANK", "1", "PMI_SIZE", "5", NULL), 0);
    is(LAUNCHER_MPICH, 2, 5);
    assert_int_equal(with("PMIX_RANK", "1", NULL), 0);
    is(LAUNCHER_OPENMPI, 2, 0);
}

/* Slurm starts the launcher's daemons with variables of its own. */
static void the_inner_launcher_counts(void **state)
{
    (void)state;
    assert_int_equal(with("OMPI_COMM_WORLD_SIZE", "8", "PMI_RANK", "0", "PMI_SIZE", "2", NULL), 0);
    is(LAUNCHER_OPENMPI, 1, 8);
    assert_int_equal(with("PMI_RANK", "0", "PMI_SIZE", "8", "PMIX_RANK", "0", NULL), 0);
    is(LAUNCHER_MPICH, 2, 8);
}

static void slurm_says_how_many_pmix_ranks_there_are(void **state)
{
    (void)state;
    with("PMIX_RANK", "1", "PMIX_NAMESPACE", "slurm.pmix.7.0", "SLURM_STEP_NUM_TASKS", "6", NULL);
    is(LAUNCHER_OPENMPI, 2, 6);
    with("PMIX_RANK", "1", "PMIX_NAMESPACE", "prterun-n0-12@1", "SLURM_STEP_NUM_TASKS", "2", NULL);
    is(LAUNCHER_OPENMPI, 2, 0);
}

static void one_can_say_which_mpi(void **state)
{
    (void)state;
    assert_int_equal(with("PMIX_RANK", "1", "MPI_IMG_MPI", "mpich", NULL), 0);
    is(LAUNCHER_MPICH, 1, 0);
    assert_int_equal(with("PMIX_RANK", "1", "MPI_IMG_MPI", "", NULL), 0);
    is(LAUNCHER_OPENMPI, 2, 0);
    assert_int_equal(with("PMIX_RANK", "1", "MPI_IMG_MPI", "lam", NULL), -1);
    assert_string_equal(err.text, "MPI_IMG_MPI: there is no 'lam'; there are openmpi and mpich");
}

static void hostile_sizes_are_none(void **state)
{
    (void)state;
    static const char *const sizes[] = {"", "x", "-1", "99999999999999999999", "16777216"};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        with("PMI_RANK", "0", "PMI_SIZE", sizes[i], NULL);
        is(LAUNCHER_MPICH, 2, 0);
    }
}

static void ranks_that_are_not_the_launchers_are_refused(void **state)
{
    (void)state;
    with("PMI_RANK", "1", "PMI_SIZE", "3", NULL);
    assert_int_equal(launcher_check(&l, "Open MPI", 3, &err), 0);
    assert_int_equal(launcher_check(&l, "Open MPI", 1, &err), -1);
    assert_string_equal(err.text,
                        "The launcher (PMI_RANK) has started 3 ranks, but Open MPI knows of 1: it "
                        "is another MPI's launcher, or was built without that one's support");
    with("PMIX_RANK", "1", NULL);
    assert_int_equal(launcher_check(&l, "Open MPI", 1, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_script_is_no_launcher),
        cmocka_unit_test(each_launcher_has_its_mpi),
        cmocka_unit_test(the_inner_launcher_counts),
        cmocka_unit_test(slurm_says_how_many_pmix_ranks_there_are),
        cmocka_unit_test(one_can_say_which_mpi),
        cmocka_unit_test(hostile_sizes_are_none),
        cmocka_unit_test(ranks_that_are_not_the_launchers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
