/* core/system/secrets (promises.md, S4) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/yaml.h"
#include "core/system/secrets.h"

static struct secrets *create(const char *section)
{
	struct config config = { 0 };
	struct secrets *secrets = NULL;

	if (section != NULL)
		assert_int_equal(yaml_read(section, strlen(section), 0, &yaml_file_limits,
					 &config.tree, NULL),
			NC_OK);
	assert_int_equal(secrets_create(section != NULL ? &config : NULL, &secrets, NULL), NC_OK);
	value_destroy(config.tree);
	return secrets;
}

static void check(const char *section, const char *text, const char *expected)
{
	struct secrets *secrets = create(section);
	struct buffer out;

	buffer_init(&out);
	secrets_mask(secrets, text, &out);
	assert_string_equal(out.data, expected);
	assert_int_equal(secrets_are_in(secrets, text), strcmp(text, expected) != 0);
	buffer_finish(&out);
	secrets_destroy(secrets);
}

static void names_that_sound_secret_are_by_default(void **state)
{
	check(NULL, "a t0ken-value b", "a *** b");
	check("{}", "t0ken-value", "***");
	check("{}", "t0ken-valu", "t0ken-valu");
	check("{}", "hunter22hunter22", "******");
	check("{}", "https://hooks.example/T1/B2", "***");
	check("{}", "ordinary", "ordinary");
	check("{}", "", "");
}

static void the_section_adds_names_and_takes_them_out(void **state)
{
	check("secrets: [ORDINARY_NAME]", "an ordinary day, t0ken-value", "an *** day, ***");
	check("secrets: 'ordinary_*'", "an ordinary day", "an *** day");
	check("secrets: ['!DATA_TOKEN']", "t0ken-value hunter22", "t0ken-value ***");
	check("secrets: ['*', '!*', 'DATA_*']", "t0ken-value hunter22 ordinary",
		"*** hunter22 ordinary");
}

static void all_texts_of_a_value_are_masked_and_nothing_else(void **state)
{
	static const char text[] =
		"{arguments: [--token, t0ken-value, 5], t0ken-value: {a: 'x t0ken-value'}, "
		"d: 2026-11-24}";
	static const char expected[] =
		"{arguments: [--token, '***', 5], t0ken-value: {a: x ***}, d: 2026-11-24}";
	struct secrets *secrets = create(NULL);
	struct value *value = NULL, *wanted = NULL, *masked;

	assert_int_equal(yaml_read(text, strlen(text), 0, &yaml_file_limits, &value, NULL), NC_OK);
	assert_int_equal(
		yaml_read(expected, strlen(expected), 0, &yaml_file_limits, &wanted, NULL), NC_OK);
	masked = secrets_mask_value(secrets, value);
	assert_true(value_equal(masked, wanted));
	value_destroy(masked);
	masked = secrets_mask_value(NULL, value);
	assert_true(value_equal(masked, value));
	value_destroy(masked);
	value_destroy(wanted);
	value_destroy(value);
	secrets_destroy(secrets);
}

static void what_is_short_is_left_alone(void **state)
{
	check("secrets: [SHORT_ONE]", "12345 is no secret", "12345 is no secret");
	check("secrets: [SIX]", "123456 is one", "*** is one");
}

static void the_longer_one_wins_and_each_line_counts(void **state)
{
	check("{}", "t0ken-value-long", "***");
	check("{}", "t0ken-value-lon", "***-lon");
	check("{}", "MIIEpAIBAAKCAQEA\nx", "***\nx");
	check("{}", "second line of it", "***");
}

static void the_environment_file_has_secrets_too(void **state)
{
	struct environment_entry entries[] = {
		{ (char *)(uintptr_t) "FILE_TOKEN", (char *)(uintptr_t) "from a file" },
		{ (char *)(uintptr_t) "OTHER", (char *)(uintptr_t) "no secret" },
	};
	const struct config config = { .environment = { entries, 2 } };
	struct secrets *secrets = NULL;
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(secrets_create(&config, &secrets, NULL), NC_OK);
	secrets_mask(secrets, "from a file, no secret", &out);
	assert_string_equal(out.data, "***, no secret");
	buffer_finish(&out);
	secrets_destroy(secrets);
}

static void one_from_the_configuration_may_be_added(void **state)
{
	struct secrets *secrets = create(NULL);
	struct buffer out;

	buffer_init(&out);
	assert_int_equal(secrets_add(secrets, "mail password", NULL), NC_OK);
	assert_int_equal(secrets_add(secrets, "mail password", NULL), NC_OK);
	secrets_mask(secrets, "[user, mail password]", &out);
	secrets_mask(NULL, " t0ken-value", &out);
	assert_string_equal(out.data, "[user, ***] t0ken-value");
	assert_false(secrets_are_in(NULL, "t0ken-value"));
	buffer_finish(&out);
	secrets_destroy(secrets);
	secrets_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_sound_secret_are_by_default),
		cmocka_unit_test(the_section_adds_names_and_takes_them_out),
		cmocka_unit_test(all_texts_of_a_value_are_masked_and_nothing_else),
		cmocka_unit_test(what_is_short_is_left_alone),
		cmocka_unit_test(the_longer_one_wins_and_each_line_counts),
		cmocka_unit_test(the_environment_file_has_secrets_too),
		cmocka_unit_test(one_from_the_configuration_may_be_added),
	};

	if (clearenv() != 0 || setenv("DATA_TOKEN", "t0ken-value", 1) != 0 ||
		setenv("OTHER_TOKEN", "t0ken-value-long", 1) != 0 ||
		setenv("db_password", "hunter22", 1) != 0 ||
		setenv("SLACK_CHANNEL", "https://hooks.example/T1/B2", 1) != 0 ||
		setenv("ORDINARY_NAME", "ordinary", 1) != 0 ||
		setenv("SHORT_ONE", "12345", 1) != 0 || setenv("A_KEY", "12345", 1) != 0 ||
		setenv("SIX", "123456", 1) != 0 ||
		setenv("PRIVATE_KEY", "MIIEpAIBAAKCAQEA\nsecond line of it\nend", 1) != 0)
		return 1;
	return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
