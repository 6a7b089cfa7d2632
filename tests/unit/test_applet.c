/* core/system/applet */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/system/applet.h"
#include "core/system/exit_status.h"

static const struct cli_option own_options[] = {
	{ .name = "--own", .kind = CLI_KIND_FLAG, .help = "of its own" },
	CLI_END,
};

static const struct applet demo = {
	.name = "demo",
	.kind = APPLET_WORKER,
	.summary = "show how it is done",
	.description = "Shows how it is done.",
	.options = own_options,
};

static char *usage_of(enum applet_kind kind)
{
	struct applet applet = demo;
	struct applet_cli storage;
	struct buffer text;

	applet.kind = kind;
	applet_cli_init(&storage, &applet);
	buffer_init(&text);
	cli_usage(&storage.spec, 200, &text);
	return buffer_steal(&text);
}

static void assert_usage(enum applet_kind kind, const char *expected)
{
	char *usage = usage_of(kind);

	assert_string_equal(usage, expected);
	free(usage);
}

static void daemons_and_workers_have_a_configuration_file_and_debug(void **state)
{
	assert_usage(APPLET_WORKER, "usage: nowcast demo [-h] [--debug] [--own] config_file\n");
	assert_usage(APPLET_DAEMON, "usage: nowcast demo [-h] [--debug] [--own] config_file\n");
}

static void a_command_has_its_own_table_only(void **state)
{
	assert_usage(APPLET_COMMAND, "usage: nowcast demo [-h] [--own]\n");
}

static void an_applet_without_options_has_those_of_its_kind(void **state)
{
	struct applet applet = demo;
	struct applet_cli storage;
	struct buffer text;

	applet.options = NULL;
	applet_cli_init(&storage, &applet);
	buffer_init(&text);
	cli_usage(&storage.spec, 200, &text);
	assert_string_equal(text.data, "usage: nowcast demo [-h] [--debug] config_file\n");
	buffer_finish(&text);
}

static void a_good_line_is_parsed_and_goes_on(void **state)
{
	const char *argv[] = { "demo", "nowcast.yaml", "--own" };
	struct cli_args *args = NULL;
	int status = -1;

	assert_true(applet_parse(&demo, 3, (char **)argv, &args, &status));
	assert_string_equal(cli_text(args, "config_file"), "nowcast.yaml");
	assert_true(cli_flag(args, "--own"));
	assert_false(cli_flag(args, "--debug"));
	cli_args_destroy(args);
}

static void a_wrong_line_ends_with_the_status_of_usage(void **state)
{
	const char *argv[] = { "demo" };
	struct cli_args *args = NULL;
	int status = -1;

	assert_false(applet_parse(&demo, 1, (char **)argv, &args, &status));
	assert_null(args);
	assert_int_equal(status, EXIT_USAGE);
}

static void a_command_finds_its_configuration_file(void **state)
{
	assert_int_equal(unsetenv("NOWCAST_YAML"), 0);
	assert_string_equal(applet_config_file("given.yaml"), "given.yaml");
	assert_string_equal(applet_config_file(NULL), "nowcast.yaml");
	assert_int_equal(setenv("NOWCAST_YAML", "/etc/nowcast.yaml", 1), 0);
	assert_string_equal(applet_config_file("given.yaml"), "given.yaml");
	assert_string_equal(applet_config_file(NULL), "/etc/nowcast.yaml");
	assert_int_equal(setenv("NOWCAST_YAML", "", 1), 0);
	assert_string_equal(applet_config_file(NULL), "nowcast.yaml");
}

static void configuration_files_are_known_by_their_ending(void **state)
{
	assert_true(text_ends_in_yaml("nowcast.yaml"));
	assert_true(text_ends_in_yaml("../a b/c.yml"));
	assert_false(text_ends_in_yaml(".yaml"));
	assert_false(text_ends_in_yaml(".yml"));
	assert_false(text_ends_in_yaml("nowcast.yaml.bak"));
	assert_false(text_ends_in_yaml("yaml"));
	assert_false(text_ends_in_yaml(""));
}

static void the_width_is_that_of_columns(void **state)
{
	assert_int_equal(setenv("COLUMNS", "123", 1), 0);
	assert_int_equal(applet_terminal_width(-1), 123);
	for (size_t i = 0; i < 5; i++) {
		static const char *const nonsense[] = { "", "0", "-3", "wide", "99999999999" };

		assert_int_equal(setenv("COLUMNS", nonsense[i], 1), 0);
		assert_int_equal(applet_terminal_width(-1), 80);
	}
	assert_int_equal(unsetenv("COLUMNS"), 0);
	assert_int_equal(applet_terminal_width(-1), 80);
}

static void a_text_that_memory_was_short_for_is_not_shown(void **state)
{
	struct buffer text;

	buffer_init(&text);
	text.failed = true;
	assert_int_equal(applet_show(&text), EXIT_FAILED);
	buffer_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(daemons_and_workers_have_a_configuration_file_and_debug),
		cmocka_unit_test(a_command_has_its_own_table_only),
		cmocka_unit_test(an_applet_without_options_has_those_of_its_kind),
		cmocka_unit_test(a_good_line_is_parsed_and_goes_on),
		cmocka_unit_test(a_wrong_line_ends_with_the_status_of_usage),
		cmocka_unit_test(a_command_finds_its_configuration_file),
		cmocka_unit_test(configuration_files_are_known_by_their_ending),
		cmocka_unit_test(the_width_is_that_of_columns),
		cmocka_unit_test(a_text_that_memory_was_short_for_is_not_shown),
	};

	return cmocka_run_group_tests_name("applet", tests, NULL, NULL);
}
