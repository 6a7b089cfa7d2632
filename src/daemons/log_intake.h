/*
 * What the log aggregator takes in: the files of the spool (core/system/log_spool.h), a batch of each source
 * at a time, written by core/system/log_collect.
 *
 * So that a kill at any moment neither loses nor doubles nor tears a line, the batch under way is written
 * down first (which records of which file, and where the lines will be); then the lines are written, then
 * the records are acknowledged in their file. A start that finds a batch which is not acknowledged makes its
 * lines again, and writes what of them is not in the log files.
 *
 *	intake_create()     takes the lock; NC_ERR_REFUSED: another aggregator has it
 *	intake_recover()    once, before anything is logged
 *	intake_scan()       all files; then, for each event in the directory, intake_saw()
 *	intake_work()       until it is idle
 */
#ifndef NOWCAST_DAEMONS_LOG_INTAKE_H
#define NOWCAST_DAEMONS_LOG_INTAKE_H

#include "core/data/error.h"
#include "core/system/log.h"

struct intake;

/* `*log` is looked at anew each time: a reload replaces it. */
enum nc_err intake_create(const char *state_directory, struct log **log, struct intake **ret_intake,
	struct error *error);
void intake_destroy(struct intake *intake); /* accepts NULL */

/* The directory of the spool, which is there. */
const char *intake_directory(const struct intake *intake);

/* An error (the machine's): what is in the log files is not known; end, and recover at the next start. */
enum nc_err intake_recover(struct intake *intake, struct error *error);
void intake_scan(struct intake *intake);
void intake_saw(struct intake *intake, const char *name);

enum intake_state {
	INTAKE_IDLE,
	INTAKE_MORE, /* call it again, soon */
	INTAKE_LATER, /* some files could not be read; if nothing comes, call it again after a while */
	INTAKE_HELD,   /* a disk is full: call it again, after a while */
	INTAKE_FAILED, /* a disk fails: end, and recover at the next start */
};
/* One batch of each source that has something. */
enum intake_state intake_work(struct intake *intake);
/* Is a batch waiting for room on a disk? */
bool intake_is_held(const struct intake *intake);

#endif
