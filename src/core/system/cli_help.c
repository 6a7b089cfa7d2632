/*
 * Help in the look of argparse (Python 3.11): its widths, its wrapping of the usage line, its columns, and
 * its breaking of texts, which is that of Python's textwrap. tests/system/command_line.py holds it against
 * argparse itself.
 */
#include <ctype.h>
#include <string.h>

#include "core/system/cli_internal.h"

enum {
	HELP_COLUMN_MOST = 24,
	TEXT_WIDTH_LEAST = 11,
	WIDTH_DEFAULT = 80,
	WIDTH_MOST = 4096,
};

/* argparse leaves two columns free. Of a width under 2 nothing is left, and each word has a line. */
static size_t layout_width(unsigned width)
{
	if (width == 0)
		width = WIDTH_DEFAULT;
	return width <= 2 ? 0 : (width > WIDTH_MOST ? WIDTH_MOST : width) - 2;
}

static void indent_by(struct buffer *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buffer_append_char(out, ' ');
}

/* --- breaking of texts --- */

static bool is_letter(char c)
{
	return isalpha((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* \w */
static bool is_word(char c)
{
	return is_letter(c) || isdigit((unsigned char)c) || c == '_';
}

static bool ends_word(char c)
{
	return is_word(c) || (c != '\0' && strchr("!\"'&.,?", c) != NULL);
}

static bool is_blank(char c)
{
	return c != '\0' && strchr(" \t\n\v\f\r", c) != NULL;
}

/* Is there a dash of two or more hyphens at text[at], with a word before it and one behind? */
static size_t dash_at(const char *text, size_t at)
{
	size_t len = strspn(text + at, "-");

	return len >= 2 && at > 0 && ends_word(text[at - 1]) && is_word(text[at + len]) ? len : 0;
}

/* May a line end behind the hyphen at text[at]? Only inside words: not in `--sleep-time`. */
static bool may_break_at(const char *text, size_t at)
{
	bool before = (at >= 2 && is_letter(text[at - 1]) && is_letter(text[at - 2])) ||
		      (at >= 3 && is_letter(text[at - 1]) && text[at - 2] == '-' &&
			      is_letter(text[at - 3]));
	const char *after = text + at + 1;

	return before && is_letter(after[0]) &&
	       is_letter(after[0] != '\0' && after[1] == '-' ? after[2] : after[1]);
}

/* Where the piece that begins at text[from] ends: the next place where a line may end. */
static size_t piece_end(const char *text, size_t from)
{
	size_t dash = dash_at(text, from);

	if (dash > 0)
		return from + dash;
	for (size_t at = from + 1; text[at] != '\0' && !is_blank(text[at]); at++) {
		if (dash_at(text, at) > 0)
			return at;
		if (text[at] == '-' && may_break_at(text, at))
			return at + 1;
	}
	return from + strcspn(text + from, " \t\n\v\f\r");
}

/* Characters, not bytes, of UTF-8. */
static size_t columns_of(const char *text, size_t len)
{
	size_t columns = 0;

	for (size_t i = 0; i < len; i++)
		columns += ((unsigned char)text[i] & 0xc0) != 0x80;
	return columns;
}

/* How many bytes of `text` have `columns` columns. */
static size_t bytes_of(const char *text, size_t columns)
{
	size_t len = 0;

	while (columns > 0 && text[len] != '\0') {
		len++;
		while (((unsigned char)text[len] & 0xc0) == 0x80)
			len++;
		columns--;
	}
	return len;
}

/* A piece that is too long for any line is cut where the line ends, or behind a hyphen before that. */
static size_t cut(const char *piece, size_t len, size_t room)
{
	size_t most = bytes_of(piece, room);

	if (most >= len)
		return len;
	for (size_t at = most; at > 1; at--)
		if (piece[at - 1] == '-' && strspn(piece, "-") < at - 1)
			return at;
	return most;
}

/* State of a text that is being broken into lines. */
struct lines {
	struct buffer *out;
	size_t indent; /* of each line but the first */
	size_t width;  /* of a line, without its indent */
	size_t used;   /* of this one */
	bool is_empty; /* nothing is on this one */
};

static void next_line(struct lines *lines, size_t width)
{
	buffer_append_char(lines->out, '\n');
	indent_by(lines->out, lines->indent);
	lines->used = 0;
	lines->width = width;
	lines->is_empty = true;
}

/* One piece; `blank`: a blank is before it, unless it begins a line. */
static void add_piece(struct lines *lines, const char *piece, size_t len, bool blank, size_t width)
{
	while (len > 0) {
		size_t columns = columns_of(piece, len);
		size_t before = blank && !lines->is_empty ? 1 : 0;
		size_t taken = len;

		if (lines->used + before + columns > lines->width) {
			size_t room = lines->width > lines->used + before
					      ? lines->width - lines->used - before
					      : 0;

			/* One that would fit on a line of its own begins there. */
			if (columns <= lines->width || room == 0) {
				if (!lines->is_empty) {
					next_line(lines, width);
					continue;
				}
				room = 1;
			}
			taken = cut(piece, len, room);
		}
		indent_by(lines->out, before);
		buffer_append(lines->out, piece, taken);
		lines->used += before + columns_of(piece, taken);
		lines->is_empty = false;
		piece += taken;
		len -= taken;
		blank = false;
		if (len > 0)
			next_line(lines, width);
	}
}

/* `len` bytes of `text`; the cursor is at `column` of the first line. */
static void wrap(
	const char *text, size_t indent, size_t first_width, size_t width, struct buffer *out)
{
	struct lines lines = {
		.out = out, .indent = indent, .width = first_width, .is_empty = true
	};
	size_t at = 0;

	while (text[at] != '\0') {
		bool blank = is_blank(text[at]);
		size_t end;

		at += strspn(text + at, " \t\n\v\f\r");
		if (text[at] == '\0')
			break;
		end = piece_end(text, at);
		add_piece(&lines, text + at, end - at, blank, width);
		at = end;
	}
	buffer_append_char(out, '\n');
}

void cli_wrap(
	const char *text, unsigned indent, unsigned column, unsigned width, struct buffer *out)
{
	size_t line = width > indent + TEXT_WIDTH_LEAST ? width - indent : TEXT_WIDTH_LEAST;
	size_t first = width > column + TEXT_WIDTH_LEAST ? width - column : TEXT_WIDTH_LEAST;

	if (column == 0)
		indent_by(out, indent);
	wrap(text, indent, column == 0 ? line : first, line, out);
}

/* --- names --- */

/* SLEEP_TIME, {a,b} or what the table says. */
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

/* `config_file`, or `-f FILE, --file FILE` */
static void append_invocation(const struct cli_option *option, struct buffer *out)
{
	const char *names[] = { option->short_name, option->name };

	if (cli_is_positional(option)) {
		append_metavar(option, out);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i] == NULL)
			continue;
		buffer_printf(out, "%s%s", i == 1 && names[0] != NULL ? ", " : "", names[i]);
		if (option->kind != CLI_KIND_FLAG) {
			buffer_append_char(out, ' ');
			append_metavar(option, out);
		}
	}
}

/* --- the usage lines --- */

/* The parts between which the usage line may be broken, each with a NUL behind it. */
struct parts {
	struct buffer options, positionals;
};

static void add_positional(const struct cli_option *option, struct buffer *parts)
{
	if (option->repeated && !option->optional) {
		append_metavar(option, parts);
		buffer_append_char(parts, '\0');
	}
	if (option->repeated || option->optional)
		buffer_append_char(parts, '[');
	append_metavar(option, parts);
	buffer_append_text(parts, option->repeated ? " ..." : "");
	if (option->repeated || option->optional)
		buffer_append_char(parts, ']');
	buffer_append_char(parts, '\0');
}

static void add_option(const struct cli_option *option, struct buffer *parts)
{
	buffer_printf(parts, "[%s", option->short_name != NULL ? option->short_name : option->name);
	if (option->kind != CLI_KIND_FLAG) {
		buffer_append_char(parts, ' ');
		append_metavar(option, parts);
	}
	buffer_append_char(parts, ']');
	buffer_append_char(parts, '\0');
}

static void collect_parts(const struct cli_spec *spec, struct parts *parts)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options);

	buffer_init(&parts->options);
	buffer_init(&parts->positionals);
	add_option(&cli_help_option, &parts->options);
	for (size_t i = 0; i < count; i++) {
		if (cli_is_positional(options[i]))
			add_positional(options[i], &parts->positionals);
		else
			add_option(options[i], &parts->options);
	}
}

/* Columns of the parts in one line, with a blank before each. */
static size_t parts_columns(const struct buffer *parts)
{
	size_t columns = 0;

	for (const char *part = parts->data; part < parts->data + parts->len;
		part += strlen(part) + 1)
		columns += 1 + columns_of(part, strlen(part));
	return columns;
}

/* `column`: where the cursor is; then a blank goes before the first part, too. 0: on a new line. */
static void append_parts(
	const struct buffer *parts, size_t indent, size_t column, size_t width, struct buffer *out)
{
	bool is_first = column == 0;

	for (const char *part = parts->data; part < parts->data + parts->len;
		part += strlen(part) + 1) {
		size_t columns = columns_of(part, strlen(part));

		if (column == 0 || (!is_first && column + 1 + columns > width)) {
			buffer_append_char(out, '\n');
			indent_by(out, indent);
			column = indent - 1;
		} else {
			buffer_append_char(out, ' ');
		}
		buffer_append_text(out, part);
		column += 1 + columns;
		is_first = false;
	}
}

void cli_usage(const struct cli_spec *spec, unsigned columns, struct buffer *out)
{
	static const char prefix[] = "usage: ";
	size_t width = layout_width(columns), start = strlen(prefix) + strlen(spec->command);
	size_t total;
	struct parts parts;

	collect_parts(spec, &parts);
	total = start + parts_columns(&parts.options) + parts_columns(&parts.positionals);
	buffer_printf(out, "%s%s", prefix, spec->command);
	if (total <= width) {
		append_parts(&parts.options, 0, start, total, out);
		append_parts(&parts.positionals, 0, start, total, out);
	} else if (4 * start <= 3 * width) {
		append_parts(&parts.options, start + 1, start, width, out);
		append_parts(&parts.positionals, start + 1, 0, width, out);
	} else {
		/* The command fills its line; the parts have others, in one when they fit. */
		size_t indent = strlen(prefix), rest = total - start;

		append_parts(&parts.options, indent, 0, width, out);
		append_parts(&parts.positionals, indent,
			indent - 1 + rest <= width ? indent - 1 + parts_columns(&parts.options) : 0,
			width, out);
	}
	buffer_append_char(out, '\n');
	out->failed = out->failed || parts.options.failed || parts.positionals.failed;
	buffer_finish(&parts.options);
	buffer_finish(&parts.positionals);
}

/* --- the help --- */

struct layout {
	struct date today;
	size_t width;
	size_t column; /* where the help texts begin */
	struct buffer *out;
};

static size_t invocation_columns(const struct cli_option *option, struct buffer *out)
{
	struct buffer text;
	size_t columns;

	buffer_init(&text);
	append_invocation(option, &text);
	columns = columns_of(text.data, text.len);
	out->failed = out->failed || text.failed;
	buffer_finish(&text);
	return columns;
}

static size_t help_column(const struct cli_spec *spec, size_t width, struct buffer *out)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options), longest;
	size_t most = width < 24 ? 4 : width - 20;

	longest = invocation_columns(&cli_help_option, out);
	if (most > HELP_COLUMN_MOST)
		most = HELP_COLUMN_MOST;
	for (size_t i = 0; i < count; i++) {
		size_t columns = invocation_columns(options[i], out);

		longest = columns > longest ? columns : longest;
	}
	return longest + 4 < most ? longest + 4 : most;
}

static void append_option(const struct layout *layout, const struct cli_option *option)
{
	size_t columns = 2 + invocation_columns(option, layout->out);
	size_t width = layout->width > layout->column + TEXT_WIDTH_LEAST
			       ? layout->width - layout->column
			       : TEXT_WIDTH_LEAST;
	char day[DATE_TEXT_SIZE];
	struct buffer text;
	struct date date;

	indent_by(layout->out, 2);
	append_invocation(option, layout->out);
	if (option->help == NULL) {
		buffer_append_char(layout->out, '\n');
		return;
	}
	if (columns + 2 > layout->column) {
		buffer_append_char(layout->out, '\n');
		columns = 0;
	}
	indent_by(layout->out, layout->column - columns);
	buffer_init(&text);
	buffer_append_text(&text, option->help);
	if (option->kind == CLI_KIND_DATE) {
		buffer_append_text(&text, " Use YYYY-MM-DD format.");
		if (cli_default_date(option, layout->today, &date))
			buffer_printf(&text, " Defaults to %s.", date_print(date, day));
	}
	wrap(text.data, layout->column, width, width, layout->out);
	layout->out->failed = layout->out->failed || text.failed;
	buffer_finish(&text);
}

static void append_section(
	const struct layout *layout, const struct cli_spec *spec, bool positionals)
{
	const struct cli_option *options[CLI_OPTIONS_MOST];
	size_t count = cli_collect(spec, options), shown = 0;

	for (size_t i = 0; i <= count; i++) {
		const struct cli_option *option = i == 0 ? &cli_help_option : options[i - 1];

		if (cli_is_positional(option) != positionals)
			continue;
		if (shown++ == 0)
			buffer_printf(layout->out, "\n%s:\n",
				positionals ? "positional arguments" : "options");
		append_option(layout, option);
	}
}

static void append_paragraphs(const struct layout *layout, const char *text)
{
	size_t width = layout->width > TEXT_WIDTH_LEAST ? layout->width : TEXT_WIDTH_LEAST;
	struct buffer paragraph;

	buffer_init(&paragraph);
	while (*text != '\0') {
		const char *end = strstr(text, "\n\n");
		size_t len = end != NULL ? (size_t)(end - text) : strlen(text);

		buffer_clear(&paragraph);
		buffer_append(&paragraph, text, len);
		buffer_append_char(layout->out, '\n');
		wrap(paragraph.data, 0, width, width, layout->out);
		text += len;
		text += strspn(text, "\n");
	}
	layout->out->failed = layout->out->failed || paragraph.failed;
	buffer_finish(&paragraph);
}

void cli_help(const struct cli_spec *spec, struct date today, unsigned columns, struct buffer *out)
{
	struct layout layout = { .today = today, .width = layout_width(columns), .out = out };

	layout.column = help_column(spec, layout.width, out);
	cli_usage(spec, columns, out);
	if (spec->description != NULL)
		append_paragraphs(&layout, spec->description);
	append_section(&layout, spec, true);
	append_section(&layout, spec, false);
	if (spec->epilog != NULL)
		append_paragraphs(&layout, spec->epilog);
}
