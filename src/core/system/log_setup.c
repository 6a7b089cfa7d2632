/*
 * The section as data: its parts, who rules over a logger's name, and its end. log_config.c fills it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/system/log_internal.h"

struct log_named_format *log_setup_add_format(struct log_setup *setup, const char *name)
{
	struct log_named_format *formats =
		reallocarray(setup->formats, setup->formats_count + 1, sizeof(*formats));

	if (formats == NULL)
		return NULL;
	setup->formats = formats;
	formats += setup->formats_count;
	formats->format = NULL;
	formats->name = strdup(name);
	if (formats->name == NULL)
		return NULL;
	setup->formats_count++;
	return formats;
}

struct log_handler *log_setup_add_handler(struct log_setup *setup, const char *name)
{
	struct log_handler **handlers = reallocarray(
		setup->handlers, setup->handlers_count + 1, sizeof(struct log_handler *));
	struct log_handler *handler;

	if (handlers == NULL)
		return NULL;
	setup->handlers = handlers;
	handler = calloc(1, sizeof(*handler));
	if (handler == NULL)
		return NULL;
	handler->kind = HANDLER_NULL;
	handler->fd = -1;
	buffer_init(&handler->collected);
	handler->name = strdup(name);
	if (handler->name == NULL) {
		free(handler);
		return NULL;
	}
	handlers[setup->handlers_count++] = handler;
	return handler;
}

struct log_logger *log_setup_add_logger(struct log_setup *setup, const char *name)
{
	struct log_logger *loggers =
		reallocarray(setup->loggers, setup->loggers_count + 1, sizeof(*loggers));
	struct log_logger *logger;

	if (loggers == NULL)
		return NULL;
	setup->loggers = loggers;
	logger = &loggers[setup->loggers_count];
	*logger = (struct log_logger){ .propagate = true };
	logger->name = strdup(name);
	if (logger->name == NULL)
		return NULL;
	setup->loggers_count++;
	return logger;
}

struct log_filter *log_setup_add_filter(
	struct log_setup *setup, const char *name, const char *logger)
{
	struct log_filter **filters =
		reallocarray(setup->filters, setup->filters_count + 1, sizeof(struct log_filter *));
	struct log_filter *filter;

	if (filters == NULL)
		return NULL;
	setup->filters = filters;
	filter = calloc(1, sizeof(*filter));
	if (filter == NULL)
		return NULL;
	filter->name = strdup(name);
	filter->logger = strdup(logger);
	if (filter->name == NULL || filter->logger == NULL) {
		free(filter->name);
		free(filter->logger);
		free(filter);
		return NULL;
	}
	filters[setup->filters_count++] = filter;
	return filter;
}

enum nc_err log_setup_console(struct log_setup **ret_setup, int level)
{
	struct log_setup *setup = calloc(1, sizeof(*setup));
	struct log_named_format *usual;
	struct log_handler *handler;
	struct log_logger *root;

	if (setup == NULL)
		return NC_ERR_NOMEM;
	usual = log_setup_add_format(setup, "");
	handler = log_setup_add_handler(setup, "console");
	root = log_setup_add_logger(setup, "");
	if (usual == NULL || handler == NULL || root == NULL)
		goto fail;
	if (log_format_create(LOG_USUAL_FORMAT, NULL, &usual->format, NULL, NULL) != NC_OK)
		goto fail;
	handler->kind = HANDLER_STREAM;
	handler->fd = 2;
	handler->format = usual->format;
	root->level = level;
	root->handlers = calloc(1, sizeof(struct log_handler *));
	if (root->handlers == NULL)
		goto fail;
	root->handlers[root->handlers_count++] = handler;
	*ret_setup = setup;
	return NC_OK;
fail:
	log_setup_destroy(setup);
	return NC_ERR_NOMEM;
}

static void destroy_mail(struct log_mail *mail)
{
	if (mail == NULL)
		return;
	for (size_t i = 0; i < mail->to_count; i++)
		free(mail->to[i]);
	free(mail->to);
	free(mail->from);
	free(mail->subject);
	free(mail->host);
	free(mail->user);
	if (mail->password != NULL)
		explicit_bzero(mail->password, strlen(mail->password));
	free(mail->password);
	free(mail->spool);
	free(mail);
}

static void destroy_handler(struct log_handler *handler)
{
	log_handler_close(handler);
	destroy_mail(handler->mail);
	free(handler->name);
	buffer_finish(&handler->collected);
	free(handler->path);
	free(handler->host);
	free(handler->filters);
	free(handler->roll_problem);
	free(handler);
}

void log_setup_destroy(struct log_setup *setup)
{
	if (setup == NULL)
		return;
	for (size_t i = 0; i < setup->handlers_count; i++)
		destroy_handler(setup->handlers[i]);
	free(setup->handlers);
	for (size_t i = 0; i < setup->loggers_count; i++) {
		free(setup->loggers[i].name);
		free(setup->loggers[i].handlers);
		free(setup->loggers[i].filters);
	}
	free(setup->loggers);
	for (size_t i = 0; i < setup->formats_count; i++) {
		free(setup->formats[i].name);
		log_format_destroy(setup->formats[i].format);
	}
	free(setup->formats);
	log_format_destroy(setup->json);
	for (size_t i = 0; i < setup->filters_count; i++) {
		free(setup->filters[i]->name);
		free(setup->filters[i]->logger);
		free(setup->filters[i]);
	}
	free(setup->filters);
	free(setup);
}

const struct log_logger *log_setup_find(const struct log_setup *setup, const char *name, size_t len)
{
	/* The last one of a name counts, as the last call of dictConfig's loop would. */
	for (size_t i = setup->loggers_count; i-- > 0;) {
		if (strlen(setup->loggers[i].name) == len &&
			strncmp(setup->loggers[i].name, name, len) == 0)
			return &setup->loggers[i];
	}
	return NULL;
}

const struct log_logger *log_setup_next(
	const struct log_setup *setup, const char *name, size_t *len)
{
	while (*len > 0) {
		const struct log_logger *logger;

		/* The part before the last dot; the first time, all of it. */
		do {
			(*len)--;
		} while (*len > 0 && name[*len] != '.' && name[*len] != '\0');
		logger = log_setup_find(setup, name, *len);
		if (logger != NULL)
			return logger;
	}
	return NULL;
}

int log_setup_effective_level(const struct log_setup *setup, const char *name)
{
	size_t len = strlen(name) + 1;
	const struct log_logger *logger;

	while ((logger = log_setup_next(setup, name, &len)) != NULL) {
		if (logger->level != LEVEL_NOTSET)
			return logger->level;
	}
	return LEVEL_NOTSET;
}

bool log_setup_uses(const struct log_setup *setup, const struct log_handler *handler)
{
	for (size_t i = 0; i < setup->loggers_count; i++) {
		const struct log_logger *logger = &setup->loggers[i];

		for (size_t k = 0; k < logger->handlers_count; k++) {
			if (logger->handlers[k] == handler)
				return true;
		}
	}
	return false;
}
