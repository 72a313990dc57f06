/* The time, in seconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

double clock_now(void);  /* since some moment: for how long things take */
double clock_wall(void); /* since 1970: for when they were */

#endif
