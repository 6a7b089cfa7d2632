#include "core/system/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/data/value.h"
#include "core/system/cli_internal.h"

/* What one option of the tables was given. */
struct given {
	const struct cli_option *option;
	const char **values; /* as on the command line; they stay argv's */
	size_t count;
	int64_t integer;
	struct date date;
	bool has_date;
};

struct cli_args {
	struct given *given;
	size_t count;
};

bool cli_is_positional(const struct cli_option *option)
{
	return option->name[0] != '-';
}

size_t cli_collect(const struct cli_spec *spec, const struct cli_option **options, size_t most)
{
	size_t count = 0;

	for (const struct cli_option *const *table = spec->tables; *table != NULL; table++)
		for (const struct cli_option *o = *table; o->name != NULL && count < most; o++)
			options[count++] = o;
	return count;
}

void cli_args_destroy(struct cli_args *args)
{
	if (args == NULL)
		return;
	for (size_t i = 0; i < args->count; i++)
		free(args->given[i].values);
	free(args->given);
	free(args);
}

static struct given *find(const struct cli_args *args, const char *name, size_t len)
{
	for (size_t i = 0; i < args->count; i++) {
		const struct cli_option *o = args->given[i].option;

		if ((strncmp(o->name, name, len) == 0 && o->name[len] == '\0') ||
			(o->short_name != NULL && strncmp(o->short_name, name, len) == 0 &&
				o->short_name[len] == '\0'))
			return &args->given[i];
	}
	return NULL;
}

static bool default_date(const struct cli_option *option, struct date today, struct date *ret_date)
{
	switch (option->default_date) {
	case CLI_DATE_NONE:
		return false;
	case CLI_DATE_TODAY:
		*ret_date = today;
		return true;
	case CLI_DATE_YESTERDAY:
		return date_add_days(today, -1, ret_date);
	case CLI_DATE_TOMORROW:
		return date_add_days(today, 1, ret_date);
	}
	return false;
}

bool cli_default_date(const struct cli_option *option, struct date today, struct date *ret_date)
{
	return default_date(option, today, ret_date);
}

static struct cli_args *args_create(const struct cli_spec *spec, struct date today)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options, ARRAY_LEN(options));
	struct cli_args *args = calloc(1, sizeof(*args));

	if (args == NULL)
		return NULL;
	args->given = calloc(count + 1, sizeof(*args->given));
	if (args->given == NULL) {
		free(args);
		return NULL;
	}
	args->count = count;
	for (size_t i = 0; i < count; i++) {
		args->given[i].option = options[i];
		args->given[i].integer = options[i]->default_int;
		args->given[i].has_date = default_date(options[i], today, &args->given[i].date);
	}
	return args;
}

static enum cli_result wrong_value(
	const struct cli_option *option, struct error *error, const char *format, const char *value)
{
	struct buffer why;

	buffer_init(&why);
	buffer_append_text(&why, "argument ");
	if (option->short_name != NULL)
		buffer_printf(&why, "%s/", option->short_name);
	buffer_printf(&why, "%s: ", option->name);
	for (const char *c = format; *c != '\0'; c++) {
		if (*c == '@')
			buffer_append_text(&why, value);
		else
			buffer_append_char(&why, *c);
	}
	(void)error_set(error, NC_ERR_INVALID, "%s", why.data);
	buffer_finish(&why);
	return CLI_WRONG;
}

static enum cli_result check_choice(
	const struct cli_option *option, const char *value, struct error *error)
{
	struct buffer why;
	enum cli_result result;

	for (const char *const *choice = option->choices; *choice != NULL; choice++)
		if (strcmp(*choice, value) == 0)
			return CLI_PARSED;
	buffer_init(&why);
	buffer_append_text(&why, "invalid choice: '@' (choose from ");
	for (const char *const *choice = option->choices; *choice != NULL; choice++)
		buffer_printf(&why, "%s'%s'", choice != option->choices ? ", " : "", *choice);
	buffer_append_char(&why, ')');
	result = wrong_value(option, error, why.data, value);
	buffer_finish(&why);
	return result;
}

static enum cli_result check_value(struct given *given, const char *value, struct error *error)
{
	const struct cli_option *option = given->option;
	char range[80];

	switch (option->kind) {
	case CLI_KIND_INT:
		if (!text_to_int64(value, &given->integer))
			return wrong_value(option, error, "invalid int value: '@'", value);
		if (option->most > option->least &&
			(given->integer < option->least || given->integer > option->most)) {
			(void)snprintf(range, sizeof(range), "@ is not between %lld and %lld",
				(long long)option->least, (long long)option->most);
			return wrong_value(option, error, range, value);
		}
		return CLI_PARSED;
	case CLI_KIND_DATE:
		/* Only the one form that the help names. */
		if (strlen(value) != 10 || date_parse(value, &given->date, NULL) != NC_OK)
			return wrong_value(option, error,
				"unrecognized date format: @ - please use YYYY-MM-DD", value);
		given->has_date = true;
		return CLI_PARSED;
	case CLI_KIND_TEXT:
		if (option->choices != NULL)
			return check_choice(option, value, error);
		return CLI_PARSED;
	case CLI_KIND_FLAG:
	case CLI_KIND_END:
		break;
	}
	return CLI_PARSED;
}

static enum cli_result add_value(struct given *given, const char *value, struct error *error)
{
	const char **values = reallocarray(given->values, given->count + 1, sizeof(*values));

	if (values == NULL)
		return CLI_NOMEM;
	given->values = values;
	values[given->count++] = value;
	return given->option->kind == CLI_KIND_FLAG ? CLI_PARSED : check_value(given, value, error);
}

static enum cli_result unknown_option(
	const struct cli_args *args, const char *name, size_t len, struct error *error)
{
	const char *names[CLI_OPTIONS_MOST + 1];
	const char *near;
	char typed[80];
	size_t count = 0;

	(void)snprintf(typed, sizeof(typed), "%.*s", (int)len, name);
	for (size_t i = 0; i < args->count; i++)
		if (!cli_is_positional(args->given[i].option))
			names[count++] = args->given[i].option->name;
	names[count++] = "--help";
	near = len > 2 ? suggest(typed, names, count) : NULL;
	(void)error_set(error, NC_ERR_INVALID, "unrecognized arguments: %s%s%s%s", typed,
		near != NULL ? "; did you mean " : "", near != NULL ? near : "",
		near != NULL ? "?" : "");
	return CLI_WRONG;
}

static bool looks_negative(const char *text)
{
	return text[0] == '-' && text[1] >= '0' && text[1] <= '9';
}

/* One option at argv[*at]; moves on over its value. */
static enum cli_result take_option(
	struct cli_args *args, int argc, char *const *argv, int *at, struct error *error)
{
	const char *word = argv[*at];
	const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
	size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
	struct given *given = find(args, word, len);

	if (given == NULL)
		return unknown_option(args, word, len, error);
	if (given->option->kind == CLI_KIND_FLAG) {
		if (equals != NULL)
			return wrong_value(
				given->option, error, "ignored explicit argument '@'", equals + 1);
		return add_value(given, "", error);
	}
	if (!given->option->repeated)
		given->count = 0; /* the last one counts, as argparse has it */
	if (equals != NULL)
		return add_value(given, equals + 1, error);
	if (*at + 1 >= argc || (argv[*at + 1][0] == '-' && argv[*at + 1][1] != '\0' &&
				       !looks_negative(argv[*at + 1])))
		return wrong_value(given->option, error, "expected one argument", "");
	return add_value(given, argv[++*at], error);
}

static enum cli_result take_positional(struct cli_args *args, const char *word, struct error *error)
{
	for (size_t i = 0; i < args->count; i++) {
		struct given *given = &args->given[i];

		if (cli_is_positional(given->option) &&
			(given->count == 0 || given->option->repeated))
			return add_value(given, word, error);
	}
	(void)error_set(error, NC_ERR_INVALID, "unrecognized arguments: %.80s", word);
	return CLI_WRONG;
}

static enum cli_result check_required(const struct cli_args *args, struct error *error)
{
	struct buffer missing;
	enum cli_result result = CLI_PARSED;

	buffer_init(&missing);
	for (size_t i = 0; i < args->count; i++) {
		const struct cli_option *o = args->given[i].option;

		if (cli_is_positional(o) && !o->optional && args->given[i].count == 0)
			buffer_printf(&missing, "%s%s", missing.len > 0 ? ", " : "", o->name);
	}
	if (missing.len > 0) {
		(void)error_set(error, NC_ERR_INVALID, "the following arguments are required: %s",
			missing.data);
		result = CLI_WRONG;
	}
	buffer_finish(&missing);
	return result;
}

/* -h wins over whatever else is wrong, wherever it stands. */
static bool asks_for_help(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

enum cli_result cli_parse(const struct cli_spec *spec, int argc, char *const *argv,
	struct date today, struct cli_args **ret_args, struct error *error)
{
	struct cli_args *args;
	enum cli_result result = CLI_PARSED;
	bool options_end = false;

	if (asks_for_help(argc, argv))
		return CLI_SHOW_HELP;
	args = args_create(spec, today);
	if (args == NULL)
		return CLI_NOMEM;
	for (int at = 1; at < argc && result == CLI_PARSED; at++) {
		const char *word = argv[at];

		if (!options_end && strcmp(word, "--") == 0)
			options_end = true;
		else if (!options_end && word[0] == '-' && word[1] != '\0' && !looks_negative(word))
			result = take_option(args, argc, argv, &at, error);
		else
			result = take_positional(args, word, error);
	}
	if (result == CLI_PARSED)
		result = check_required(args, error);
	if (result != CLI_PARSED) {
		cli_args_destroy(args);
		return result;
	}
	*ret_args = args;
	return CLI_PARSED;
}

/* --- getters --- */

bool cli_given(const struct cli_args *args, const char *name)
{
	const struct given *given = find(args, name, strlen(name));

	return given != NULL && given->count > 0;
}

bool cli_flag(const struct cli_args *args, const char *name)
{
	return cli_given(args, name);
}

int64_t cli_int(const struct cli_args *args, const char *name)
{
	const struct given *given = find(args, name, strlen(name));

	return given != NULL ? given->integer : 0;
}

const char *cli_text(const struct cli_args *args, const char *name)
{
	const struct given *given = find(args, name, strlen(name));

	if (given == NULL)
		return NULL;
	return given->count > 0 ? given->values[0] : given->option->default_text;
}

bool cli_date(const struct cli_args *args, const char *name, struct date *ret_date)
{
	const struct given *given = find(args, name, strlen(name));

	if (given == NULL || !given->has_date)
		return false;
	*ret_date = given->date;
	return true;
}

const char *cli_text_at(const struct cli_args *args, const char *name, size_t index)
{
	const struct given *given = find(args, name, strlen(name));

	return given != NULL && index < given->count ? given->values[index] : NULL;
}
