#include "mpi/cpus.h"

#include <sched.h>

#include "base/mem.h"

#define CPUS_MAX 8192

/* v[i] = 1 for each CPU that this process may use. */
static void cpus_mine(uint32_t *v)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    if (!set || sched_getaffinity(0, size, set) < 0) {
        v[0] = 1;
    } else {
        for (unsigned i = 0; i < CPUS_MAX; i++)
            v[i] = CPU_ISSET_S(i, size, set) != 0;
    }
    CPU_FREE(set);
}

int cpus_share(const struct wire_ops *wire, unsigned *out, struct err *e)
{
    AUTO_FREE uint32_t *mine = mem_new(CPUS_MAX, sizeof *mine, e);
    AUTO_FREE uint32_t *all = mem_new(CPUS_MAX, sizeof *all, e);
    if (!mine || !all)
        return -1;
    cpus_mine(mine);
    for (unsigned i = 0; i < CPUS_MAX; i++)
        all[i] = mine[i];
    if (wire && wire->host_sum(all, CPUS_MAX, e) < 0)
        return -1;
    double share = 0;
    for (unsigned i = 0; i < CPUS_MAX; i++)
        if (mine[i] && all[i])
            share += 1.0 / all[i];
    /* 3 ranks on 3 CPUs: three thirds are to count as one. */
    *out = share < 1 ? 1 : (unsigned)(share + 1e-6);
    return 0;
}
