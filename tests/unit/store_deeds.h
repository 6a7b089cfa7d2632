/*
 * What a store does, as a table: each deed changes or reads something, all of it in one transaction; fill() makes what is
 * there before. For the tests that have something fail in each of them. Include it in one source file of a test program,
 * behind cmocka.
 */
#ifndef NOWCAST_TESTS_STORE_DEEDS_H
#define NOWCAST_TESTS_STORE_DEEDS_H

#include <stdio.h>
#include <stdlib.h>

#include "core/data/yaml.h"
#include "core/decide/store.h"

#define ID_1       "019abc00-0000-7000-8000-000000000001"
#define ID_2       "019abc00-0000-7000-8000-000000000002"
#define ID_3       "019abc00-0000-7000-8000-000000000003"
#define TEXT(text) ((char *)(uintptr_t)(text))

struct fixture {
	char directory[64];
	struct store *store;
	struct value *key, *value, *checklist, *words;
	int64_t group;
	char copy[80];
};

static enum nc_err add_launch(
	struct store *store, struct fixture *f, const char *id, struct error *error)
{
	struct store_launch launch = { .worker = TEXT("a"),
		.arguments = f->words,
		.host = TEXT("localhost"),
		.boot = TEXT("boot"),
		.why = TEXT("because"),
		.wanted_ns = 10,
		.attempt = 1 };

	(void)snprintf(launch.id, sizeof(launch.id), "%s", id);
	(void)snprintf(launch.token, sizeof(launch.token), "token");
	return store_add_launch(store, &launch, error);
}

static enum nc_err add_group(struct fixture *f, int64_t *ret_id, struct error *error)
{
	struct store_member members[2] = { { .worker = TEXT("a") },
		{ .worker = TEXT("b"), .pattern = TEXT("success <x>") } };
	struct store_group group = { .rule = TEXT("rule#1"),
		.why = TEXT("line 1"),
		.opened_ns = 1,
		.give_up_ns = 2,
		.members = members,
		.members_count = 2 };

	return store_add_group(f->store, &group, ret_id, error);
}

static enum nc_err hold(struct fixture *f, int64_t group, struct error *error)
{
	struct store_held held = { .worker = TEXT("held"),
		.arguments = f->words,
		.host = TEXT("localhost"),
		.why = TEXT("because") };

	return store_hold(f->store, &held, &group, 1, 1, error);
}

static enum nc_err add_program(struct fixture *f, int64_t *ret_id, struct error *error)
{
	struct store_program program = { .argv = f->words,
		.time_limit_ms = 10000,
		.input = TEXT("{}"),
		.source = TEXT("sleep"),
		.type = TEXT("success"),
		.message = TEXT(ID_1),
		.place = TEXT("line 1"),
		.received_ns = 5 };

	return store_add_program(f->store, &program, ret_id, error);
}

static enum nc_err add_alarm(struct fixture *f, struct error *error)
{
	struct store_alarm alarm = {
		.at_ns = 1, .kind = TEXT("alarm"), .text = TEXT("x"), .message = TEXT(ID_1)
	};

	return store_add_alarm(f->store, &alarm, error);
}

static enum nc_err deed_message(struct fixture *f, struct error *error)
{
	struct store_message message = { .id = ID_2,
		.source = "s",
		.type = "t",
		.digest = "d",
		.bytes = "bytes",
		.len = 5,
		.reply = "ack",
		.reply_len = 3 };
	struct store_answer answer;
	enum nc_err err = store_add_message(f->store, &message, 10, error);

	if (err == NC_OK)
		err = store_find_message(f->store, ID_2, &answer, error);
	if (err == NC_OK)
		store_answer_finish(&answer);
	return err;
}

static enum nc_err deed_checklist(struct fixture *f, struct error *error)
{
	struct value *found = NULL;
	int64_t version;
	enum nc_err err = store_put_checklist(f->store, f->key, f->value, error);

	if (err == NC_OK)
		err = store_checklist(f->store, &found, error);
	value_destroy(found);
	if (err == NC_OK)
		err = store_put_checklist(f->store, f->key, NULL, error);
	if (err == NC_OK)
		err = store_clear_checklist(f->store, error);
	if (err == NC_OK)
		err = store_replace_checklist(f->store, f->checklist, error);
	return err == NC_OK ? store_checklist_version(f->store, &version, error) : err;
}

static bool look_at_launch(void *argument, const struct store_launch *launch)
{
	(void)argument;
	return launch->worker != NULL;
}

static enum nc_err deed_launches(struct fixture *f, struct error *error)
{
	struct store *store = f->store;
	struct store_launch launch;
	enum nc_err err = add_launch(store, f, ID_2, error);

	if (err == NC_OK)
		err = store_launch_runs(store, ID_2, STORE_RUNNING, 42, 1, 20, error);
	if (err == NC_OK)
		err = store_find_launch(store, ID_2, &launch, error);
	if (err == NC_OK)
		store_launch_finish(&launch);
	if (err == NC_OK)
		err = store_open_launches(store, look_at_launch, NULL, error);
	if (err == NC_OK)
		err = store_open_launches_of(store, "a", look_at_launch, NULL, error);
	if (err == NC_OK)
		err = store_waiting_launches(store, "a", look_at_launch, NULL, error);
	if (err == NC_OK)
		err = store_launch_ended(
			store, ID_2, STORE_ENDED, "crash", f->checklist, 30, error);
	return err == NC_OK ? store_failed_launches(store, 0, 10, look_at_launch, NULL, error)
			    : err;
}

static enum nc_err deed_group(struct fixture *f, struct error *error)
{
	struct store_group *groups = NULL;
	size_t count = 0;
	int64_t id = 0;
	enum nc_err err = add_group(f, &id, error);

	if (err == NC_OK)
		err = hold(f, id, error);
	if (err == NC_OK)
		err = store_member_ended(f->store, id, 1, "success 1", error);
	if (err == NC_OK)
		err = store_open_groups(f->store, &groups, &count, error);
	store_groups_free(groups, count);
	return err;
}

static bool look_at_held(void *argument, const struct store_held *held)
{
	(void)argument;
	return held->worker != NULL;
}

static enum nc_err deed_let_go(struct fixture *f, struct error *error)
{
	struct store_held *held = NULL;
	size_t count = 0;
	enum nc_err err = store_held_by(f->store, f->group, look_at_held, NULL, error);

	if (err == NC_OK)
		err = store_close_group(f->store, f->group, "released", 5, error);
	if (err == NC_OK)
		err = store_take_free_held(f->store, &held, &count, error);
	store_held_free(held, count);
	return err;
}

static enum nc_err deed_take_held(struct fixture *f, struct error *error)
{
	struct store_held *held = NULL;
	size_t count = 0;
	enum nc_err err = store_take_held_by(f->store, f->group, &held, &count, error);

	store_held_free(held, count);
	return err;
}

static bool look_at_alarm(void *argument, const struct store_alarm *alarm)
{
	(void)argument;
	return alarm->text != NULL;
}

static enum nc_err deed_alarms(struct fixture *f, struct error *error)
{
	enum nc_err err = add_alarm(f, error);

	return err == NC_OK ? store_alarms(f->store, 10, look_at_alarm, NULL, error) : err;
}

static enum nc_err deed_programs(struct fixture *f, struct error *error)
{
	struct store_program program;
	int64_t id = 0;
	size_t count;
	enum nc_err err = add_program(f, &id, error);

	if (err == NC_OK)
		err = store_next_program(f->store, 0, &program, error);
	if (err == NC_OK)
		store_program_finish(&program);
	if (err == NC_OK)
		err = store_find_program(f->store, id, &program, error);
	if (err == NC_OK)
		store_program_finish(&program);
	if (err == NC_OK)
		err = store_count_programs(f->store, ID_1, &count, error);
	return err == NC_OK ? store_remove_program(f->store, id, error) : err;
}

static enum nc_err deed_facts_and_slots(struct fixture *f, struct error *error)
{
	char *text = NULL;
	enum nc_err err = store_set_fact(f->store, "a", "1", error);

	if (err == NC_OK)
		err = store_mark(f->store, error);
	if (err == NC_OK)
		err = store_set_fact(f->store, "a", "2", error);
	if (err == NC_OK)
		err = store_back_to_mark(f->store, error);
	if (err == NC_OK)
		err = store_fact(f->store, "a", &text, error);
	free(text);
	return err == NC_OK ? store_add_slot(f->store, "noon", 5, error) : err;
}

/* What is there before each deed. */
static void fill(struct fixture *f)
{
	struct error error;
	int64_t id;

	assert_int_equal(store_put_checklist(f->store, f->value, f->key, &error), NC_OK);
	assert_int_equal(add_launch(f->store, f, ID_1, &error), NC_OK);
	assert_int_equal(add_launch(f->store, f, ID_3, &error), NC_OK);
	assert_int_equal(
		store_launch_ended(f->store, ID_3, STORE_LOST, "lost", f->checklist, 5, &error),
		NC_OK);
	assert_int_equal(add_group(f, &f->group, &error), NC_OK);
	assert_int_equal(hold(f, f->group, &error), NC_OK);
	assert_int_equal(hold(f, f->group, &error), NC_OK);
	assert_int_equal(add_alarm(f, &error), NC_OK);
	assert_int_equal(add_program(f, &id, &error), NC_OK);
}

typedef enum nc_err deed_function(struct fixture *f, struct error *error);

static deed_function *const deeds[] = { deed_message, deed_checklist, deed_launches, deed_group,
	deed_let_go, deed_take_held, deed_alarms, deed_programs, deed_facts_and_slots };

#endif
