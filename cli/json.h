/* Writes one flat JSON value after another to stdout, or another stream: valid whatever the
 * strings hold. */
#ifndef FOCAL_CLI_JSON_H
#define FOCAL_CLI_JSON_H

#include <stdint.h>
#include <stdio.h>

/* Where the following values go; NULL is stdout. Only between top-level values. */
void json_to(FILE *stream);

/* Opens "{" or "["; `key` is NULL at the top and inside arrays, here and below. */
void json_open(const char *key, char bracket);
void json_close(char bracket);

/* A NULL string is null. Bytes that are not UTF-8 become lone surrogates, as os.fsdecode does.
 */
void json_string(const char *key, const char *value);
void json_integer(const char *key, int64_t value);
void json_boolean(const char *key, int value);

/* All 17 digits; null if not finite, for which JSON has no number. */
void json_number(const char *key, double value);

#endif
