/*
 * Signals as flags. Handlers only set them; loops ask.
 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include <stdbool.h>

/* SIGINT, SIGTERM, SIGHUP, SIGUSR2: stop, tidy up, end. SIGUSR1: show progress, sync the journal.
 * SIGPIPE, SIGXFSZ: ignored (the write fails instead). A second SIGINT ends at once. */
void signals_install(void);

/* The signal that asked us to stop, or 0. */
int signals_stop(void);

/* Was SIGUSR1 received since the last call? */
bool signals_take_progress(void);
bool signals_take_checkpoint(void); /* the same for another listener */

#endif
