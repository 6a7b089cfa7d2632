/*
 * What is said at the supervisor's local door (STATE_SUPERVISOR_DOOR), by the commands to the supervisor.
 *
 * A question is a JSON mapping: `ask` (one of the words below), `version` (of who asks), and `name` where
 * the question is about one daemon or program. An answer is a JSON mapping: `version` (of the supervisor),
 * and either `error` (what is wrong and what to do), `exit` (the exit status for that), or what was asked
 * for. `start`, `stop`, `restart` and `down` are answered when they have begun, with `pid` (of the one
 * named, before that; of the supervisor); whether they are done is seen in the status. A peer of another
 * version may only look, stop and restart all.
 *
 * The answer to `status`:
 *
 *	version, pid, since, config, binary, ready (all that are wanted are), stopping
 *	programs: a list, in the order of their start, of
 *		name
 *		kind       `daemon` or `program`
 *		state      `stopped`, `waiting` (for those it comes after), `starting`, `running`,
 *		           `backoff` (ended, and will be started again), `stopping`
 *		wanted     false: it was stopped by hand, and stays so
 *		waits_for  the name of the first one that it waits for, or null
 *		pid        or null
 *		since      when the process was started, or null
 *		restarts   how often it was started again by itself
 *		last_exit  null, or {words, status (or null), signal (or null), at}
 *		alarm      null, or why somebody should look
 *		version    of the binary that it was started from, or null
 *		log        the file where to read of it, or null
 *
 * Times are UTC in the form 2026-11-24T04:00:00.123Z.
 */
#ifndef NOWCAST_SUPERVISOR_PROTOCOL_H
#define NOWCAST_SUPERVISOR_PROTOCOL_H

#define SUPERVISOR_STATUS  "status"
#define SUPERVISOR_START   "start"   /* with a name */
#define SUPERVISOR_STOP    "stop"    /* with a name */
#define SUPERVISOR_RESTART "restart" /* with a name; without one, all, the supervisor too */
#define SUPERVISOR_DOWN    "down"

/* Where `nowcast up` sends what a supervisor in the background writes on its console. */
#define SUPERVISOR_CONSOLE "supervisor.out"

#endif
