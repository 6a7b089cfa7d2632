/*
 * The worker's standard output and error are files of the launch, not pipes: what it leaves running
 * neither dies of a closed pipe nor holds us. They are read where they have grown, soon after there was
 * something and less often in silence.
 */
#include "core/work/runner_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/data/yaml.h"
#include "core/system/file.h"
#include "core/system/secrets.h"
#include "core/system/sys.h"

enum {
	WAIT_LEAST_MS = 100,
	WAIT_MOST_MS = 500, /* also how long a zombie that we adopted may last (promises.md, R8) */
	LINE_MOST = 64 << 10,
	READ_SIZE = 64 << 10,
	READS_AT_ONCE = 64, /* then the loop has its turn */
};

char *text_make_printable(const char *bytes, size_t len)
{
	struct buffer out;
	size_t at = 0;

	buffer_init(&out);
	while (at < len) {
		size_t good = 0;

		if (utf8_is_valid(bytes + at, len - at, &good))
			good = len - at;
		for (size_t end = at + good; at < end; at++) {
			unsigned char byte = (unsigned char)bytes[at];

			if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
				buffer_printf(&out, "\\x%02x", byte);
			else
				buffer_append_char(&out, bytes[at]);
		}
		if (at < len)
			buffer_printf(&out, "\\x%02x", (unsigned char)bytes[at++]);
	}
	return buffer_steal(&out);
}

static void keep_in_tail(struct runner_output *output, const char *text)
{
	char **place = &output->tail[output->tail_count++ % OUTPUT_TAIL_LINES];
	size_t len = strlen(text);

	if (len > OUTPUT_TAIL_BYTES) {
		len = OUTPUT_TAIL_BYTES;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--; /* not in the middle of a character */
	}
	free(*place);
	*place = strndup(text, len); /* NULL: the report has a line less */
}

/* Does `text` match `form`, where 9 stands for a digit? */
static bool has_form(const char *text, const char *form)
{
	for (; *form != '\0'; text++, form++) {
		if (*form == '9' ? !isdigit((unsigned char)*text) : *text != *form)
			return false;
	}
	return true;
}

/*
 * `2026-11-24 04:00:00,123 INFO [make_plots] text`: the line of a worker that has a log of its own. Cuts
 * the logger's name out of `text`.
 */
static bool parse_log_form(char *text, struct log_record *record)
{
	char *level, *name, *end;

	if (!has_form(text, "9999-99-99 99:99:99"))
		return false;
	level = text + strlen("9999-99-99 99:99:99");
	if (has_form(level, ",999") || has_form(level, ".999"))
		level += 4;
	if (*level++ != ' ')
		return false;
	name = strstr(level, " [");
	end = name != NULL ? strstr(name, "] ") : NULL;
	if (end == NULL || end == name + 2 || memchr(level, ' ', (size_t)(name - level)) != NULL)
		return false;
	*name = '\0';
	if (!log_level_parse(level, &record->level)) {
		*name = ' ';
		return false;
	}
	*end = '\0';
	record->logger = name + 2;
	record->message = end + 2;
	return true;
}

/* What a terminal would show in the end: progress bars overwrite themselves. */
static void after_last_return(const char **text, size_t *len)
{
	const char *last;

	while (*len > 0 && (*text)[*len - 1] == '\r')
		(*len)--;
	last = memrchr(*text, '\r', *len);
	if (last != NULL) {
		*len -= (size_t)(last + 1 - *text);
		*text = last + 1;
	}
}

static void emit(struct runner *r, const struct follower *f, const char *text, size_t len)
{
	struct log_record record = { .logger = r->name, .level = f->level };
	char *printable;

	after_last_return(&text, &len);
	if (len == 0)
		return;
	printable = text_make_printable(text, len);
	if (printable == NULL) {
		log_error(r->log, "out of memory: a line of output is lost");
		return;
	}
	keep_in_tail(&r->output, printable);
	record.message = printable;
	(void)parse_log_form(printable, &record);
	log_record(r->log, &record);
	free(printable);
}

/* Lines end at a newline, or when they are too long (then not within a character). */
static void take_bytes(struct runner *r, struct follower *f, const char *bytes, size_t len)
{
	buffer_append(&f->line, bytes, len);
	if (f->line.failed) {
		log_error(r->log, "out of memory: output is lost");
		buffer_finish(&f->line);
		buffer_init(&f->line);
		return;
	}
	for (;;) {
		const char *end = memchr(f->line.data, '\n', f->line.len);
		size_t line_len = end != NULL ? (size_t)(end - f->line.data) : f->line.len;

		if (end != NULL && line_len <= LINE_MOST) {
			emit(r, f, f->line.data, line_len);
			buffer_consume(&f->line, line_len + 1);
		} else if (line_len > LINE_MOST) {
			line_len = LINE_MOST;
			while (line_len > LINE_MOST - 4 &&
				((unsigned char)f->line.data[line_len] & 0xc0) == 0x80)
				line_len--;
			emit(r, f, f->line.data, line_len);
			buffer_consume(&f->line, line_len);
		} else {
			return;
		}
	}
}

/* Read what was added, up to `most` bytes; true: there was something. */
static bool read_on(struct runner *r, struct follower *f, int64_t most)
{
	static char bytes[READ_SIZE];
	bool some = false;

	while (f->fd >= 0 && most > 0) {
		size_t want = most < READ_SIZE ? (size_t)most : READ_SIZE;
		ssize_t count;

		do {
			count = pread(f->fd, bytes, want, (off_t)f->offset);
		} while (count < 0 && errno == EINTR);
		if (count < 0) {
			log_error(r->log, "cannot read the output of the worker: %s",
				strerror(errno));
			(void)sys_close(f->fd);
			f->fd = -1;
		}
		if (count <= 0)
			break;
		some = true;
		/* A long output takes its time, and nothing below us is a zombie for so long (R8). */
		processes_reap(r);
		f->offset += count;
		most -= count;
		take_bytes(r, f, bytes, (size_t)count);
	}
	return some;
}

static void tick(void *argument);

static void arm(struct runner *r)
{
	struct error error;

	while (loop_timer_start(r->loop, r->output.wait_ms, false, tick, r, &r->output.timer,
		       &error) != NC_OK)
		system_stand_by(r, error.text);
}

static void tick(void *argument)
{
	struct runner *r = argument;
	struct runner_output *output = &r->output;
	bool some;

	output->timer = NULL;
	some = read_on(r, &output->standard, (int64_t)READS_AT_ONCE * READ_SIZE);
	some = read_on(r, &output->errors, (int64_t)READS_AT_ONCE * READ_SIZE) || some;
	processes_reap(r);
	output->wait_ms = some ? WAIT_LEAST_MS : output->wait_ms * 2;
	if (output->wait_ms > WAIT_MOST_MS)
		output->wait_ms = WAIT_MOST_MS;
	arm(r);
}

void output_start(struct runner *r)
{
	r->output.wait_ms = WAIT_LEAST_MS;
	arm(r);
}

/* To where it ends now: what is left running may write for ever. */
static void read_rest(struct runner *r, struct follower *f)
{
	struct stat status;

	if (f->fd < 0)
		return;
	if (fstat(f->fd, &status) == 0 && status.st_size > f->offset)
		(void)read_on(r, f, status.st_size - f->offset);
	emit(r, f, f->line.data, f->line.len);
	buffer_clear(&f->line);
}

void output_read_last(struct runner *r)
{
	loop_timer_cancel(r->output.timer);
	r->output.timer = NULL;
	read_rest(r, &r->output.standard);
	read_rest(r, &r->output.errors);
}

struct value *output_tail(const struct runner *r)
{
	const struct runner_output *output = &r->output;
	size_t first =
		output->tail_count > OUTPUT_TAIL_LINES ? output->tail_count - OUTPUT_TAIL_LINES : 0;
	struct value *list = value_list(), *masked;

	for (size_t i = first; i < output->tail_count && list != NULL; i++) {
		const char *text = output->tail[i % OUTPUT_TAIL_LINES];

		if (text == NULL || value_list_append(list, value_text(text)) == NC_OK)
			continue;
		value_destroy(list);
		return NULL;
	}
	/* It goes into the report, which people read (promises.md, S4). */
	masked = list != NULL ? secrets_mask_value(log_secrets(r->log), list) : NULL;
	value_destroy(list);
	return masked;
}

static enum nc_err make_directory(const char *path, struct error *error)
{
	if (sys_mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(error, errno, "cannot make the directory %s", path);
	return NC_OK;
}

/* The file twice: for the worker to append to, and for us to read. */
static enum nc_err open_file(
	struct runner *r, const char *name, int *ret_fd, struct follower *f, struct error *error)
{
	char *path = path_join(r->output.directory, name);
	enum nc_err err = NC_OK;

	if (path == NULL)
		return error_nomem(error);
	*ret_fd = sys_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	if (*ret_fd >= 0)
		f->fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
	if (*ret_fd < 0 || f->fd < 0)
		err = error_errno(error, errno, "cannot open %s", path);
	free(path);
	return err;
}

enum nc_err output_open(struct runner *r, int *ret_out, int *ret_err, struct error *error)
{
	struct runner_output *output = &r->output;
	char *launches = path_join(r->config->state_directory, STATE_LAUNCHES);
	enum nc_err err;
	int out = -1, errors = -1;

	if (launches == NULL)
		return error_nomem(error);
	output->directory = path_join(launches, r->launch.id);
	err = output->directory != NULL ? make_directory(launches, error) : error_nomem(error);
	free(launches);
	if (err == NC_OK)
		err = make_directory(output->directory, error);
	if (err == NC_OK)
		err = open_file(r, "stdout", &out, &output->standard, error);
	if (err == NC_OK)
		err = open_file(r, "stderr", &errors, &output->errors, error);
	if (err != NC_OK) {
		if (out >= 0)
			(void)sys_close(out);
		if (errors >= 0)
			(void)sys_close(errors);
		return err;
	}
	*ret_out = out;
	*ret_err = errors;
	return NC_OK;
}

static void remove_file(const char *directory, const char *name)
{
	char *path = path_join(directory, name);

	if (path != NULL)
		(void)sys_unlink(path); /* it may be absent; if not, the directory stays */
	free(path);
}

/* All of it is in the log. */
static void remove_files(struct runner_output *output)
{
	remove_file(output->directory, "stdout");
	remove_file(output->directory, "stderr");
	(void)rmdir(output->directory);
}

static void close_follower(struct follower *f)
{
	if (f->fd >= 0)
		(void)sys_close(f->fd);
	f->fd = -1;
	buffer_finish(&f->line);
}

void output_close(struct runner *r, bool keep)
{
	struct runner_output *output = &r->output;

	loop_timer_cancel(output->timer);
	output->timer = NULL;
	close_follower(&output->standard);
	close_follower(&output->errors);
	if (output->directory != NULL && !keep)
		remove_files(output);
	free(output->directory);
	output->directory = NULL;
	for (size_t i = 0; i < OUTPUT_TAIL_LINES; i++) {
		free(output->tail[i]);
		output->tail[i] = NULL;
	}
}

void output_reset(struct runner *r)
{
	struct runner_output *output = &r->output;

	output_close(r, false);
	output->standard.offset = 0;
	output->errors.offset = 0;
	output->tail_count = 0;
}
