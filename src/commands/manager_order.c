#include "commands/manager_order.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/data/json.h"
#include "core/system/door.h"
#include "core/system/exit_status.h"
#include "core/system/sys.h"

enum {
	ANSWER_MS = 30000, /* a copy of a large state takes its time */
};

/* A status of many launches is larger than a message. */
static const struct yaml_limits answer_limits = {
	.bytes = 64 << 20, .depth = 64, .nodes = 10000000
};

/* --- arguments --- */

bool manager_order_begin(struct manager_order *order, const struct applet *self, int argc,
	char **argv, int *ret_status)
{
	const char *file = NULL, *word;

	*order = (struct manager_order){ .command = self->name };
	buffer_init(&order->out);
	if (!applet_parse(self, argc, argv, &order->args, ret_status))
		return false;
	order->json = cli_flag(order->args, "--json");
	for (size_t i = 0; (word = cli_text_at(order->args, "words", i)) != NULL; i++) {
		if (i == 0 && text_ends_in_yaml(word)) {
			file = word;
		} else if (order->count < MANAGER_ORDER_WORDS) {
			order->words[order->count++] = word;
		} else {
			*ret_status = manager_order_fail(order, EXIT_USAGE,
				"there are too many arguments; `nowcast %s -h` shows them",
				self->name);
			(void)manager_order_finish(order, *ret_status);
			return false;
		}
	}
	order->config = applet_load_config(self->name, applet_config_file(file), ret_status);
	if (order->config != NULL)
		return true;
	(void)manager_order_finish(order, *ret_status);
	return false;
}

/* --- asking --- */

struct value *manager_question_of(const char *ask, ...)
{
	struct value *question = value_map();
	enum nc_err err = value_map_put(question, "ask", value_text(ask));
	const char *key;
	va_list arguments;

	va_start(arguments, ask);
	while (err == NC_OK && (key = va_arg(arguments, const char *)) != NULL)
		err = value_map_put(question, key, value_text(va_arg(arguments, const char *)));
	va_end(arguments);
	if (err == NC_OK)
		return question;
	value_destroy(question);
	return NULL;
}

static enum nc_err call(const struct config *config, const struct value *question,
	struct buffer *answer, struct error *error)
{
	struct buffer path, text;
	int fd = -1;
	enum nc_err err;

	buffer_init(&path);
	buffer_init(&text);
	err = config_state_path(config, STATE_MANAGER_DOOR, &path, error);
	if (err == NC_OK)
		json_write(question, 0, &text);
	if (text.failed)
		err = error_nomem(error);
	if (err == NC_OK)
		err = door_call_kept(&fd, path.data, text.data, text.len, ANSWER_MS, answer, error);
	if (fd >= 0)
		(void)sys_close(fd);
	buffer_finish(&path);
	buffer_finish(&text);
	return err;
}

static int read_answer(const struct buffer *text, struct value **ret_answer, struct error *error)
{
	struct value *answer = NULL;
	const char *words;
	int status;

	if (json_read(text->data, text->len, &answer_limits, &answer, error) != NC_OK)
		return EXIT_FAILED;
	words = value_as_text(value_map_get(answer, "error"), NULL);
	if (words == NULL) {
		*ret_answer = answer;
		return EXIT_DONE;
	}
	(void)error_set(error, NC_ERR_REFUSED, "%s", words);
	status = (int)value_as_int(value_map_get(answer, "exit"), EXIT_FAILED);
	value_destroy(answer);
	return status;
}

int manager_ask_quietly(const struct config *config, struct value *question,
	struct value **ret_answer, struct error *error)
{
	struct buffer answer;
	enum nc_err err;
	int status;

	if (question == NULL) {
		(void)error_nomem(error);
		return EXIT_FAILED;
	}
	buffer_init(&answer);
	err = call(config, question, &answer, error);
	value_destroy(question);
	if (err == NC_OK)
		status = read_answer(&answer, ret_answer, error);
	else if (err == NC_ERR_NOMEM || err == NC_ERR_LIMIT)
		status = EXIT_FAILED;
	else
		status = err == NC_ERR_REFUSED ? EXIT_REFUSED : EXIT_UNREACHABLE;
	buffer_finish(&answer);
	return status;
}

int manager_order_ask(
	struct manager_order *order, struct value *question, struct value **ret_answer)
{
	struct error error = { 0 };
	int status = manager_ask_quietly(order->config, question, ret_answer, &error);

	if (status == EXIT_UNREACHABLE)
		return manager_order_fail(order, status,
			"the manager cannot be reached: %s; `nowcast up` starts the system",
			error.text);
	return status == EXIT_DONE ? status : manager_order_fail(order, status, "%s", error.text);
}

/* --- printing --- */

void manager_order_json(struct manager_order *order, const struct value *value)
{
	if (value == NULL)
		order->out.failed = true;
	else
		json_write(value, JSON_WRITE_INDENT, &order->out);
	buffer_append_char(&order->out, '\n');
}

int manager_order_fail(struct manager_order *order, int status, const char *format, ...)
{
	struct value *map;
	va_list arguments;
	char *words = NULL;
	int len;

	va_start(arguments, format);
	len = vasprintf(&words, format, arguments);
	va_end(arguments);
	if (len < 0)
		return status;
	(void)fprintf(stderr, "nowcast %s: %s\n", order->command, words);
	if (order->json) {
		map = value_map();
		if (value_map_put(map, "error", value_text(words)) != NC_OK) {
			value_destroy(map);
			map = NULL;
		}
		manager_order_json(order, map);
		value_destroy(map);
	}
	free(words);
	return status;
}

void manager_print_time(int64_t seconds, struct buffer *out)
{
	time_t at = (time_t)seconds;
	struct tm local;
	char text[32];

	if (localtime_r(&at, &local) != NULL &&
		strftime(text, sizeof(text), "%m-%d %H:%M:%S", &local) > 0)
		buffer_append_text(out, text);
}

int manager_order_finish(struct manager_order *order, int status)
{
	if (applet_show(&order->out) != EXIT_DONE)
		status = EXIT_FAILED;
	buffer_finish(&order->out);
	config_destroy(order->config);
	cli_args_destroy(order->args);
	return status;
}
