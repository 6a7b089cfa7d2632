/*
 * Any bytes as the `logging` section: refused with a place and words, or read. Then the same bytes as a message
 * in a line of each of its formats: nothing of them can command a terminal or end a line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/json.h"
#include "core/data/utf8.h"
#include "core/system/clock.h"
#include "core/system/log_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void refuse_control(const struct buffer *text)
{
	for (size_t i = 0; i < text->len; i++) {
		unsigned char byte = (unsigned char)text->data[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			abort();
	}
	if (!utf8_is_valid(text->data, text->len, NULL))
		abort();
}

/* JSON as others read it gives the message back, but for bytes that are not UTF-8. */
static void use_json(const struct log_view *view)
{
	struct log_format *json = NULL;
	struct value *value = NULL;
	struct buffer line;

	if (log_format_create_json(&json, NULL) != NC_OK)
		abort();
	buffer_init(&line);
	log_format_apply(json, view, &line);
	refuse_control(&line);
	if (json_read(line.data, line.len, &yaml_file_limits, &value, NULL) != NC_OK)
		abort();
	if (utf8_is_valid(view->raw_message, strlen(view->raw_message), NULL) &&
		strcmp(value_as_text(value_map_get(value, "message"), ""), view->raw_message) != 0)
		abort();
	value_destroy(value);
	buffer_finish(&line);
	log_format_destroy(json);
}

static void use_formats(const struct log_setup *setup, const char *text)
{
	struct buffer message, line;
	struct log_view view = {
		.logger = "worker",
		.level = LEVEL_INFO,
		.real_ns = INT64_C(1795492800123456000),
		.process_id = 1,
		.process_name = "fuzz",
		.host = "host",
		.raw_message = text,
	};

	buffer_init(&message);
	buffer_init(&line);
	log_escape(text, false, &message);
	refuse_control(&message);
	view.message = message.data;
	for (size_t i = 0; i < setup->formats_count; i++) {
		buffer_clear(&line);
		log_format_apply(setup->formats[i].format, &view, &line);
		if (strlen(line.data) != line.len)
			abort();
	}
	use_json(&view);
	buffer_finish(&line);
	buffer_finish(&message);
}

static void use(const struct log_setup *setup, const char *text)
{
	static const char *const names[] = { "", "worker", "worker.sleep", "a.b.c" };

	for (size_t i = 0; i < setup->handlers_count; i++) {
		const struct log_handler *handler = setup->handlers[i];

		if (handler->format == NULL ||
			(handler->kind == HANDLER_FILE && handler->path == NULL) ||
			(handler->kind == HANDLER_MAIL &&
				(handler->mail == NULL || handler->mail->to_count == 0)))
			abort();
		(void)log_filters_pass(handler->filters, handler->filters_count, "worker.sleep");
		if (handler->when.kind != WHEN_NEVER &&
			log_when_next(&handler->when, 1795492800) <= 1795492800)
			abort();
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)log_setup_effective_level(setup, names[i]);
	use_formats(setup, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct config config = {
		.file = (char *)(uintptr_t) "nowcast.yaml",
		.directory = (char *)(uintptr_t) "/fuzz",
		.state_directory = (char *)(uintptr_t) "/fuzz/state",
	};
	static const enum log_mode modes[] = { LOG_MODE_NORMAL, LOG_MODE_AGGREGATOR };
	char *text = strndup((const char *)bytes, size);

	if (text == NULL)
		return 0;
	/* (With the limits of a message: long files are fuzz_yaml's.) */
	if (yaml_read((const char *)bytes, size, 0, &yaml_message_limits, &config.tree, NULL) ==
		NC_OK) {
		struct findings findings;

		config.logging = config.tree;
		findings_init(&findings);
		log_check(&config, &findings);
		for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
			struct log_setup *setup = NULL;
			struct error error = { 0 };
			enum nc_err err = log_setup_load(&config, modes[i], &setup, &error);

			if (err == NC_OK)
				use(setup, text);
			else if (setup != NULL || error.text[0] == '\0')
				abort();
			/* What is refused was found by the check, too. */
			if (err == NC_ERR_INVALID && findings_count(&findings, SEVERITY_ERROR) == 0)
				abort();
			log_setup_destroy(setup);
		}
		findings_finish(&findings);
	}
	value_destroy(config.tree);
	free(text);
	return 0;
}
