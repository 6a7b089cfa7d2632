/*
 * core/decide/brain: each call of SQLite, each allocation and each draw of random bytes fails once, in each of its
 * deeds. What fails has changed nothing, in the store and beside it; done again, it is as if nothing had failed.
 *
 * Random bytes and the clock are ours here: so two runs of a deed make the same ids, and the same database.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/decide/store_internal.h"
#include "brain_deeds.h"
#include "failing_malloc.h"
#include "failing_sqlite.h"
#include "uncounted_sqlite.h"

/* --- random bytes and time --- */

static struct {
	unsigned draws, fails_at; /* 0: none fails */
	bool has_failed;
} chance;

ssize_t __wrap_getrandom(void *bytes, size_t count, unsigned flags);
int64_t __wrap_clock_real_ns(void);

ssize_t __wrap_getrandom(void *bytes, size_t count, unsigned flags)
{
	(void)flags;
	if (++chance.draws == chance.fails_at) {
		chance.has_failed = true;
		errno = EIO;
		return -1;
	}
	memset(bytes, (int)chance.draws, count);
	return (ssize_t)count;
}

int64_t __wrap_clock_real_ns(void)
{
	return NOON;
}

/* --- doing one, and what it has led to --- */

static enum nc_err do_deed(
	struct fixture *f, const struct deed *deed, struct transaction *t, struct error *error)
{
	chance.draws = 100;
	return deed->message != NULL ? give(f, deed->message, t, error)
				     : deed->function(f, t, error);
}

static void print_launches(const struct transaction *t, struct buffer *out)
{
	for (size_t i = 0; i < t->launches_count; i++) {
		const struct brain_launch *launch = &t->launches[i];

		buffer_printf(out, "launch %s %s: %s", launch->id, launch->token, launch->worker);
		for (size_t k = 0; k < launch->arguments_count; k++)
			buffer_printf(out, " '%s'", launch->arguments[k]);
		buffer_printf(out, " on %s: %s\n", launch->host, launch->why);
	}
	for (size_t i = 0; i < t->ends_count; i++)
		buffer_printf(out, "end %s %d\n", t->ends[i].id, (int)t->ends[i].pid);
}

/* The reply, what is to be done, and what is kept in memory. */
static void print_result(struct fixture *f, const struct transaction *t, struct buffer *out)
{
	buffer_clear(out);
	if (t->reply.type != NULL)
		message_write(&t->reply, out);
	print_launches(t, out);
	buffer_printf(out, "changed:%s%s%s\n", t->checklist_changed ? " checklist" : "",
		t->groups_changed ? " groups" : "", t->programs_added ? " programs" : "");
	if (f->found != NULL)
		yaml_write(f->found, 0, out);
	buffer_append_text(out, "checklist: ");
	yaml_write(brain_checklist(f->brain), YAML_WRITE_FLOW, out);
	buffer_append_text(out, "\nprogress: ");
	yaml_write(f->brain->progress, YAML_WRITE_FLOW, out);
	buffer_printf(out, "\nfailed starts: %u\n", f->brain->failed_starts);
	assert_false(out->failed);
}

static void print_notes(const struct transaction *t, struct buffer *out)
{
	buffer_clear(out);
	for (size_t i = 0; i < t->notes_count; i++)
		buffer_printf(out, "%d %s\n", t->notes[i].level, t->notes[i].text);
	assert_false(out->failed);
}

static unsigned char *read_database(struct store *store, size_t *ret_len)
{
	sqlite3_int64 len = 0;
	unsigned char *bytes = sqlite3_serialize(store->db, "main", &len, 0);

	assert_non_null(bytes);
	*ret_len = (size_t)len;
	return bytes;
}

/* Is the database as those bytes are? It is one of sqlite3_deserialize(). */
static bool is_database(struct store *store, const unsigned char *bytes, size_t len)
{
	sqlite3_int64 now_len = 0;
	const unsigned char *now =
		sqlite3_serialize(store->db, "main", &now_len, SQLITE_SERIALIZE_NOCOPY);

	/* The two numbers of the header between count commits. */
	return now != NULL && (size_t)now_len == len && memcmp(now, bytes, 24) == 0 &&
	       memcmp(now + 28, bytes + 28, 64) == 0 && memcmp(now + 96, bytes + 96, len - 96) == 0;
}

/* --- beginning, end, and back to the beginning --- */

static void forget_found(struct fixture *f)
{
	value_destroy(f->found);
	f->found = NULL;
}

static void forget_all(struct fixture *f)
{
	forget_found(f);
	value_destroy(f->checklist);
	f->checklist = NULL;
	brain_destroy(f->brain);
	f->brain = NULL;
	store_close(f->store);
	f->store = NULL;
	sqlite3_free(f->before);
	sqlite3_free(f->after);
	f->before = f->after = NULL;
}

/* With nothing prepared a store has the most calls. */
static void forget_prepared(struct store *store)
{
	for (size_t i = 0; i < SQL_COUNT; i++)
		(void)sqlite3_finalize(store->statements[i]);
	memset(store->statements, 0, sizeof(store->statements));
}

/* As it is before the deed. */
static void go_back(struct fixture *f, const struct deed *deed)
{
	unsigned char *bytes = sqlite3_malloc64(f->before_len);
	struct transaction t = { 0 };

	assert_non_null(bytes);
	memcpy(bytes, f->before, f->before_len);
	forget_prepared(f->store);
	assert_int_equal(sqlite3_deserialize(f->store->db, "main", bytes,
				 (sqlite3_int64)f->before_len, (sqlite3_int64)f->before_len,
				 SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE),
		SQLITE_OK);
	brain_destroy(f->brain);
	f->brain = NULL;
	assert_int_equal(brain_create(&config, f->rules, f->store, "boot", &f->brain, NULL), NC_OK);
	if (deed->in_memory != NULL)
		assert_int_equal(deed->in_memory(f, &t, NULL), NC_OK);
	transaction_finish(&t);
	assert_true(is_database(f->store, f->before, f->before_len));
	f->is_as_before = true;
}

/* What is there before the deed; and what the deed leads to, when all is well. */
static void rehearse(struct fixture *f, const struct deed *deed)
{
	struct transaction t = { 0 };
	struct error error = { 0 };

	forget_all(f);
	assert_int_equal(store_open(NULL, &f->store, NULL), NC_OK);
	assert_int_equal(brain_create(&config, f->rules, f->store, "boot", &f->brain, NULL), NC_OK);
	chance.draws = 0;
	for (size_t i = 0; i < ARRAY_LEN(deed->before) && deed->before[i] != NULL; i++) {
		assert_int_equal(give(f, deed->before[i], &t, NULL), NC_OK);
		assert_string_equal(t.reply.type, "ack");
		transaction_finish(&t);
		assert_int_equal(store_open_launches(f->store, take_ids, f, NULL), NC_OK);
	}
	f->before = read_database(f->store, &f->before_len);
	go_back(f, deed);
	f->checklist = value_copy(brain_checklist(f->brain));
	if (do_deed(f, deed, &t, &error) != NC_OK)
		fail_msg("%s: %s", deed->name, error.text);
	print_result(f, &t, &f->result);
	print_notes(&t, &f->notes);
	transaction_finish(&t);
	f->after = read_database(f->store, &f->after_len);
	f->is_as_before = false;
}

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	buffer_init(&f->result);
	buffer_init(&f->notes);
	return rules_read("r.yaml", rules_text, strlen(rules_text), &config, &f->rules, NULL,
		       NULL) != NC_OK;
}

static int end(void **state)
{
	struct fixture *f = *state;

	if (f->doing.deed != NULL)
		print_message("it was `%s` without its %s %u\n", f->doing.deed, f->doing.fault,
			f->doing.nth);
	forget_all(f);
	rules_destroy(f->rules);
	buffer_finish(&f->result);
	buffer_finish(&f->notes);
	free(f);
	return 0;
}

/* --- faults --- */

enum fault {
	FAULT_SQLITE,
	FAULT_MEMORY,
	FAULT_CHANCE,
};

static const char *const fault_names[] = {
	[FAULT_SQLITE] = "call of SQLite",
	[FAULT_MEMORY] = "allocation",
	[FAULT_CHANCE] = "draw of random bytes",
};

/* What fails often adds up, if it leaves anything: so it is enough to do it again now and then. */
static const unsigned done_again_each[] = {
	[FAULT_SQLITE] = 4,
	[FAULT_MEMORY] = 8,
	[FAULT_CHANCE] = 1,
};

static void fail_at(enum fault fault, unsigned nth)
{
	/* What is not freed is counted in any case. */
	memory_fail_at(fault == FAULT_MEMORY ? (long)nth : LONG_MAX);
	chance.has_failed = false;
	chance.fails_at = fault == FAULT_CHANCE ? 100 + nth : 0;
	if (fault == FAULT_SQLITE)
		sqlite_fail_at(nth, SQLITE_FULL);
}

static bool has_failed(enum fault fault)
{
	bool memory = memory_has_failed(), sqlite = sqlite_has_failed();

	chance.fails_at = 0;
	if (fault == FAULT_SQLITE)
		return sqlite;
	return fault == FAULT_MEMORY ? FAILING_MALLOC && memory : chance.has_failed;
}

/* It was done, and this is what has come of it. */
static void check_done(struct fixture *f, const struct transaction *t, bool with_notes)
{
	struct buffer result, notes;

	buffer_init(&result);
	buffer_init(&notes);
	print_result(f, t, &result);
	print_notes(t, &notes);
	assert_string_equal(result.data, f->result.data);
	if (with_notes)
		assert_string_equal(notes.data, f->notes.data);
	assert_true(is_database(f->store, f->after, f->after_len));
	buffer_finish(&result);
	buffer_finish(&notes);
}

/* Of what is kept in memory, only the checklist and how far workers are may have changed. */
static bool keeps_as_much(
	const struct fixture *f, const struct deed *deed, bool had_checklist, size_t progress)
{
	return had_checklist && value_count(f->brain->progress) == progress &&
	       (deed->message == NULL || strstr(deed->message, "event: progress") == NULL);
}

static void check_refused(struct fixture *f, const struct transaction *t, bool is_counted)
{
	static const struct transaction nothing;

	assert_memory_equal(t, &nothing, sizeof(nothing));
	assert_null(f->found);
	assert_false(store_is_open(f->store));
	assert_non_null(brain_checklist(f->brain));
	assert_true(!is_counted || memory_outstanding() == 0);
	assert_true(value_equal(brain_checklist(f->brain), f->checklist));
	assert_true(is_database(f->store, f->before, f->before_len));
}

/* false: there are not so many of them. */
static bool try_with_fault(
	struct fixture *f, const struct deed *deed, enum fault fault, unsigned nth)
{
	struct transaction t = { 0 };
	struct error error = { 0 };
	enum nc_err err;
	bool failed, had_checklist;
	size_t progress;

	f->doing.deed = deed->name;
	f->doing.fault = fault_names[fault];
	f->doing.nth = nth;
	if (!f->is_as_before || deed->in_memory != NULL)
		go_back(f, deed);
	else if (fault == FAULT_SQLITE)
		forget_prepared(f->store);
	forget_found(f);
	had_checklist = f->brain->checklist != NULL;
	progress = value_count(f->brain->progress);
	fail_at(fault, nth);
	err = do_deed(f, deed, &t, &error);
	failed = has_failed(fault);
	if (err != NC_OK) {
		assert_true(failed);
		assert_true(error.code == err && error.text[0] != '\0');
		/* A text of SQLite's that cannot be had is memory that cannot be had. */
		assert_true(err == NC_ERR_NOMEM || (err == NC_ERR_SYSTEM && fault != FAULT_MEMORY));
		check_refused(f, &t, keeps_as_much(f, deed, had_checklist, progress));
		if (nth % done_again_each[fault] != 0)
			return true;
		err = do_deed(f, deed, &t, &error);
		assert_int_equal(err, NC_OK);
		check_done(f, &t, true);
	} else {
		/* Only talk goes without memory. */
		assert_true(!failed || fault == FAULT_MEMORY);
		check_done(f, &t, !failed);
	}
	transaction_finish(&t);
	f->is_as_before = false;
	return failed;
}

static void try_all(struct fixture *f, enum fault fault)
{
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		unsigned nth = 1;

		rehearse(f, &deeds[i]);
		while (try_with_fault(f, &deeds[i], fault, nth))
			nth++;
	}
	f->doing.deed = NULL;
}

static void r20_a_call_that_fails_changes_nothing_and_can_be_done_again(void **state)
{
	try_all(*state, FAULT_SQLITE);
}

static void r21_memory_that_runs_out_changes_nothing_and_it_can_be_done_again(void **state)
{
	try_all(*state, FAULT_MEMORY);
}

static void no_random_bytes_change_nothing_and_it_can_be_done_again(void **state)
{
	try_all(*state, FAULT_CHANCE);
}

/* --- several in one commit --- */

/* The first of two is well; the second is the deed. */
static enum nc_err do_first(struct fixture *f)
{
	struct transaction t = { 0 };
	enum nc_err err;

	chance.draws = 50;
	err = give(f, "{source: sleep, type: success, payload: {name: first}}", &t, NULL);
	transaction_finish(&t);
	return err;
}

/* Both, as if nothing had been; or the second only. */
static void do_rest(struct fixture *f, const struct deed *deed, bool with_first)
{
	struct transaction t = { 0 };
	struct error error = { 0 };

	assert_int_equal(brain_begin(f->brain, &error), NC_OK);
	if (with_first)
		assert_int_equal(do_first(f), NC_OK);
	if (do_deed(f, deed, &t, &error) != NC_OK)
		fail_msg("%s: %s", deed->name, error.text);
	assert_int_equal(brain_commit(f->brain, &error), NC_OK);
	transaction_finish(&t);
}

/* What is there when the first was committed alone, and when both were. */
struct halves {
	unsigned char *first, *both;
	size_t first_len, both_len;
};

static void rehearse_both(struct fixture *f, const struct deed *deed, struct halves *ret_halves)
{
	rehearse(f, deed);
	go_back(f, deed);
	assert_int_equal(do_first(f), NC_OK);
	ret_halves->first = read_database(f->store, &ret_halves->first_len);
	go_back(f, deed);
	do_rest(f, deed, true);
	ret_halves->both = read_database(f->store, &ret_halves->both_len);
}

/* The `nth` call of the second fails, and then perhaps one of those that take it back. false: there are no more. */
static bool try_second(struct fixture *f, const struct deed *deed, const struct halves *halves,
	unsigned nth, unsigned again)
{
	struct transaction t = { 0 };
	struct error error = { 0 };
	struct value *checklist = NULL;
	bool kept;

	go_back(f, deed);
	assert_int_equal(brain_begin(f->brain, &error), NC_OK);
	assert_int_equal(do_first(f), NC_OK);
	sqlite_fail_at(nth, SQLITE_FULL);
	sqlite_fault.again = again;
	if (do_deed(f, deed, &t, &error) == NC_OK) {
		assert_false(sqlite_has_failed());
		transaction_finish(&t);
		brain_rollback(f->brain);
		return false;
	}
	assert_true(sqlite_has_failed());
	/* One that has been given up in between is not committed as if nothing had been. */
	kept = store_is_open(f->store);
	assert_int_equal(brain_commit(f->brain, &error), kept ? NC_OK : NC_ERR_SYSTEM);
	assert_true(kept || again > 0);
	assert_false(store_is_open(f->store));
	assert_true(is_database(f->store, kept ? halves->first : f->before,
		kept ? halves->first_len : f->before_len));
	assert_int_equal(store_checklist(f->store, &checklist, &error), NC_OK);
	assert_true(value_equal(brain_checklist(f->brain), checklist));
	value_destroy(checklist);
	do_rest(f, deed, !kept);
	assert_true(is_database(f->store, halves->both, halves->both_len));
	return true;
}

static void r20_one_of_several_fails_alone_or_all_are_given_up(void **state)
{
	static const char *const names[] = { "success, merged", "bad", "drops", "asks",
		"lost, again", "import", "put" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		struct halves halves = { 0 };
		bool is_named = false;

		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			is_named = is_named || strcmp(names[k], deeds[i].name) == 0;
		if (!is_named)
			continue;
		rehearse_both(f, &deeds[i], &halves);
		for (unsigned nth = 1; try_second(f, &deeds[i], &halves, nth, nth % 5); nth++)
			;
		sqlite3_free(halves.first);
		sqlite3_free(halves.both);
	}
}

static void r20_a_commit_that_fails_takes_all_of_it_back(void **state)
{
	struct fixture *f = *state;
	struct error error = { 0 };
	const struct value *checklist;

	rehearse(f, &deeds[0]);
	for (unsigned nth = 1; nth <= 2; nth++) {
		/* To prepare it fails, or to do it. */
		go_back(f, &deeds[0]);
		sqlite_fail_at(nth, SQLITE_FULL);
		assert_int_equal(brain_begin(f->brain, &error), NC_ERR_SYSTEM);
		assert_true(sqlite_has_failed());
		assert_int_equal(brain_begin(f->brain, &error), NC_OK);
		assert_int_equal(do_first(f), NC_OK);
		sqlite_fail_at(nth, SQLITE_FULL);
		assert_int_equal(brain_commit(f->brain, &error), NC_ERR_SYSTEM);
		assert_true(sqlite_has_failed());
		assert_true(is_database(f->store, f->before, f->before_len));
		checklist = brain_checklist(f->brain);
		assert_non_null(checklist);
		assert_int_equal(value_count(checklist), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r20_a_call_that_fails_changes_nothing_and_can_be_done_again),
		TEST(r21_memory_that_runs_out_changes_nothing_and_it_can_be_done_again),
		TEST(no_random_bytes_change_nothing_and_it_can_be_done_again),
		TEST(r20_one_of_several_fails_alone_or_all_are_given_up),
		TEST(r20_a_commit_that_fails_takes_all_of_it_back),
	};

	if (!leave_sqlite_alone())
		return 1;
	return cmocka_run_group_tests_name("brain_faults", tests, NULL, NULL);
}
