/* Giving up what a process may do, before it reads what strangers sent. */
#pragma once

#include <stdbool.h>

/* Keeps, of a superuser's rights, those to capture packets and to become somebody else. A process
 * that has less keeps what it has. */
void rights_narrow(void);

/* Becomes "nobody" where the process is root, and gives up every capability for good. False: the
 * user could not be changed, as in a namespace that knows root alone; the capabilities are gone. */
bool rights_drop(void);
