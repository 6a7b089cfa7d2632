#include "core/system/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/log_internal.h"

enum {
	HOST_NAME_SIZE = 256,
};

struct log {
	pthread_mutex_t mutex; /* around the handlers' files, the shipper and `line` */
	char *process_name;
	char host[HOST_NAME_SIZE];
	int64_t start_ns;
	struct log_setup *setup;
	struct secrets *secrets;
	struct log_shipper *shipper; /* or NULL */
	struct log_setup *kept;      /* log_keep(): one handler; or NULL */
	bool collecting;             /* log_collect.h */
	int own_threshold;           /* lines of our own logger below it go nowhere */
	struct buffer name, host_name, masked, message, line;
};

/* --- the process id --- */

static _Atomic pid_t known_process_id; /* 0: to be asked for */
static bool forks_are_watched;         /* else it is asked for each time */

static void forget_process_id(void)
{
	known_process_id = 0;
}

/* A system call less for each line; a fork asks again. */
static pid_t own_process_id(void)
{
	pid_t id = known_process_id;

	if (id == 0) {
		id = getpid();
		known_process_id = forks_are_watched ? id : 0;
	}
	return id;
}

static pthread_once_t watch_forks = PTHREAD_ONCE_INIT;

static void watch_for_forks(void)
{
	forks_are_watched = pthread_atfork(NULL, NULL, forget_process_id) == 0;
}

/* --- from start to end --- */

/* The lowest level at which a line of `logger` reaches a handler. */
static int threshold_of(const struct log_setup *setup, const char *logger)
{
	int effective = log_setup_effective_level(setup, logger);
	int lowest = LEVEL_MOST + 1;
	bool found = false;
	size_t len = strlen(logger) + 1;
	const struct log_logger *next;

	while ((next = log_setup_next(setup, logger, &len)) != NULL) {
		for (size_t i = 0; i < next->handlers_count; i++) {
			const struct log_handler *handler = next->handlers[i];

			found = true;
			if (handler->kind != HANDLER_NULL && handler->level < lowest)
				lowest = handler->level;
		}
		if (!next->propagate)
			break;
	}
	if (!found)
		lowest = LEVEL_WARNING; /* the last resort, standard error */
	return lowest > effective ? lowest : effective;
}

/* `--debug`: everything goes to the handler `console` and nowhere else. false: there is none. */
static bool keep_console_only(struct log_setup *setup)
{
	struct log_handler *console = NULL;

	for (size_t i = 0; i < setup->handlers_count; i++) {
		struct log_handler *handler = setup->handlers[i];

		if (handler->kind == HANDLER_STREAM && strcmp(handler->name, "console") == 0)
			console = handler;
		else
			handler->kind = HANDLER_NULL;
	}
	if (console == NULL)
		return false;
	console->level = LEVEL_NOTSET;
	for (size_t i = 0; i < setup->loggers_count; i++) {
		setup->loggers[i].handlers_count = 0;
		setup->loggers[i].level = LEVEL_NOTSET;
		setup->loggers[i].propagate = true;
	}
	free(setup->loggers[0].handlers);
	setup->loggers[0].handlers = calloc(1, sizeof(struct log_handler *));
	if (setup->loggers[0].handlers == NULL)
		return false;
	setup->loggers[0].handlers[0] = console;
	setup->loggers[0].handlers_count = 1;
	setup->loggers[0].level = LEVEL_DEBUG;
	return true;
}

static enum nc_err open_handlers(struct log *log, const struct config *config, struct error *error)
{
	for (size_t i = 0; i < log->setup->handlers_count; i++) {
		struct log_handler *handler = log->setup->handlers[i];
		struct error why;
		enum nc_err err = NC_OK;

		if (config == NULL) /* the console alone, which has no file */
			(void)log_handler_open(handler, NULL);
		else if (handler->kind == HANDLER_AGGREGATOR && log->shipper == NULL)
			err = log_shipper_create(
				config, log->process_name, log->host, &log->shipper, error);
		else if (!handler->delayed && log_handler_open(handler, &why) != NC_OK)
			err = error_errno(error, why.sys_errno,
				"%s:%u:%u: the handler %s cannot open its log file %s",
				config->file, handler->line, handler->column, handler->name,
				handler->path);
		if (err != NC_OK)
			return err;
	}
	return NC_OK;
}

/* A password that stands in the configuration itself is one, too. */
static enum nc_err add_passwords(struct log *log, struct error *error)
{
	for (size_t i = 0; i < log->setup->handlers_count; i++) {
		const struct log_mail *mail = log->setup->handlers[i]->mail;

		if (mail != NULL && mail->password != NULL) {
			enum nc_err err = secrets_add(log->secrets, mail->password, error);

			if (err != NC_OK)
				return err;
		}
	}
	return NC_OK;
}

/* The log works without a syslog host; but it is to be known. */
static void warn_of_lost_hosts(struct log *log)
{
	for (size_t i = 0; i < log->setup->handlers_count; i++) {
		const struct log_handler *handler = log->setup->handlers[i];

		if (handler->kind == HANDLER_SYSLOG && handler->host != NULL && handler->fd < 0)
			log_warning(log,
				"the host %s of the log handler %s is not known: its lines are "
				"lost until a reload finds it",
				handler->host, handler->name);
	}
}

/* Takes `setup` over, also on failure. */
static enum nc_err create(const struct config *config, const char *process_name,
	struct log_setup *setup, struct log **ret_log, struct error *error)
{
	struct log *log = calloc(1, sizeof(*log));
	enum nc_err err;

	if (log == NULL) {
		log_setup_destroy(setup);
		return error_nomem(error);
	}
	log->setup = setup;
	log->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	buffer_init(&log->name);
	buffer_init(&log->host_name);
	buffer_init(&log->masked);
	buffer_init(&log->message);
	buffer_init(&log->line);
	log->start_ns = clock_real_ns();
	log->process_name = strdup(process_name);
	if (gethostname(log->host, sizeof(log->host) - 1) < 0)
		(void)snprintf(log->host, sizeof(log->host), "localhost");
	tzset(); /* localtime_r() need not */
	(void)pthread_once(&watch_forks, watch_for_forks);
	err = secrets_create(config, &log->secrets, error);
	if (err == NC_OK)
		err = add_passwords(log, error);
	if (err == NC_OK)
		err = log->process_name != NULL ? open_handlers(log, config, error)
						: error_nomem(error);
	if (err != NC_OK) {
		log_destroy(log);
		return err;
	}
	log->own_threshold = threshold_of(setup, process_name);
	warn_of_lost_hosts(log);
	*ret_log = log;
	return NC_OK;
}

enum nc_err log_create(const struct config *config, const char *process_name, enum log_mode mode,
	struct log **ret_log, struct error *error)
{
	struct log_setup *setup = NULL;
	enum nc_err err;

	if (config->logging == NULL && mode != LOG_MODE_AGGREGATOR)
		return log_create_console(process_name, mode == LOG_MODE_DEBUG, ret_log, error);
	err = log_setup_load(config, mode, &setup, error);
	if (err != NC_OK)
		return err == NC_ERR_NOT_FOUND ? NC_ERR_INVALID : err;
	if (mode == LOG_MODE_DEBUG && !keep_console_only(setup)) {
		log_setup_destroy(setup);
		return log_create_console(process_name, true, ret_log, error);
	}
	err = create(config, process_name, setup, ret_log, error);
	if (err == NC_OK)
		(*ret_log)->collecting = mode == LOG_MODE_AGGREGATOR;
	return err;
}

enum nc_err log_create_console(
	const char *process_name, bool debug, struct log **ret_log, struct error *error)
{
	struct log_setup *setup;

	if (log_setup_console(&setup, debug ? LEVEL_DEBUG : LEVEL_INFO) != NC_OK)
		return error_nomem(error);
	return create(NULL, process_name, setup, ret_log, error);
}

void log_destroy(struct log *log)
{
	if (log == NULL)
		return;
	/* Own lines of an aggregator that did not come to write. */
	if (log->setup != NULL)
		(void)log_collect_write(log, false);
	log_shipper_destroy(log->shipper);
	log_setup_destroy(log->setup);
	secrets_destroy(log->secrets);
	log_setup_destroy(log->kept);
	buffer_finish(&log->name);
	buffer_finish(&log->host_name);
	buffer_finish(&log->masked);
	buffer_finish(&log->message);
	buffer_finish(&log->line);
	free(log->process_name);
	free(log);
}

/* --- a line --- */

/* A line of our own about a handler, in its form. */
static bool report(struct log *log, struct log_handler *handler, const char *text)
{
	const struct log_view view = {
		.logger = log->process_name,
		.level = LEVEL_ERROR,
		.real_ns = clock_real_ns(),
		.start_ns = log->start_ns,
		.process_id = getpid(),
		.process_name = log->process_name,
		.host = log->host,
		.message = text,
	};
	struct buffer line;
	bool written = false;

	buffer_init(&line);
	log_format_apply(handler->format, &view, &line);
	buffer_append_char(&line, '\n');
	if (!line.failed) {
		written = log_handler_write(handler, &view, line.data, line.len);
		if (!written)
			handler->lost--; /* the report is not one of the lost lines */
	}
	buffer_finish(&line);
	return written;
}

static void report_lost(struct log *log, struct log_handler *handler)
{
	uint64_t lost = handler->lost;
	char text[160];

	(void)snprintf(text, sizeof(text), "%" PRIu64 " log line%s could not be written here: %s",
		lost, lost == 1 ? "" : "s", strerrordesc_np(handler->lost_errno));
	if (report(log, handler, text))
		handler->lost = 0;
}

/* Those outlive a power failure (promises.md, R15); where they may not, that is said once. */
static void sync_line(struct log *log, struct log_handler *handler)
{
	char text[160];
	int why;

	handler->unsynced = true;
	if (log_handler_sync(handler) == LOG_COLLECTED_WRITTEN) {
		handler->sync_fails = false;
		return;
	}
	why = errno;
	if (handler->sync_fails)
		return;
	handler->sync_fails = true;
	(void)snprintf(text, sizeof(text), "log lines here may not outlive a power failure: %s",
		strerrordesc_np(why));
	(void)report(log, handler, text);
}

/* Why a file could not be rolled over, once. */
static void report_roll_problem(struct log *log, struct log_handler *handler)
{
	char *problem = handler->roll_problem;

	handler->roll_problem = NULL;
	if (problem != NULL)
		(void)report(log, handler, problem);
	free(problem);
}

/* With the others of its batch, or behind lines that wait for a full disk. */
static void collect(struct log *log, struct log_handler *handler, const struct log_view *view)
{
	if (log->collecting || log_handler_may_wait(handler)) {
		(void)log_handler_collect(handler, handler->format, view);
	} else {
		handler->lost++;
		handler->lost_errno = ENOSPC;
	}
}

static void emit(struct log *log, struct log_handler *handler, const struct log_view *view)
{
	if (handler->kind == HANDLER_FILE && (log->collecting || handler->collected.len > 0)) {
		collect(log, handler, view);
		return;
	}
	buffer_clear(&log->line);
	log_format_apply(handler->format, view, &log->line);
	buffer_append_char(&log->line, '\n');
	if (log->line.failed) {
		handler->lost++;
		handler->lost_errno = ENOMEM;
		log->line.failed = false;
		return;
	}
	if (log_handler_write(handler, view, log->line.data, log->line.len) && handler->lost > 0)
		report_lost(log, handler);
	if (view->level >= LEVEL_ERROR && handler->kind == HANDLER_FILE)
		sync_line(log, handler);
	report_roll_problem(log, handler);
}

/* No logger on the way has a handler: as Python does, warnings still reach standard error. */
static void emit_last_resort(const struct log_view *view)
{
	if (view->level >= LEVEL_WARNING)
		(void)dprintf(STDERR_FILENO, "%s\n", view->message);
}

static bool passes(struct log_filter *const *filters, size_t count, const struct log_record *record)
{
	return count == 0 ||
	       log_filters_pass(filters, count, *record->logger != '\0' ? record->logger : "root");
}

static void route(struct log *log, const struct log_view *view, const struct log_record *record)
{
	const struct log_logger *logger;
	size_t len = strlen(record->logger) + 1;
	bool found = false;

	/* A logger's filters are for what it logs itself, not for what loggers below it pass on. */
	logger = log_setup_find(log->setup, record->logger, len - 1);
	if (logger != NULL && !passes(logger->filters, logger->filters_count, record))
		return;
	while ((logger = log_setup_next(log->setup, record->logger, &len)) != NULL) {
		for (size_t i = 0; i < logger->handlers_count; i++) {
			struct log_handler *handler = logger->handlers[i];

			found = true;
			if (view->level < handler->level || handler->kind == HANDLER_NULL ||
				!passes(handler->filters, handler->filters_count, record))
				continue;
			if (handler->kind == HANDLER_AGGREGATOR)
				log_shipper_add(log->shipper, view, record->keep_newlines);
			else
				emit(log, handler, view);
		}
		if (!logger->propagate)
			break;
	}
	if (!found)
		emit_last_resort(view);
}

/* A text of the record, escaped into a buffer that keeps its memory. */
static const char *escaped(struct buffer *buffer, const char *text, bool keep_newlines)
{
	buffer_clear(buffer);
	buffer->failed = false;
	log_escape(text, keep_newlines, buffer);
	return buffer->failed ? "(out of memory)" : buffer->data;
}

/* The message without secrets: itself, as a rule. */
static const char *masked(struct log *log, const char *message)
{
	if (!secrets_are_in(log->secrets, message))
		return message;
	buffer_clear(&log->masked);
	log->masked.failed = false;
	secrets_mask(log->secrets, message, &log->masked);
	return log->masked.failed ? "(out of memory)" : log->masked.data;
}

void log_record(struct log *log, const struct log_record *record)
{
	struct log_view view;
	const char *message;
	bool enabled;

	if (log == NULL)
		return;
	enabled = log_is_enabled(log, record->logger, record->level);
	if (!enabled && log->kept == NULL)
		return;
	(void)pthread_mutex_lock(&log->mutex);
	message = masked(log, record->message);
	view = (struct log_view){
		.logger = *record->logger != '\0' ? escaped(&log->name, record->logger, false)
						  : "root",
		.level = record->level,
		.real_ns = record->real_ns != 0 ? record->real_ns : clock_real_ns(),
		.start_ns = log->start_ns,
		.process_id = record->process_id != 0 ? record->process_id : own_process_id(),
		.process_name = log->process_name,
		.host = record->host != NULL ? escaped(&log->host_name, record->host, false)
					     : log->host,
		.message = escaped(&log->message, message, record->keep_newlines),
		.raw_message = message,
	};
	if (enabled)
		route(log, &view, record);
	if (log->kept != NULL)
		emit(log, log->kept->handlers[0], &view);
	(void)pthread_mutex_unlock(&log->mutex);
}

void log_line(struct log *log, int level, const char *format, ...)
{
	char short_text[512];
	char *text = short_text;
	va_list arguments;
	int len;

	if (log == NULL || (level < log->own_threshold && log->kept == NULL))
		return;
	va_start(arguments, format);
	len = vsnprintf(short_text, sizeof(short_text), format, arguments);
	va_end(arguments);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(short_text)) {
		text = malloc((size_t)len + 1);
		if (text != NULL) {
			va_start(arguments, format);
			(void)vsnprintf(text, (size_t)len + 1, format, arguments);
			va_end(arguments);
		}
	}
	/* Out of memory: the beginning is better than nothing. */
	log_record(log, &(struct log_record){ .logger = log->process_name,
				.level = level,
				.message = text != NULL ? text : short_text });
	if (text != short_text)
		free(text);
}

bool log_is_enabled(const struct log *log, const char *logger, int level)
{
	if (logger == log->process_name)
		return level >= log->own_threshold;
	return level >= threshold_of(log->setup, logger);
}

const struct secrets *log_secrets(const struct log *log)
{
	return log != NULL ? log->secrets : NULL;
}

bool log_has_handlers(const struct log *log, const char *logger)
{
	const struct log_logger *found = log_setup_find(log->setup, logger, strlen(logger));

	return found != NULL && found->handlers_count > 0;
}

enum nc_err log_keep(struct log *log, const char *path, struct error *error)
{
	struct log_setup *kept = NULL;
	struct log_handler *handler;
	enum nc_err err = NC_ERR_NOMEM;

	if (log_setup_console(&kept, LEVEL_NOTSET) != NC_OK)
		return error_nomem(error);
	handler = kept->handlers[0];
	handler->kind = HANDLER_FILE;
	handler->fd = -1;
	handler->path = strdup(path);
	err = handler->path != NULL ? log_handler_open(handler, error) : error_nomem(error);
	if (err != NC_OK) {
		log_setup_destroy(kept);
		return err;
	}
	(void)pthread_mutex_lock(&log->mutex);
	log->kept = kept;
	(void)pthread_mutex_unlock(&log->mutex);
	return NC_OK;
}

void log_reopen(struct log *log)
{
	(void)pthread_mutex_lock(&log->mutex);
	for (size_t i = 0; i < log->setup->handlers_count; i++) {
		if (log->setup->handlers[i]->kind == HANDLER_FILE &&
			log->setup->handlers[i]->fd >= 0)
			log_handler_check(log->setup->handlers[i]);
	}
	(void)pthread_mutex_unlock(&log->mutex);
}

/* --- batches --- */

void log_collect_begin(struct log *log)
{
	(void)pthread_mutex_lock(&log->mutex);
	log->collecting = true;
	(void)pthread_mutex_unlock(&log->mutex);
}

void log_collect_places(struct log *log, struct log_place places[LOG_PLACES_MOST])
{
	(void)pthread_mutex_lock(&log->mutex);
	memset(places, 0, LOG_PLACES_MOST * sizeof(*places));
	for (size_t i = 0; i < log->setup->handlers_count && i < LOG_PLACES_MOST; i++)
		log_handler_place(log->setup->handlers[i], &places[i]);
	(void)pthread_mutex_unlock(&log->mutex);
}

void log_collect_drop(struct log *log)
{
	(void)pthread_mutex_lock(&log->mutex);
	log->collecting = false;
	for (size_t i = 0; i < log->setup->handlers_count; i++)
		log_handler_forget(log->setup->handlers[i]);
	(void)pthread_mutex_unlock(&log->mutex);
}

enum log_collected log_collect_write(struct log *log, bool sync)
{
	enum log_collected result = LOG_COLLECTED_WRITTEN;
	int sys_errno = 0;

	(void)pthread_mutex_lock(&log->mutex);
	log->collecting = false;
	for (size_t i = 0; i < log->setup->handlers_count; i++) {
		struct log_handler *handler = log->setup->handlers[i];
		enum log_collected one = log_handler_write_collected(handler);

		if (one == LOG_COLLECTED_WRITTEN && handler->lost > 0 &&
			handler->kind == HANDLER_FILE && handler->fd >= 0)
			report_lost(log, handler);
		if (one == LOG_COLLECTED_WRITTEN)
			report_roll_problem(log, handler);
		if (one == LOG_COLLECTED_WRITTEN && sync)
			one = log_handler_sync(handler);
		if (one == LOG_COLLECTED_SYNC_FAILED)
			sys_errno = errno;
		if (one > result)
			result = one;
	}
	(void)pthread_mutex_unlock(&log->mutex);
	errno = sys_errno;
	return result;
}

enum log_collected log_collect_sync(struct log *log)
{
	enum log_collected result = LOG_COLLECTED_WRITTEN;
	int sys_errno = 0;

	(void)pthread_mutex_lock(&log->mutex);
	for (size_t i = 0; i < log->setup->handlers_count; i++) {
		if (log_handler_sync(log->setup->handlers[i]) == LOG_COLLECTED_WRITTEN)
			continue;
		sys_errno = errno;
		result = LOG_COLLECTED_SYNC_FAILED;
	}
	(void)pthread_mutex_unlock(&log->mutex);
	errno = sys_errno;
	return result;
}

void log_collect_mark(struct log *log)
{
	(void)pthread_mutex_lock(&log->mutex);
	for (size_t i = 0; i < log->setup->handlers_count; i++)
		log->setup->handlers[i]->mark = log->setup->handlers[i]->collected.len;
	(void)pthread_mutex_unlock(&log->mutex);
}

void log_collect_recover(struct log *log, const struct log_place places[LOG_PLACES_MOST])
{
	const struct log_place nowhere = { 0 };

	(void)pthread_mutex_lock(&log->mutex);
	for (size_t i = 0; i < log->setup->handlers_count; i++)
		log_handler_recover(
			log->setup->handlers[i], i < LOG_PLACES_MOST ? &places[i] : &nowhere);
	(void)pthread_mutex_unlock(&log->mutex);
}
