#include "base/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* Set by handlers on the main thread, asked for by workers too. */
static atomic_int stop_signal;
static atomic_bool progress_wanted, checkpoint_wanted;

static void on_stop(int sig)
{
    if (stop_signal && sig == SIGINT) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
    stop_signal = sig;
}

static void on_progress(int sig)
{
    (void)sig;
    progress_wanted = checkpoint_wanted = true;
}

static void handle(int sig, void (*fn)(int))
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = fn;
    sa.sa_flags = SA_RESTART;
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

void signals_install(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR2};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        handle(stops[i], on_stop);
    handle(SIGUSR1, on_progress);
    handle(SIGPIPE, SIG_IGN);
    handle(SIGXFSZ, SIG_IGN);
}

int signals_stop(void)
{
    return stop_signal;
}

bool signals_take_progress(void)
{
    return atomic_exchange(&progress_wanted, false);
}

bool signals_take_checkpoint(void)
{
    return atomic_exchange(&checkpoint_wanted, false);
}
