/* The only file that knows libcyaml. */
#include <cyaml/cyaml.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/system/config_internal.h"

/* --- writing the normal form --- */

void normal_init(struct normal *normal)
{
	*normal = (struct normal){ 0 };
	buffer_init(&normal->text);
}

void normal_finish(struct normal *normal)
{
	buffer_finish(&normal->text);
	free(normal->places);
	normal_init(normal);
}

void normal_at(struct normal *normal, const struct value *value)
{
	normal->now = (struct place){ value_line(value), value_column(value) };
}

static void end_line(struct normal *normal)
{
	if (normal->count == normal->capacity) {
		size_t capacity = normal->capacity > 0 ? 2 * normal->capacity : 256;
		struct place *places = reallocarray(normal->places, capacity, sizeof(*places));

		if (places == NULL) {
			normal->text.failed = true;
			return;
		}
		normal->places = places;
		normal->capacity = capacity;
	}
	normal->places[normal->count++] = normal->now;
	buffer_append_char(&normal->text, '\n');
}

void normal_open(struct normal *normal, char bracket)
{
	buffer_append_char(&normal->text, bracket);
	normal->depth++;
	end_line(normal);
}

void normal_close(struct normal *normal, char bracket)
{
	buffer_append_char(&normal->text, bracket);
	if (--normal->depth > 0)
		buffer_append_char(&normal->text, ',');
	end_line(normal);
}

/* Every byte that means something to YAML is escaped. UTF-8 was checked when the file was read. */
static void append_quoted(struct buffer *out, const char *text)
{
	buffer_append_char(out, '"');
	for (const unsigned char *byte = (const unsigned char *)text; *byte != '\0'; byte++) {
		uint32_t code = *byte;

		if (code == '"' || code == '\\')
			buffer_printf(out, "\\%c", (int)code);
		else if (code >= 0x20 && code < 0x7f)
			buffer_append_char(out, (char)code);
		else if (code < 0x80)
			buffer_printf(out, "\\x%02" PRIx32, code);
		else {
			unsigned more = code >= 0xf0 ? 3 : code >= 0xe0 ? 2 : 1;

			code &= 0x3fU >> more;
			while (more-- > 0 && byte[1] != '\0')
				code = code << 6 | (*++byte & 0x3fU);
			buffer_printf(out, "\\U%08" PRIx32, code);
		}
	}
	buffer_append_char(out, '"');
}

void normal_key(struct normal *normal, const char *key)
{
	append_quoted(&normal->text, key);
	buffer_append_text(&normal->text, ": ");
}

void normal_text(struct normal *normal, const char *text)
{
	append_quoted(&normal->text, text);
	buffer_append_char(&normal->text, ',');
	end_line(normal);
}

void normal_int(struct normal *normal, int64_t integer)
{
	buffer_printf(&normal->text, "%" PRId64 ",", integer);
	end_line(normal);
}

/* --- the schema --- */

#define TEXT(key, structure, member)                                                               \
	CYAML_FIELD_STRING_PTR(                                                                    \
		key, CYAML_FLAG_POINTER, struct structure, member, 0, CYAML_UNLIMITED)
#define TEXT_OPTIONAL(key, structure, member)                                                      \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct structure,    \
		member, 0, CYAML_UNLIMITED)
#define INT(key, structure, member)                                                                \
	CYAML_FIELD_INT(key, CYAML_FLAG_DEFAULT, struct structure, member)
#define INT_OPTIONAL(key, structure, member)                                                       \
	CYAML_FIELD_INT(key, CYAML_FLAG_OPTIONAL, struct structure, member)
#define LIST(key, structure, member, entry)                                                        \
	CYAML_FIELD_SEQUENCE(                                                                      \
		key, CYAML_FLAG_POINTER, struct structure, member, entry, 0, CYAML_UNLIMITED)
#define LIST_OPTIONAL(key, structure, member, entry)                                               \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct structure,      \
		member, entry, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t type_fields[] = {
	TEXT("name", config_type, name),
	TEXT("meaning", config_type, meaning),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t type_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_type, type_fields),
};

static const cyaml_schema_field_t worker_fields[] = {
	TEXT("name", config_worker, name),
	TEXT_OPTIONAL("checklist key", config_worker, checklist_key),
	LIST("types", config_worker, types, &type_schema),
	INT("node", config_worker, node),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t worker_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_worker, worker_fields),
};

static const cyaml_schema_field_t program_fields[] = {
	TEXT("name", config_program, name),
	LIST_OPTIONAL("command", config_program, command, &text_schema),
	TEXT_OPTIONAL("success", config_program, success),
	TEXT_OPTIONAL("failure", config_program, failure),
	INT("time limit", config_program, time_limit_ms),
	INT("grace time", config_program, grace_time_ms),
	INT("times", config_program, retry_times),
	INT("wait", config_program, retry_wait_ms),
	INT("at most", config_program, retry_at_most_ms),
	LIST("after", config_program, retry_after, &text_schema),
	INT("if running", config_program, if_running),
	INT("if lost", config_program, if_lost),
	INT("node", config_program, node),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t program_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_program, program_fields),
};

static const cyaml_schema_field_t schedule_fields[] = {
	TEXT("worker", config_schedule, worker),
	TEXT("every", config_schedule, every),
	TEXT("at", config_schedule, at),
	INT("hour", config_schedule, at_hour),
	INT("minute", config_schedule, at_minute),
	LIST("arguments", config_schedule, arguments, &text_schema),
	INT("node", config_schedule, node),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t schedule_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_schedule, schedule_fields),
};

static const cyaml_schema_field_t supervised_fields[] = {
	TEXT("name", config_supervised, name),
	LIST("command", config_supervised, command, &text_schema),
	LIST("after", config_supervised, after, &text_schema),
	INT("ready", config_supervised, ready),
	INT("port", config_supervised, ready_port),
	TEXT("file", config_supervised, ready_file),
	INT("ready time", config_supervised, ready_time_ms),
	INT("stop time", config_supervised, stop_time_ms),
	INT("node", config_supervised, node),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t supervised_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_supervised, supervised_fields),
};

static const cyaml_schema_field_t bound_fields[] = {
	TEXT("checklist file", bound, checklist_file),
	TEXT_OPTIONAL("state directory", bound, state_directory),
	TEXT_OPTIONAL("state group", bound, state_group),
	TEXT_OPTIONAL("rules", bound, rules_name),
	TEXT_OPTIONAL("host", bound, messaging_host),
	INT_OPTIONAL("manager port", bound, manager_port),
	INT_OPTIONAL("workers port", bound, workers_port),
	INT_OPTIONAL("tcp", bound, tcp_allowed),
	LIST_OPTIONAL("manager types", bound, manager_types, &type_schema),
	LIST("registry", bound, workers, &worker_schema),
	LIST_OPTIONAL("programs", bound, programs, &program_schema),
	LIST_OPTIONAL("default programs", bound, default_programs, &program_schema),
	LIST_OPTIONAL("schedules", bound, schedules, &schedule_schema),
	INT_OPTIONAL("restart wait", bound, supervisor.restart_wait_ms),
	INT_OPTIONAL("restart at most", bound, supervisor.restart_at_most_ms),
	INT_OPTIONAL("ready time", bound, supervisor.ready_time_ms),
	INT_OPTIONAL("stop time", bound, supervisor.stop_time_ms),
	LIST_OPTIONAL("supervised", bound, supervisor.programs, &supervised_schema),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t bound_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct bound, bound_fields),
};

/* --- loading --- */

/* What libcyaml said: its first line, and the innermost place of its backtrace. */
struct complaint {
	char text[200];
	unsigned line;
};

NC_PRINTF(3, 0)
static void take_complaint(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
	struct complaint *complaint = context;
	char text[sizeof(complaint->text)];
	const char *line;

	if (level < CYAML_LOG_ERROR || vsnprintf(text, sizeof(text), format, arguments) < 0)
		return;
	if (complaint->text[0] == '\0') {
		text[strcspn(text, "\n")] = '\0';
		memcpy(complaint->text, text, sizeof(text));
	}
	line = strstr(text, "line: ");
	if (line != NULL && complaint->line == 0)
		complaint->line = (unsigned)strtoul(line + strlen("line: "), NULL, 10);
}

static const cyaml_config_t *cyaml_settings(struct complaint *complaint, cyaml_config_t *storage)
{
	*storage = (cyaml_config_t){
		.log_fn = complaint != NULL ? take_complaint : NULL,
		.log_ctx = complaint,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS,
	};
	return storage;
}

/* Lack of memory within libyaml comes as an error of its parser, for which libyaml has no words. */
static bool is_lack_of_memory(cyaml_err_t result, const struct complaint *complaint)
{
	return result == CYAML_ERR_OOM || result == CYAML_ERR_LIBYAML_PARSER_INIT ||
	       (result == CYAML_ERR_LIBYAML_PARSER && strstr(complaint->text, "(null)") != NULL);
}

enum nc_err bound_load(const struct normal *normal, struct bound **ret_bound, struct error *error)
{
	struct complaint complaint = { 0 };
	struct place place = { 0 };
	cyaml_config_t settings;
	cyaml_data_t *data = NULL;
	cyaml_err_t result;

	if (normal->text.failed)
		return error_nomem(error);
	result = cyaml_load_data((const uint8_t *)normal->text.data, normal->text.len,
		cyaml_settings(&complaint, &settings), &bound_schema, &data, NULL);
	if (result == CYAML_OK && data != NULL) {
		*ret_bound = data;
		return NC_OK;
	}
	if (is_lack_of_memory(result, &complaint))
		return error_nomem(error);
	if (complaint.line > 0 && complaint.line <= normal->count)
		place = normal->places[complaint.line - 1];
	return error_at(error, NC_ERR_INVALID, place.line, place.column,
		"this does not fit the schema: %s (%s)",
		complaint.text[0] != '\0' ? complaint.text : "nothing in it",
		cyaml_strerror(result));
}

void bound_destroy(struct bound *bound)
{
	cyaml_config_t settings;

	if (bound != NULL)
		(void)cyaml_free(cyaml_settings(NULL, &settings), &bound_schema, bound, 0);
}
