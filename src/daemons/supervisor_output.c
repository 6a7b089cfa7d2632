#include "daemons/supervisor_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/data/utf8.h"
#include "core/system/sys.h"

enum {
	LINE_MOST = 16384, /* a longer one is cut into such pieces */
	READ_SIZE = 65536,
	READS_AT_END = 64,
};

void program_output_init(struct program_output *output)
{
	*output = (struct program_output){ .fd = -1 };
	buffer_init(&output->line);
}

static void log_output_line(struct program_output *output, char *text, size_t len)
{
	struct log_record record = { .logger = output->logger, .level = output->level };

	if (len > 0 && text[len - 1] == '\r')
		len--;
	text[len] = '\0';
	/* A NUL would hide what is behind it. */
	for (char *nul; (nul = memchr(text, '\0', len)) != NULL;)
		*nul = '?';
	utf8_mend(text);
	record.message = text;
	if (len > 0)
		log_record(*output->log, &record);
}

/* All whole lines, and pieces of one that is too long. */
static void take_lines(struct program_output *output, bool last)
{
	struct buffer *line = &output->line;

	for (;;) {
		char *end = memchr(line->data, '\n', line->len);
		size_t len = end != NULL ? (size_t)(end - line->data) : line->len;

		if (len > LINE_MOST) {
			char next = line->data[LINE_MOST];

			log_output_line(output, line->data, LINE_MOST);
			line->data[LINE_MOST] = next;
			buffer_consume(line, LINE_MOST);
			continue;
		}
		if (end == NULL)
			break;
		log_output_line(output, line->data, len);
		buffer_consume(line, len + 1);
	}
	if (last && line->len > 0)
		log_output_line(output, line->data, line->len);
	if (last || line->len == 0)
		buffer_finish(line);
}

/* false: nothing more will come, or not now. */
static bool read_once(struct program_output *output, bool *ret_ended)
{
	ssize_t count;

	*ret_ended = false;
	if (!buffer_reserve(&output->line, READ_SIZE)) {
		/* Memory is short: what is kept of the line goes, so that there may be some for the rest. */
		buffer_finish(&output->line);
		return false;
	}
	count = sys_read(output->fd, output->line.data + output->line.len, READ_SIZE);
	if (count <= 0) {
		*ret_ended = count == 0 || errno != EAGAIN;
		return false;
	}
	output->line.len += (size_t)count;
	output->line.data[output->line.len] = '\0';
	take_lines(output, false);
	return true;
}

static void readable(void *argument, unsigned events)
{
	struct program_output *output = argument;
	bool ended;

	/* Once: others have their turn between. */
	if (!read_once(output, &ended) && ended) {
		take_lines(output, true);
		loop_unwatch(output->watch);
		output->watch = NULL;
		(void)sys_close(output->fd);
		output->fd = -1;
	}
}

enum nc_err program_output_open(struct program_output *output, struct loop *loop, struct log **log,
	const char *logger, int level, int *ret_fd, struct error *error)
{
	int fds[2];
	enum nc_err err;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(error, errno, "cannot make a pipe");
	output->log = log;
	output->logger = logger;
	output->level = level;
	/* The program's end blocks, as programs expect it of their standard output. */
	err = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0
		      ? error_errno(error, errno, "cannot make a pipe")
		      : loop_watch(
				loop, fds[0], LOOP_READ, readable, output, &output->watch, error);
	if (err != NC_OK) {
		(void)sys_close(fds[0]);
		(void)sys_close(fds[1]);
		return err;
	}
	output->fd = fds[0];
	*ret_fd = fds[1];
	return NC_OK;
}

void program_output_close(struct program_output *output)
{
	bool ended;

	/* What was written before the end. Bounded: somebody else may have the other end, and write on. */
	for (int i = 0; i < READS_AT_END && output->fd >= 0 && read_once(output, &ended); i++)
		;
	take_lines(output, true);
	loop_unwatch(output->watch);
	output->watch = NULL;
	if (output->fd >= 0)
		(void)sys_close(output->fd);
	output->fd = -1;
}
