/*
 * Help in the look of argparse (Python 3.11): its widths, its wrapping of the usage line, its columns.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/system/cli_internal.h"

enum {
	HELP_COLUMN_MOST = 24, /* argparse: max_help_position */
	TEXT_WIDTH_LEAST = 11,
};

static void indent_by(struct buffer *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		buffer_append_char(out, ' ');
}

void cli_wrap(
	const char *text, unsigned indent, unsigned column, unsigned width, struct buffer *out)
{
	bool first_on_line = true;

	if (column == 0)
		indent_by(out, indent);
	column = column == 0 ? indent : column;
	while (*text != '\0') {
		size_t len;

		while (isspace((unsigned char)*text))
			text++;
		len = strcspn(text, " \t\n");
		if (len == 0)
			break;
		if (!first_on_line && column + 1 + len > width) {
			buffer_append_char(out, '\n');
			indent_by(out, indent);
			column = indent;
			first_on_line = true;
		}
		if (!first_on_line) {
			buffer_append_char(out, ' ');
			column++;
		}
		buffer_append(out, text, len);
		column += (unsigned)len;
		first_on_line = false;
		text += len;
	}
	buffer_append_char(out, '\n');
}

/* SLEEP_TIME, {a,b} or what the table says; nothing for a flag. */
static void append_metavar(const struct cli_option *option, struct buffer *out)
{
	if (option->metavar != NULL) {
		buffer_append_text(out, option->metavar);
	} else if (option->choices != NULL) {
		buffer_append_char(out, '{');
		for (const char *const *choice = option->choices; *choice != NULL; choice++)
			buffer_printf(out, "%s%s", choice != option->choices ? "," : "", *choice);
		buffer_append_char(out, '}');
	} else if (cli_is_positional(option)) {
		buffer_append_text(out, option->name);
	} else {
		for (const char *c = option->name + strspn(option->name, "-"); *c != '\0'; c++)
			buffer_append_char(out, *c == '-' ? '_' : (char)toupper((unsigned char)*c));
	}
}

/* A part of the usage line: `[--sleep-time SLEEP_TIME]`, `config_file`, `[args ...]`. */
static void append_usage_part(const struct cli_option *option, struct buffer *out)
{
	if (!cli_is_positional(option)) {
		buffer_printf(
			out, "[%s", option->short_name != NULL ? option->short_name : option->name);
		if (option->kind != CLI_KIND_FLAG) {
			buffer_append_char(out, ' ');
			append_metavar(option, out);
		}
		buffer_append_char(out, ']');
		return;
	}
	if (option->optional)
		buffer_append_char(out, '[');
	else if (option->repeated) {
		append_metavar(option, out);
		buffer_append_text(out, " [");
	}
	append_metavar(option, out);
	if (option->repeated)
		buffer_append_text(out, " ...");
	if (option->optional || option->repeated)
		buffer_append_char(out, ']');
}

/* Parts that begin at `*column`, wrapped behind `indent` blanks. */
static void append_parts(const struct cli_spec *spec, bool positionals, unsigned indent,
	unsigned width, unsigned *column, struct buffer *out)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options, ARRAY_LEN(options));
	struct buffer part;

	buffer_init(&part);
	for (size_t i = 0; i <= count; i++) {
		/* -h comes first among the options. */
		const struct cli_option *option = i > 0 ? options[i - 1] : NULL;

		if (option == NULL ? positionals : cli_is_positional(option) != positionals)
			continue;
		buffer_clear(&part);
		if (option == NULL)
			buffer_append_text(&part, "[-h]");
		else
			append_usage_part(option, &part);
		if (*column > indent && *column + 1 + part.len > width) {
			buffer_append_char(out, '\n');
			indent_by(out, indent);
			*column = indent;
		} else if (*column > indent || (out->len > 0 && out->data[out->len - 1] != ' ')) {
			buffer_append_char(out, ' ');
			++*column;
		}
		buffer_append(out, part.data, part.len);
		*column += (unsigned)part.len;
	}
	out->failed = out->failed || part.failed;
	buffer_finish(&part);
}

static bool has_positionals(const struct cli_spec *spec)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options, ARRAY_LEN(options));

	for (size_t i = 0; i < count; i++)
		if (cli_is_positional(options[i]))
			return true;
	return false;
}

void cli_usage(const struct cli_spec *spec, unsigned width, struct buffer *out)
{
	struct buffer line;
	unsigned indent = (unsigned)strlen("usage: ") + (unsigned)strlen(spec->command) + 1;
	unsigned column = indent - 1;

	width = (width == 0 ? 80 : width) - 2;
	buffer_init(&line);
	buffer_printf(&line, "usage: %s", spec->command);
	append_parts(spec, false, 10000, 10000, &column, &line);
	column = (unsigned)line.len;
	append_parts(spec, true, 10000, 10000, &column, &line);
	if (line.len <= width || line.failed) {
		buffer_append(out, line.data, line.len);
	} else {
		/* argparse: the options wrapped, then the positionals on lines of their own. */
		buffer_printf(out, "usage: %s ", spec->command);
		column = indent;
		append_parts(spec, false, indent, width, &column, out);
		if (has_positionals(spec)) {
			buffer_append_char(out, '\n');
			indent_by(out, indent);
			column = indent;
			append_parts(spec, true, indent, width, &column, out);
		}
	}
	out->failed = out->failed || line.failed;
	buffer_finish(&line);
	buffer_append_char(out, '\n');
}

/* `  -f FILE, --file FILE` */
static void append_invocation(const struct cli_option *option, struct buffer *out)
{
	const char *names[2] = { option->short_name, option->name };

	buffer_append_text(out, "  ");
	if (cli_is_positional(option)) {
		append_metavar(option, out);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i] == NULL)
			continue;
		if (i == 1 && names[0] != NULL)
			buffer_append_text(out, ", ");
		buffer_append_text(out, names[i]);
		if (option->kind != CLI_KIND_FLAG) {
			buffer_append_char(out, ' ');
			append_metavar(option, out);
		}
	}
}

static const struct cli_option help_option = {
	.name = "--help",
	.short_name = "-h",
	.kind = CLI_KIND_FLAG,
	.help = "show this help message and exit",
};

static unsigned help_column(const struct cli_spec *spec)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options, ARRAY_LEN(options));
	size_t longest = strlen("  -h, --help");
	struct buffer text;

	buffer_init(&text);
	for (size_t i = 0; i < count; i++) {
		buffer_clear(&text);
		append_invocation(options[i], &text);
		if (text.len > longest)
			longest = text.len;
	}
	buffer_finish(&text);
	return longest + 2 < HELP_COLUMN_MOST ? (unsigned)longest + 2 : HELP_COLUMN_MOST;
}

static void append_option(const struct cli_option *option, struct date today, unsigned column,
	unsigned width, struct buffer *out)
{
	char day[DATE_TEXT_SIZE];
	struct buffer text;
	struct date date;
	size_t start = out->len, len;

	append_invocation(option, out);
	len = out->len - start;
	if (option->help == NULL) {
		buffer_append_char(out, '\n');
		return;
	}
	if (len + 2 > column) {
		buffer_append_char(out, '\n');
		indent_by(out, column);
	} else {
		indent_by(out, column - (unsigned)len);
	}
	buffer_init(&text);
	buffer_append_text(&text, option->help);
	if (option->kind == CLI_KIND_DATE) {
		buffer_append_text(&text, " Use YYYY-MM-DD format.");
		if (cli_default_date(option, today, &date))
			buffer_printf(&text, " Defaults to %s.", date_print(date, day));
	}
	cli_wrap(text.data, column, column, width, out);
	buffer_finish(&text);
}

static void append_section(const struct cli_spec *spec, const char *title, bool positionals,
	struct date today, unsigned width, struct buffer *out)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options, ARRAY_LEN(options));
	unsigned column = help_column(spec);

	buffer_printf(out, "\n%s:\n", title);
	if (!positionals)
		append_option(&help_option, today, column, width, out);
	for (size_t i = 0; i < count; i++)
		if (cli_is_positional(options[i]) == positionals)
			append_option(options[i], today, column, width, out);
}

static void append_paragraphs(const char *text, unsigned width, struct buffer *out)
{
	while (*text != '\0') {
		const char *end = strstr(text, "\n\n");
		char paragraph[2000];

		(void)snprintf(paragraph, sizeof(paragraph), "%.*s",
			end != NULL ? (int)(end - text) : (int)strlen(text), text);
		buffer_append_char(out, '\n');
		cli_wrap(paragraph, 0, 0, width, out);
		text = end != NULL ? end + 2 : text + strlen(text);
	}
}

void cli_help(const struct cli_spec *spec, struct date today, unsigned width, struct buffer *out)
{
	unsigned text_width = (width == 0 ? 80 : width) - 2;

	if (text_width < TEXT_WIDTH_LEAST + HELP_COLUMN_MOST)
		text_width = TEXT_WIDTH_LEAST + HELP_COLUMN_MOST;
	cli_usage(spec, text_width + 2, out);
	if (spec->description != NULL)
		append_paragraphs(spec->description, text_width, out);
	if (has_positionals(spec))
		append_section(spec, "positional arguments", true, today, text_width, out);
	append_section(spec, "options", false, today, text_width, out);
	if (spec->epilog != NULL)
		append_paragraphs(spec->epilog, text_width, out);
}
