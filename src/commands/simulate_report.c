/*
 * What a worker reports in a rehearsal. It is taken to succeed. Which of its successes, its arguments say: the
 * type all of whose words are among them (`upload_forcing arbutus nowcast+` ends with `success nowcast+`).
 */
#include <string.h>

#include "commands/simulate_internal.h"

/* Is a text among the arguments? */
static bool is_argument(const char *word, size_t len, char *const *arguments, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(arguments[i]) == len && memcmp(arguments[i], word, len) == 0)
			return true;
	return false;
}

/* How many words a type has behind its first; all of them among the arguments, else -1. */
static int words_among(const char *type, char *const *arguments, size_t count)
{
	int words = 0;

	for (type += strcspn(type, " "); *type != '\0';) {
		size_t len;

		type += strspn(type, " ");
		len = strcspn(type, " ");
		if (len == 0)
			break;
		if (!is_argument(type, len, arguments, count))
			return -1;
		words++;
		type += len;
	}
	return words;
}

/* `success` is it, or begins it? */
static bool is_of_kind(const char *type, const char *kind)
{
	size_t len = strlen(kind);

	return strncmp(type, kind, len) == 0 && (type[len] == ' ' || type[len] == '\0');
}

/* The entry `WORKER TYPE` of the payloads; NULL: none. */
static const struct value *payload_of_type(
	const struct value *payloads, const char *worker, const char *type)
{
	size_t len = strlen(worker);

	for (size_t i = 0; i < value_count(payloads); i++) {
		const char *key = value_as_text(value_map_key_at(payloads, i), "");

		if (strncmp(key, worker, len) == 0 && key[len] == ' ' &&
			strcmp(key + len + 1, type) == 0)
			return value_map_value_at(payloads, i);
	}
	return NULL;
}

/* The length of a key that is the worker and its first arguments, when it is. */
static size_t key_of_command(
	const char *key, const char *worker, char *const *arguments, size_t count)
{
	size_t len = strlen(worker), at;

	if (strncmp(key, worker, len) != 0)
		return 0;
	at = len;
	for (size_t i = 0; i < count && key[at] == ' '; i++) {
		len = strlen(arguments[i]);
		if (strncmp(key + at + 1, arguments[i], len) != 0)
			return 0;
		at += len + 1;
	}
	return key[at] == '\0' ? at : 0;
}

/* The most that is said of this launch: with the most arguments, else of the type, else of the worker. */
static const struct value *find_payload(const struct value *payloads, const char *worker,
	char *const *arguments, size_t count, const char *type)
{
	const struct value *found = payload_of_type(payloads, worker, type);
	size_t best = found != NULL ? strlen(worker) : 0;

	for (size_t i = 0; i < value_count(payloads); i++) {
		size_t len = key_of_command(
			value_as_text(value_map_key_at(payloads, i), ""), worker, arguments, count);

		if (len > best) {
			best = len;
			found = value_map_value_at(payloads, i);
		}
	}
	return found;
}

/* Of the types of a kind: the one with the most words that are all arguments; else the first that the payloads
 * name; else the first. NULL: there is none. */
static const char *choose_type(const struct config_worker *worker, const char *kind,
	const struct value *payloads, char *const *arguments, size_t count, bool *ret_guessed)
{
	const char *best = NULL, *named = NULL, *first = NULL;
	int best_words = -1;
	size_t candidates = 0;

	for (unsigned i = 0; i < worker->types_count; i++) {
		const char *type = worker->types[i].name;
		int words = is_of_kind(type, kind) ? words_among(type, arguments, count) : -2;

		if (words == -2)
			continue;
		candidates++;
		if (first == NULL)
			first = type;
		if (named == NULL && payload_of_type(payloads, worker->name, type) != NULL)
			named = type;
		if (words > best_words) {
			best = type;
			best_words = words;
		}
	}
	*ret_guessed = best == NULL && named == NULL && candidates > 1;
	if (best != NULL)
		return best;
	return named != NULL ? named : first;
}

/* What the entry of the program in the configuration says; NULL: nothing that is registered. */
static const char *type_of_program(const struct config_worker *worker, const char *template,
	char *const *arguments, size_t count)
{
	const struct config_type *type = NULL;
	struct buffer text;

	if (template == NULL)
		return NULL;
	buffer_init(&text);
	if (config_type_from_template(template, worker->name, arguments, count, &text, NULL) ==
		NC_OK)
		type = config_find_type(worker, text.data);
	buffer_finish(&text);
	return type != NULL ? type->name : NULL;
}

static bool is_wished(const struct day_wishes *wishes, const char *option, const char *worker)
{
	const char *name;

	for (size_t i = 0; (name = cli_text_at(wishes->args, option, i)) != NULL; i++)
		if (strcmp(name, worker) == 0)
			return true;
	return false;
}

void day_choose_report(const struct config *config, const struct day_wishes *wishes,
	const char *worker, char *const *arguments, size_t count, const char *type,
	struct day_report *ret_report)
{
	const struct config_worker *registered = config_find_worker(config, worker);
	const struct config_program *program = config_find_program(config, worker);
	bool fails = is_wished(wishes, "--fail", worker);
	struct day_report report = { .type = type };

	if (registered == NULL)
		report.type = type != NULL ? type : "success";
	else if (type == NULL && is_wished(wishes, "--crash", worker))
		report = (struct day_report){ .type = "crash", .reason = "rehearsed (--crash)" };
	else if (type == NULL)
		report.type = type_of_program(
			registered, fails ? program->failure : program->success, arguments, count);
	if (report.type == NULL)
		report.type = choose_type(registered, fails ? "failure" : "success",
			wishes->payloads, arguments, count, &report.guessed);
	if (report.type == NULL) /* it has none: a worker that can only crash */
		report = (struct day_report){ .type = "crash",
			.reason = "no such type is registered" };
	if (fails && type == NULL && report.reason == NULL)
		report.reason = "rehearsed (--fail)";
	report.payload = find_payload(wishes->payloads, worker, arguments, count, report.type);
	*ret_report = report;
}

const struct value *day_stray_payload(const struct config *config, const struct value *payloads)
{
	for (size_t i = 0; i < value_count(payloads); i++) {
		const struct value *key = value_map_key_at(payloads, i);
		const char *text = value_as_text(key, "");
		bool known = false;

		for (unsigned w = 0; w < config->workers_count && !known; w++) {
			size_t len = strlen(config->workers[w].name);

			known = strncmp(text, config->workers[w].name, len) == 0 &&
				(text[len] == ' ' || text[len] == '\0');
		}
		if (!known)
			return key;
	}
	return NULL;
}
