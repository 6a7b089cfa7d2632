/*
 * The `logging` section as logging.config.dictConfig takes it, read into a struct log_setup. All problems
 * are found in one pass: a reader goes on after an error, and leaves out what was wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/suggest.h"
#include "core/system/log_reader.h"

/* --- loggers --- */

static struct log_handler *find_handler(
	struct log_reader *reader, const struct value *at, const char *name, const char *what)
{
	const struct log_setup *setup = reader->setup;
	const char **names = calloc(setup->handlers_count + 1, sizeof(*names));
	const char *nearest;

	if (names == NULL) {
		reader->nomem = true;
		return NULL;
	}
	for (size_t i = 0; i < setup->handlers_count; i++) {
		names[i] = setup->handlers[i]->name;
		if (strcmp(names[i], name) == 0) {
			free(names);
			return setup->handlers[i];
		}
	}
	nearest = suggest(name, names, setup->handlers_count);
	log_reader_error(reader, FINDING_UNKNOWN_HANDLER, at,
		"%s names the handler %s, which is not under `handlers`%s%s%s", what, name,
		nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "?" : "");
	free(names);
	return NULL;
}

static void read_logger_handlers(struct log_reader *reader, const struct value *map,
	const char *what, struct log_logger *logger)
{
	const struct value *list = value_map_get(map, "handlers");
	size_t count = value_count(list);

	if (list == NULL || value_is(list, VALUE_NULL))
		return;
	if (!value_is(list, VALUE_LIST)) {
		log_reader_error(reader, FINDING_WRONG_KIND, list,
			"`handlers` of %s must be a list of names, as in [console], not %s", what,
			value_kind_words(value_kind(list)));
		return;
	}
	logger->handlers = calloc(count + 1, sizeof(struct log_handler *));
	if (logger->handlers == NULL) {
		reader->nomem = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct value *item = value_at(list, i);
		struct buffer name;
		struct log_handler *handler = NULL;

		buffer_init(&name);
		if (value_print_scalar(item, &name) == NC_OK)
			handler = find_handler(reader, item, name.data, what);
		else if (name.failed)
			reader->nomem = true;
		else
			log_reader_error(reader, FINDING_WRONG_KIND, item,
				"`handlers` of %s must be a list of names", what);
		buffer_finish(&name);
		/* Python adds a handler to a logger once, however often it is named. */
		for (size_t k = 0; k < logger->handlers_count; k++)
			handler = logger->handlers[k] == handler ? NULL : handler;
		if (handler != NULL)
			logger->handlers[logger->handlers_count++] = handler;
	}
}

/* The entry's keys into `logger`, whose name is there. */
static void read_logger(struct log_reader *reader, const struct value *entry, const char *what,
	struct log_logger *logger)
{
	static const char *const keys[] = { "level", "handlers", "propagate", "filters", "qualname",
		"formatter" };
	const struct value *map = log_reader_mapping(reader, entry, what);

	if (map == NULL)
		return;
	log_reader_check_keys(reader, map, what, keys, ARRAY_LEN(keys));
	logger->level = log_reader_level(reader, map, what, logger->level);
	logger->propagate = log_reader_bool(reader, map, "propagate", what, true);
	log_read_filter_names(reader, map, what, &logger->filters, &logger->filters_count);
	read_logger_handlers(reader, map, what, logger);
}

static void read_loggers(struct log_reader *reader, const struct value *section)
{
	const struct value *map =
		log_reader_mapping(reader, value_map_get(section, "loggers"), "`loggers`");
	struct log_logger *logger = log_setup_add_logger(reader->setup, "");

	if (logger == NULL) {
		reader->nomem = true;
		return;
	}
	logger->level = LEVEL_WARNING; /* Python's root, when nothing is said */
	read_logger(reader, value_map_get(section, "root"), "`root`", logger);
	for (size_t i = 0; i < value_count(map) && !reader->nomem; i++) {
		char *name = log_reader_key(map, i);
		char what[120];

		logger = name != NULL ? log_setup_add_logger(reader->setup, name) : NULL;
		if (logger == NULL) {
			reader->nomem = true;
		} else {
			(void)snprintf(what, sizeof(what), "the logger %s", name);
			read_logger(reader, value_map_value_at(map, i), what, logger);
		}
		free(name);
	}
}

static void note_unused_handlers(struct log_reader *reader, const struct value *section)
{
	const struct value *map = value_map_get(section, "handlers");

	for (size_t i = 0; i < reader->setup->handlers_count; i++) {
		const struct log_handler *handler = reader->setup->handlers[i];

		if (!log_setup_uses(reader->setup, handler))
			log_reader_say(reader, SEVERITY_NOTE, FINDING_UNUSED_HANDLER,
				value_map_key_at(map, i), "no logger uses the handler %s",
				handler->name);
	}
}

/* --- a form, and the section --- */

static void read_form(struct log_reader *reader, const struct value *form, const char *what)
{
	static const char *const keys[] = { "version", "disable_existing_loggers", "incremental",
		"formatters", "filters", "handlers", "loggers", "root" };
	const struct value *version = value_map_get(form, "version");

	log_reader_check_keys(reader, form, what, keys, ARRAY_LEN(keys));
	if (version == NULL)
		log_reader_error(reader, FINDING_MISSING_KEY, form,
			"%s has no version; give `version: 1`", what);
	else if (value_as_int(version, 0) != 1)
		log_reader_error(
			reader, FINDING_BAD_NUMBER, version, "the version of %s must be 1", what);
	if (log_reader_bool(reader, form, "incremental", what, false))
		log_reader_error(reader, FINDING_NOT_SUPPORTED, value_map_get(form, "incremental"),
			"`incremental: true` is not supported; a reload reads the whole section");
	(void)log_reader_bool(reader, form, "disable_existing_loggers", what, true);
	log_read_formatters(reader, form);
	if (!reader->nomem)
		log_read_filters(reader, form);
	if (!reader->nomem)
		log_read_handlers(reader, form);
	if (!reader->nomem)
		read_loggers(reader, form);
	if (!reader->nomem)
		note_unused_handlers(reader, form);
}

bool log_section_is_distributed(const struct value *section)
{
	return value_map_get(section, "aggregator") != NULL ||
	       value_map_get(section, "publisher") != NULL;
}

/* The part of the section that `mode` uses; `what` is its name for messages. */
static const struct value *find_form(
	const struct value *section, enum log_mode mode, const char **what)
{
	if (mode == LOG_MODE_AGGREGATOR) {
		*what = "`aggregator`";
		return value_map_get(section, "aggregator");
	}
	if (log_section_is_distributed(section)) {
		*what = "`publisher`";
		return value_map_get(section, "publisher");
	}
	*what = "`logging`";
	return section;
}

enum nc_err log_setup_read(const struct config *config, enum log_mode mode,
	struct log_setup **ret_setup, struct findings *findings)
{
	struct log_reader reader = { .config = config, .findings = findings, .mode = mode };
	const char *what;
	const struct value *form = find_form(config->logging, mode, &what);

	form = log_reader_mapping(&reader, form, what);
	if (reader.wrong)
		return NC_ERR_INVALID;
	if (form == NULL)
		return NC_ERR_NOT_FOUND;
	reader.setup = calloc(1, sizeof(*reader.setup));
	if (reader.setup == NULL)
		return NC_ERR_NOMEM;
	read_form(&reader, form, what);
	if (reader.nomem || reader.wrong) {
		log_setup_destroy(reader.setup);
		return reader.nomem ? NC_ERR_NOMEM : NC_ERR_INVALID;
	}
	*ret_setup = reader.setup;
	return NC_OK;
}

static enum nc_err explain(const struct config *config, enum nc_err err, enum log_mode mode,
	const struct findings *findings, struct error *error)
{
	const struct finding *first = findings_first_error(findings);

	if (err == NC_ERR_NOMEM)
		return error_nomem(error);
	if (err == NC_ERR_NOT_FOUND)
		return error_set(error, NC_ERR_NOT_FOUND,
			mode == LOG_MODE_AGGREGATOR
				? "%s: there is nothing to aggregate: `logging` has no part "
				  "`aggregator`"
				: "%s: `logging` has a part `aggregator`, so it needs a part "
				  "`publisher` too",
			config->file);
	if (first == NULL)
		return error_set(
			error, NC_ERR_INVALID, "%s: the `logging` section is wrong", config->file);
	return error_at(error, NC_ERR_INVALID, first->line, first->column, "%s:%u:%u: %s",
		first->file, first->line, first->column, first->text);
}

enum nc_err log_setup_load(const struct config *config, enum log_mode mode,
	struct log_setup **ret_setup, struct error *error)
{
	struct findings findings;
	enum nc_err err;

	findings_init(&findings);
	err = log_setup_read(config, mode, ret_setup, &findings);
	if (err != NC_OK)
		err = explain(config, err, mode, &findings, error);
	findings_finish(&findings);
	return err;
}

void log_check(const struct config *config, struct findings *findings)
{
	static const char *const parts[] = { "aggregator", "publisher" };
	static const enum log_mode modes[] = { LOG_MODE_AGGREGATOR, LOG_MODE_NORMAL };
	bool distributed = log_section_is_distributed(config->logging);
	struct log_reader reader = { .config = config, .findings = findings };

	if (log_reader_mapping(&reader, config->logging, "`logging`") == NULL) {
		if (!reader.wrong)
			log_reader_say(&reader, SEVERITY_WARNING, FINDING_MISSING_KEY, config->tree,
				"there is no `logging` section: lines of INFO and above go to "
				"standard error");
		return;
	}
	if (distributed)
		log_reader_check_keys(
			&reader, config->logging, "`logging`", parts, ARRAY_LEN(parts));
	for (size_t i = distributed ? 0 : 1; i < ARRAY_LEN(modes); i++) {
		struct log_setup *setup = NULL;

		if (log_setup_read(config, modes[i], &setup, findings) == NC_ERR_NOT_FOUND)
			log_reader_error(&reader, FINDING_MISSING_KEY, config->logging,
				"`logging` has a part `%s`, so it needs a part `%s` too",
				parts[1 - i], parts[i]);
		log_setup_destroy(setup);
	}
}
