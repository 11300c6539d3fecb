/* What the process holds of tuning files, for the look-up by plans and for the search. The public
 * functions that load, save and list it are in store.c, too. All of it is thread-safe. */
#ifndef FOCAL_TUNE_STORE_H
#define FOCAL_TUNE_STORE_H

#include "record.h"

/* The record of exactly that key for this host and build, if the process holds one. */
bool focal_store_get(const focal_tuning_key *key, focal_record *record);

/* Adds or replaces, to be saved later; false: no memory. */
bool focal_store_put(const focal_record *record);

/* What plans get without tuning for a contract; no name if there is none. */
focal_candidate focal_contract_standard(const char *contract);

#endif
