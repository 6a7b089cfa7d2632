#include "core/system/cli.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/data/value.h"
#include "core/data/yaml.h"
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

/* One command line on its way. */
struct parse {
	struct cli_args *args;
	struct error *error;
	struct buffer unrecognized; /* words that belong nowhere, with a blank between */
	const char *near;           /* what the first unknown option was perhaps meant to be */
};

const struct cli_option cli_help_option = {
	.name = "--help",
	.short_name = "-h",
	.kind = CLI_KIND_FLAG,
	.help = "show this help message and exit",
};

bool cli_is_positional(const struct cli_option *option)
{
	return option->name[0] != '-';
}

size_t cli_collect(const struct cli_spec *spec, const struct cli_option **options)
{
	size_t count = 0;

	for (const struct cli_option *const *table = spec->tables; *table != NULL; table++)
		for (const struct cli_option *o = *table; o->name != NULL; o++) {
			assert(count < CLI_OPTIONS_MOST);
			options[count++] = o;
		}
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

/* Is `name` the first `len` bytes of `text`, and all of them? */
static bool is_name(const char *name, const char *text, size_t len)
{
	return name != NULL && strlen(name) == len && memcmp(name, text, len) == 0;
}

static struct given *find(const struct cli_args *args, const char *text, size_t len)
{
	for (size_t i = 0; i < args->count; i++) {
		const struct cli_option *o = args->given[i].option;

		if (is_name(o->name, text, len) || is_name(o->short_name, text, len))
			return &args->given[i];
	}
	return NULL;
}

bool cli_default_date(const struct cli_option *option, struct date today, struct date *ret_date)
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

static struct cli_args *args_create(const struct cli_spec *spec, struct date today)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options);
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
		args->given[i].has_date = cli_default_date(options[i], today, &args->given[i].date);
	}
	return args;
}

/* --- what is wrong --- */

static void append_safe(struct buffer *out, const char *text, char quote)
{
	bool is_utf8 = utf8_is_valid(text, strlen(text), NULL);

	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		/* U+0080 to U+009F are control characters, too. */
		bool is_control = *c < 0x20 || *c == 0x7f || (*c >= 0x80 && !is_utf8) ||
				  (c[0] == 0xc2 && c[1] < 0xa0);

		if (quote != '\0' && (*c == '\\' || *c == (unsigned char)quote))
			buffer_printf(out, "\\%c", *c);
		else if (*c == '\n' || *c == '\t' || *c == '\r')
			buffer_printf(out, "\\%c", *c == '\n' ? 'n' : *c == '\t' ? 't' : 'r');
		else if (is_control && is_utf8 && *c == 0xc2)
			buffer_printf(out, "\\x%02x", *++c);
		else if (is_control)
			buffer_printf(out, "\\x%02x", *c);
		else
			buffer_append_char(out, (char)*c);
	}
}

void cli_append_safe(struct buffer *out, const char *text)
{
	append_safe(out, text, '\0');
}

/* In quotes, as Python's repr() chooses them. */
static void append_quoted(struct buffer *out, const char *text)
{
	char quote = strchr(text, '\'') != NULL && strchr(text, '"') == NULL ? '"' : '\'';

	buffer_append_char(out, quote);
	append_safe(out, text, quote);
	buffer_append_char(out, quote);
}

/* The words in `text` are the error; `text` is finished. */
static enum cli_result wrong(struct parse *p, struct buffer *text)
{
	enum cli_result result = text->failed ? CLI_NOMEM : CLI_WRONG;

	if (result == CLI_WRONG)
		(void)error_set(p->error, NC_ERR_INVALID, "%s", text->data);
	buffer_finish(text);
	return result;
}

/* What every complaint about an option begins with. */
static void begin_complaint(struct buffer *text, const struct cli_option *option)
{
	buffer_init(text);
	buffer_append_text(text, "argument ");
	if (cli_is_positional(option) && option->metavar != NULL)
		buffer_append_text(text, option->metavar);
	else
		buffer_printf(text, "%s%s%s", option->short_name != NULL ? option->short_name : "",
			option->short_name != NULL ? "/" : "", option->name);
	buffer_append_text(text, ": ");
}

static enum cli_result wrong_choice(
	struct parse *p, const struct cli_option *option, const char *value)
{
	struct buffer why;

	begin_complaint(&why, option);
	buffer_append_text(&why, "invalid choice: ");
	append_quoted(&why, value);
	buffer_append_text(&why, " (choose from ");
	for (const char *const *choice = option->choices; *choice != NULL; choice++) {
		buffer_append_text(&why, choice != option->choices ? ", " : "");
		append_quoted(&why, *choice);
	}
	buffer_append_char(&why, ')');
	return wrong(p, &why);
}

static enum cli_result ignored_value(
	struct parse *p, const struct cli_option *option, const char *value)
{
	struct buffer why;

	begin_complaint(&why, option);
	buffer_append_text(&why, "ignored explicit argument ");
	append_quoted(&why, value);
	return wrong(p, &why);
}

/* --- values --- */

static enum cli_result check_integer(struct parse *p, struct given *given, const char *value)
{
	const struct cli_option *option = given->option;
	int64_t integer;
	struct buffer why;

	if (!text_to_int64(value, &integer)) {
		begin_complaint(&why, option);
		buffer_append_text(&why, "invalid int value: ");
		append_quoted(&why, value);
		return wrong(p, &why);
	}
	if (option->most > option->least && (integer < option->least || integer > option->most)) {
		begin_complaint(&why, option);
		buffer_printf(&why, "%" PRId64 " is not between %" PRId64 " and %" PRId64, integer,
			option->least, option->most);
		return wrong(p, &why);
	}
	given->integer = integer;
	return CLI_PARSED;
}

static enum cli_result check_date(struct parse *p, struct given *given, const char *value)
{
	struct buffer why;

	/* Only the one form that the help names; date_parse() also takes YYYYMMDD. */
	if (strlen(value) == strlen("YYYY-MM-DD") &&
		date_parse(value, &given->date, NULL) == NC_OK) {
		given->has_date = true;
		return CLI_PARSED;
	}
	begin_complaint(&why, given->option);
	buffer_append_text(&why, "unrecognized date format: ");
	cli_append_safe(&why, value);
	buffer_append_text(&why, " - please use YYYY-MM-DD");
	return wrong(p, &why);
}

static enum cli_result check_value(struct parse *p, struct given *given, const char *value)
{
	switch (given->option->kind) {
	case CLI_KIND_INT:
		return check_integer(p, given, value);
	case CLI_KIND_DATE:
		return check_date(p, given, value);
	case CLI_KIND_TEXT:
		if (given->option->choices == NULL)
			return CLI_PARSED;
		for (const char *const *choice = given->option->choices; *choice != NULL; choice++)
			if (strcmp(*choice, value) == 0)
				return CLI_PARSED;
		return wrong_choice(p, given->option, value);
	case CLI_KIND_FLAG:
	case CLI_KIND_END:
		break;
	}
	return CLI_PARSED;
}

static enum cli_result add_value(struct parse *p, struct given *given, const char *value)
{
	const char **values;

	if (!given->option->repeated)
		given->count = 0; /* the last one counts, as argparse has it */
	values = reallocarray(given->values, given->count + 1, sizeof(*values));
	if (values == NULL)
		return CLI_NOMEM;
	given->values = values;
	values[given->count++] = value;
	return check_value(p, given, value);
}

/* --- words --- */

static bool is_negative_number(const char *word)
{
	size_t whole = strspn(word + 1, "0123456789");
	const char *rest = word + 1 + whole;

	if (*rest == '\0')
		return whole > 0;
	return rest[0] == '.' && rest[1] != '\0' &&
	       rest[1 + strspn(rest + 1, "0123456789")] == '\0';
}

/* How much of `word` names an option: all, what is before `=`, or the two bytes of `-nVALUE`. */
static struct given *find_option(const struct cli_args *args, const char *word, size_t *ret_len)
{
	struct given *given = find(args, word, strlen(word));

	*ret_len = strlen(word);
	if (given == NULL && strchr(word, '=') != NULL) {
		*ret_len = strcspn(word, "=");
		given = find(args, word, *ret_len);
	}
	if (given == NULL && word[1] != '-') {
		*ret_len = 2;
		given = find(args, word, *ret_len);
	}
	return given;
}

/* Does a word stand where options stand, and not for a value? argparse's rules. */
static bool looks_like_option(const struct cli_args *args, const char *word)
{
	size_t len;

	if (word[0] != '-' || word[1] == '\0')
		return false;
	if (strcmp(word, "--") == 0 || find_option(args, word, &len) != NULL)
		return true;
	return !is_negative_number(word) && strchr(word, ' ') == NULL;
}

/* The option that `word` begins (an abbreviation, which we do not take), or is most like. */
static const char *nearest_option(const struct cli_args *args, const char *word)
{
	const char *names[CLI_OPTIONS_MOST + 1], *beginning = NULL, *near = NULL;
	size_t count = 0, len = strcspn(word, "=");
	char *typed = strndup(word, len);

	names[count++] = cli_help_option.name;
	for (size_t i = 0; i < args->count; i++)
		if (!cli_is_positional(args->given[i].option))
			names[count++] = args->given[i].option->name;
	for (size_t i = 0; i < count && len > 2; i++)
		if (strncmp(names[i], word, len) == 0)
			beginning = names[i];
	if (typed != NULL && len > 2)
		near = beginning != NULL ? beginning : suggest(typed, names, count);
	free(typed);
	return near;
}

static enum cli_result set_aside(struct parse *p, const char *word)
{
	if (p->near == NULL && word[0] == '-')
		p->near = nearest_option(p->args, word);
	buffer_append_text(&p->unrecognized, p->unrecognized.len > 0 ? " " : "");
	cli_append_safe(&p->unrecognized, word[0] != '\0' ? word : "''");
	return p->unrecognized.failed ? CLI_NOMEM : CLI_PARSED;
}

/* One option at argv[*at]; moves on over its value. `-abc` is `-a -b -c` when -a and -b take none. */
static enum cli_result take_option(struct parse *p, int argc, char *const *argv, int *at)
{
	const char *word = argv[*at], *value;
	size_t len;
	struct given *given = find_option(p->args, word, &len);
	struct buffer why;

	if (given == NULL)
		return set_aside(p, word);
	value = word[len] == '\0' ? NULL : word + len + (word[len] == '=');
	while (given->option->kind == CLI_KIND_FLAG && value != NULL) {
		const char name[] = { '-', value[0], '\0' };
		struct given *next = word[1] != '-' ? find(p->args, name, 2) : NULL;
		enum cli_result result = add_value(p, given, "");

		if (result != CLI_PARSED)
			return result;
		if (word[1] != '-' && strcmp(value, "h") == 0)
			return CLI_SHOW_HELP;
		if (next == NULL)
			return ignored_value(p, given->option, value);
		given = next;
		value = value[1] != '\0' ? value + 1 : NULL;
	}
	if (given->option->kind == CLI_KIND_FLAG || value != NULL)
		return add_value(p, given, value != NULL ? value : "");
	if (*at + 1 >= argc || looks_like_option(p->args, argv[*at + 1])) {
		begin_complaint(&why, given->option);
		buffer_append_text(&why, "expected one argument");
		return wrong(p, &why);
	}
	return add_value(p, given, argv[++*at]);
}

static enum cli_result take_positional(struct parse *p, const char *word)
{
	for (size_t i = 0; i < p->args->count; i++) {
		struct given *given = &p->args->given[i];

		if (cli_is_positional(given->option) &&
			(given->count == 0 || given->option->repeated))
			return add_value(p, given, word);
	}
	return set_aside(p, word);
}

/* At the end: is all there that must be, and nothing else? As in argparse, the first matters more. */
static enum cli_result check_complete(struct parse *p)
{
	struct buffer why;
	size_t missing = 0;

	buffer_init(&why);
	for (size_t i = 0; i < p->args->count; i++) {
		const struct cli_option *o = p->args->given[i].option;

		if (!cli_is_positional(o) || o->optional || p->args->given[i].count > 0)
			continue;
		buffer_printf(&why, "%s%s",
			missing++ == 0 ? "the following arguments are required: " : ", ",
			o->metavar != NULL ? o->metavar : o->name);
	}
	if (missing == 0 && p->unrecognized.len == 0) {
		buffer_finish(&why);
		return CLI_PARSED;
	}
	if (missing == 0 || p->near != NULL)
		buffer_printf(&why, "%sunrecognized arguments: %s", missing > 0 ? "; " : "",
			p->unrecognized.data);
	if (p->near != NULL)
		buffer_printf(&why, "; did you mean %s?", p->near);
	return wrong(p, &why);
}

/* -h wins over whatever else is wrong, wherever it stands. */
static bool asks_for_help(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

static enum cli_result take_words(struct parse *p, int argc, char *const *argv)
{
	enum cli_result result = CLI_PARSED;
	bool options_end = false;

	for (int at = 1; at < argc && result == CLI_PARSED; at++) {
		if (!options_end && strcmp(argv[at], "--") == 0)
			options_end = true;
		else if (!options_end && looks_like_option(p->args, argv[at]))
			result = take_option(p, argc, argv, &at);
		else
			result = take_positional(p, argv[at]);
	}
	return result == CLI_PARSED ? check_complete(p) : result;
}

enum cli_result cli_parse(const struct cli_spec *spec, int argc, char *const *argv,
	struct date today, struct cli_args **ret_args, struct error *error)
{
	struct parse p = { .error = error };
	enum cli_result result;

	if (asks_for_help(argc, argv))
		return CLI_SHOW_HELP;
	p.args = args_create(spec, today);
	if (p.args == NULL)
		return CLI_NOMEM;
	buffer_init(&p.unrecognized);
	result = take_words(&p, argc, argv);
	buffer_finish(&p.unrecognized);
	if (result != CLI_PARSED) {
		cli_args_destroy(p.args);
		return result;
	}
	*ret_args = p.args;
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
