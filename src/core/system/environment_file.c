#include "core/system/environment_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/buffer.h"

struct scan {
	struct environment_file *file;
	const char *at; /* in a copy of the text that ends in a NUL */
	unsigned line;
	struct error *error;
};

static enum nc_err wrong(struct scan *scan, const char *what)
{
	return error_at(scan->error, NC_ERR_SYNTAX, scan->line, 0, "line %u: %s", scan->line, what);
}

const char *environment_file_get(const struct environment_file *file, const char *name)
{
	for (size_t i = 0; i < file->count; i++)
		if (strcmp(file->entries[i].name, name) == 0)
			return file->entries[i].value;
	return NULL;
}

/* Takes both over. */
static enum nc_err set(struct scan *scan, char *name, char *value)
{
	struct environment_file *file = scan->file;
	struct environment_entry *entries;

	if (name == NULL || value == NULL)
		goto nomem;
	for (size_t i = 0; i < file->count; i++) {
		if (strcmp(file->entries[i].name, name) != 0)
			continue;
		free(file->entries[i].value);
		file->entries[i].value = value;
		free(name);
		return NC_OK;
	}
	entries = reallocarray(file->entries, file->count + 1, sizeof(*entries));
	if (entries == NULL)
		goto nomem;
	file->entries = entries;
	entries[file->count++] = (struct environment_entry){ name, value };
	return NC_OK;
nomem:
	free(name);
	free(value);
	return error_nomem(scan->error);
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static void skip_blanks(struct scan *scan)
{
	while (is_blank(*scan->at))
		scan->at++;
}

static bool at_end_of_line(const struct scan *scan)
{
	return *scan->at == '\0' || *scan->at == '\n' ||
	       (*scan->at == '\r' && (scan->at[1] == '\n' || scan->at[1] == '\0'));
}

static size_t name_length(const char *text)
{
	size_t len = 0;

	if (!isalpha((unsigned char)text[0]) && text[0] != '_')
		return 0;
	while (isalnum((unsigned char)text[len]) || text[len] == '_')
		len++;
	return len;
}

/* `$NAME` or `${NAME}`. */
static enum nc_err take_variable(struct scan *scan, struct buffer *out)
{
	bool braces = scan->at[1] == '{';
	const char *begin = scan->at + (braces ? 2 : 1), *value;
	size_t len = name_length(begin);
	char *name;

	if (len == 0 || (braces && begin[len] != '}'))
		return wrong(scan, "only $NAME and ${NAME} can stand behind a `$`, because no "
				   "shell reads this file; a plain `$` is written '$'");
	name = strndup(begin, len);
	if (name == NULL)
		return error_nomem(scan->error);
	value = environment_file_get(scan->file, name);
	if (value == NULL)
		value = getenv(name);
	if (value == NULL) {
		(void)error_at(scan->error, NC_ERR_NOT_FOUND, scan->line, 0,
			"line %u: the variable %s is set neither above nor in the environment",
			scan->line, name);
		free(name);
		return NC_ERR_NOT_FOUND;
	}
	free(name);
	buffer_append_text(out, value);
	scan->at = begin + len + (braces ? 1 : 0);
	return NC_OK;
}

/* Behind the opening quote. */
static enum nc_err take_quoted(struct scan *scan, char quote, struct buffer *out)
{
	enum nc_err err = NC_OK;

	while (err == NC_OK && *scan->at != quote) {
		if (at_end_of_line(scan))
			return wrong(scan, "the quote is not closed on its line");
		if (quote == '"' && *scan->at == '\\' && scan->at[1] != '\0' &&
			strchr("\"\\$`", scan->at[1]) != NULL) {
			buffer_append_char(out, scan->at[1]);
			scan->at += 2;
		} else if (quote == '"' && *scan->at == '$') {
			err = take_variable(scan, out);
		} else if (quote == '"' && *scan->at == '`') {
			return wrong(scan, "no shell reads this file: a plain ` is written \\`");
		} else {
			buffer_append_char(out, *scan->at++);
		}
	}
	if (err == NC_OK)
		scan->at++;
	return err;
}

static enum nc_err take_value(struct scan *scan, struct buffer *out)
{
	enum nc_err err = NC_OK;

	while (err == NC_OK && !at_end_of_line(scan) && !is_blank(*scan->at)) {
		char byte = *scan->at;

		if (byte == '\'' || byte == '"') {
			scan->at++;
			err = take_quoted(scan, byte, out);
		} else if (byte == '$') {
			err = take_variable(scan, out);
		} else if (strchr("`;&|<>()", byte) != NULL) {
			return wrong(scan, "no shell reads this file: a value with one of `;&|<>() "
					   "in it must be in single quotes");
		} else if (byte == '\\') {
			scan->at++;
			if (at_end_of_line(scan))
				return wrong(scan, "a value cannot go on on the next line");
			buffer_append_char(out, *scan->at++);
		} else {
			buffer_append_char(out, *scan->at++);
		}
	}
	if (err == NC_OK && out->failed)
		err = error_nomem(scan->error);
	return err;
}

/* A line that is neither blank nor a comment. */
static enum nc_err take_line(struct scan *scan)
{
	static const char export[] = "export";
	struct buffer value;
	char *name;
	size_t len;
	enum nc_err err;

	if (strncmp(scan->at, export, strlen(export)) == 0 && is_blank(scan->at[strlen(export)])) {
		scan->at += strlen(export);
		skip_blanks(scan);
	}
	len = name_length(scan->at);
	if (len == 0 || scan->at[len] != '=')
		return wrong(scan, "a line must be NAME=value or export NAME=value");
	name = strndup(scan->at, len);
	scan->at += len + 1;
	buffer_init(&value);
	err = name != NULL ? take_value(scan, &value) : error_nomem(scan->error);
	if (err == NC_OK) {
		skip_blanks(scan);
		if (!at_end_of_line(scan) && *scan->at != '#')
			err = wrong(scan, "there is more behind the value; one with blanks must "
					  "be in quotes");
	}
	if (err == NC_OK)
		return set(scan, name, buffer_steal(&value));
	buffer_finish(&value);
	free(name);
	return err;
}

static enum nc_err take_all(struct scan *scan)
{
	enum nc_err err = NC_OK;

	for (scan->line = 1; err == NC_OK; scan->line++) {
		skip_blanks(scan);
		if (!at_end_of_line(scan) && *scan->at != '#')
			err = take_line(scan);
		scan->at = strchrnul(scan->at, '\n');
		if (*scan->at == '\0')
			break;
		scan->at++;
	}
	return err;
}

enum nc_err environment_file_read(
	const char *text, size_t len, struct environment_file *ret_file, struct error *error)
{
	struct environment_file file = { 0 };
	struct scan scan = { .file = &file, .line = 1, .error = error };
	char *copy;
	enum nc_err err;

	if (memchr(text, '\0', len) != NULL)
		return error_set(error, NC_ERR_SYNTAX, "there is a NUL character in it");
	copy = strndup(text, len);
	if (copy == NULL)
		return error_nomem(error);
	scan.at = copy;
	err = take_all(&scan);
	/* What it holds may be secret. */
	explicit_bzero(copy, len);
	free(copy);
	if (err == NC_OK)
		*ret_file = file;
	else
		environment_file_finish(&file);
	return err;
}

void environment_file_finish(struct environment_file *file)
{
	for (size_t i = 0; i < file->count; i++) {
		free(file->entries[i].name);
		free(file->entries[i].value);
	}
	free(file->entries);
	*file = (struct environment_file){ 0 };
}

enum nc_err environment_file_apply(const struct environment_file *file, struct error *error)
{
	for (size_t i = 0; i < file->count; i++) {
		const struct environment_entry *entry = &file->entries[i];
		const char *now = getenv(entry->name);

		if (now != NULL && strcmp(now, entry->value) == 0)
			continue;
		if (setenv(entry->name, entry->value, 1) < 0)
			return error_errno(error, errno, "cannot set the variable %s", entry->name);
	}
	return NC_OK;
}
