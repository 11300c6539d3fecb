/* The library's messages in the words of the command: options in the place of C's names. */
#ifndef FOCAL_CLI_LIBRARY_H
#define FOCAL_CLI_LIBRARY_H

#include <focal.h>

/* The option that sets a field, such as "--margin"; NULL if none does. */
const char *library_option(const char *field);

/* Room for a message in which names have become longer. */
enum { LIBRARY_TEXT = 512 };

/* The message without the field that it begins with; returns `text`. */
const char *library_message(const focal_error *error, char text[LIBRARY_TEXT]);

#endif
