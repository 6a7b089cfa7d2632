/* The rules file: read at the start, for a new configuration, and when it has changed. */
#include <string.h>
#include <sys/stat.h>

#include "core/system/file.h"
#include "daemons/manager_internal.h"

enum {
	RULES_BYTES_MOST = 16 << 20,
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum nc_err load_rules(const struct config *config, struct rules **ret_rules,
	struct findings *findings, struct error *error)
{
	struct buffer text;
	enum nc_err err;

	buffer_init(&text);
	err = file_read(config->rules_file, RULES_BYTES_MOST, &text, error);
	if (err == NC_OK)
		err = rules_read(config->rules_file, text.data, text.len, config, ret_rules,
			findings, error);
	buffer_finish(&text);
	return err;
}

/* Of what is no error. Where and what is for `nowcast check` to tell. */
static void log_findings(struct manager *m, const struct findings *findings)
{
	size_t warnings = findings_count(findings, SEVERITY_WARNING);

	if (warnings > 0)
		log_warning(m->daemon.log,
			"the rules have %zu warning%s; `nowcast check` lists them", warnings,
			warnings == 1 ? "" : "s");
}

/* NULL: they cannot be used, and it was said why, unless there is no such file: NC_ERR_NOT_FOUND. */
static struct rules *read_rules(
	struct manager *m, const struct config *config, enum nc_err *ret_err, struct error *error)
{
	struct rules *rules = NULL;
	struct findings findings;

	findings_init(&findings);
	memset(&m->rules_status, 0, sizeof(m->rules_status));
	(void)stat(config->rules_file, &m->rules_status);
	*ret_err = load_rules(config, &rules, &findings, error);
	if (*ret_err == NC_OK) {
		log_info(m->daemon.log, "next workers module loaded from %s", config->rules_file);
		log_findings(m, &findings);
	} else if (*ret_err != NC_ERR_NOT_FOUND) {
		size_t errors = findings_count(&findings, SEVERITY_ERROR);

		log_critical(m->daemon.log, "the rules cannot be used: %s", error->text);
		if (errors > 1)
			log_critical(m->daemon.log,
				"that is the first of %zu errors; `nowcast check` lists them",
				errors);
	}
	findings_finish(&findings);
	return rules;
}

struct rules *manager_rules_read(struct manager *m, const struct config *config)
{
	struct error error = { 0 };
	enum nc_err err;
	struct rules *rules = read_rules(m, config, &err, &error);

	if (err != NC_ERR_NOT_FOUND)
		return rules;
	log_warning(m->daemon.log,
		"there are no rules for what to launch next: %s; workers are heard, and nothing is "
		"launched after them",
		error.text);
	return rules_none();
}

/* One that has gone or is empty is half way through somebody's editor: it does not say that nothing be launched. */
void manager_rules_refresh(struct manager *m)
{
	struct stat status = { 0 };
	struct rules *rules = NULL;
	struct error error = { 0 };
	enum nc_err err = NC_OK;

	(void)stat(m->daemon.config->rules_file, &status);
	if (same_file(&status, &m->rules_status))
		return;
	if (status.st_nlink > 0 && status.st_size == 0) {
		m->rules_status = status;
		log_critical(m->daemon.log, "the rules cannot be used: %s is empty",
			m->daemon.config->rules_file);
	} else {
		rules = read_rules(m, m->daemon.config, &err, &error);
	}
	if (err == NC_ERR_NOT_FOUND)
		log_critical(m->daemon.log, "the rules cannot be used: %s", error.text);
	if (rules == NULL) {
		log_critical(m->daemon.log, "the rules that were in force stay in force");
		return;
	}
	brain_configure(m->brain, m->daemon.config, rules);
	rules_destroy(m->rules);
	m->rules = rules;
}
