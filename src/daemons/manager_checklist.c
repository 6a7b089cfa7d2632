#include "daemons/manager_checklist.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/data/yaml.h"
#include "core/system/clock.h"
#include "core/system/file.h"
#include "core/system/sys.h"

#define HEADER_FORMAT                                                                              \
	"# checklist %" PRId64 " %016" PRIx64                                                      \
	", written by the manager; `nowcast checklist` changes it\n"

/* It grows by parts that each fit into a message, and what was written must be read again: these limits are
 * there for what was put in its place by mistake. */
static const struct yaml_limits checklist_limits = {
	.bytes = 1 << 30,
	.depth = 64,
	.nodes = 100000000,
};

static uint64_t digest_of(const char *bytes, size_t len)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	return hash;
}

/* What HEADER_FORMAT wrote, up to the comma; the words after it may change. */
static bool read_header(const char *text, int64_t *ret_version, uint64_t *ret_digest)
{
	static const char beginning[] = "# checklist ";
	long long version;
	unsigned long long digest;
	char *end;

	if (strncmp(text, beginning, strlen(beginning)) != 0)
		return false;
	text += strlen(beginning);
	errno = 0;
	version = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != ' ')
		return false;
	text = end + 1;
	digest = strtoull(text, &end, 16);
	if (errno != 0 || end - text != 16 || *end != ',')
		return false;
	*ret_version = version;
	*ret_digest = digest;
	return true;
}

/* Is its first line ours, and does it belong to the rest? */
static bool is_ours(const struct buffer *text, int64_t *ret_version)
{
	const char *end = strchr(text->data, '\n');
	uint64_t digest;

	if (end == NULL || !read_header(text->data, ret_version, &digest))
		return false;
	end++;
	return digest == digest_of(end, text->len - (size_t)(end - text->data));
}

enum nc_err checklist_read(const char *path, struct checklist_file *ret_file, struct error *error)
{
	struct checklist_file file = { 0 };
	struct value *checklist = NULL;
	struct buffer text;
	struct error why = { 0 };
	enum nc_err err;

	buffer_init(&text);
	err = file_read(path, checklist_limits.bytes, &text, error);
	if (err == NC_OK) {
		err = yaml_read(text.data, text.len, YAML_READ_MERGE_KEYS, &checklist_limits,
			&checklist, &why);
		if (err == NC_ERR_NOMEM)
			err = error_nomem(error);
		else if (err != NC_OK)
			err = error_set(error, NC_ERR_INVALID, "%s:%u:%u: %s", path, why.line,
				why.column, why.text);
		else if (!value_is(checklist, VALUE_MAP))
			err = error_set(error, NC_ERR_INVALID,
				"%s holds %s, and a checklist is a mapping", path,
				value_kind_words(value_kind(checklist)));
	}
	if (err == NC_OK)
		file.ours = is_ours(&text, &file.version);
	buffer_finish(&text);
	if (err != NC_OK) {
		value_destroy(checklist);
		return err;
	}
	file.checklist = checklist;
	*ret_file = file;
	return NC_OK;
}

enum nc_err checklist_write(const char *path, const struct value *checklist, int64_t version,
	struct stat *ret_status, struct error *error)
{
	struct buffer text, whole;
	enum nc_err err;

	buffer_init(&text);
	buffer_init(&whole);
	yaml_write(checklist, 0, &text);
	buffer_printf(&whole, HEADER_FORMAT, version, digest_of(text.data, text.len));
	buffer_append(&whole, text.data, text.len);
	err = text.failed || whole.failed
		      ? error_nomem(error)
		      : file_replace_known(path, whole.data, whole.len, 0664, ret_status, error);
	buffer_finish(&text);
	buffer_finish(&whole);
	return err;
}

enum nc_err checklist_set_aside(
	const char *path, const char *word, char **ret_name, struct error *error)
{
	time_t now = (time_t)(clock_real_ns() / NS_PER_S);
	struct tm local;
	char date[32], *name = NULL;
	int result = -1;

	if (localtime_r(&now, &local) == NULL ||
		strftime(date, sizeof(date), "%Y%m%dT%H%M%S", &local) == 0)
		return error_set(error, NC_ERR_INVALID, "there is no local time");
	/* A second name, and not another one: at every moment there is a checklist file (R12). */
	for (int i = 0; i < 100 && result != 0; i++) {
		free(name);
		if (asprintf(&name, i == 0 ? "%s.%s-%s" : "%s.%s-%s-%d", path, word, date, i) < 0)
			return error_nomem(error);
		result = sys_link(path, name);
		if (result != 0 && errno != EEXIST)
			break;
	}
	if (result != 0) {
		(void)error_errno(error, errno, "cannot give %s the second name %s", path, name);
		free(name);
		return NC_ERR_SYSTEM;
	}
	*ret_name = name;
	return NC_OK;
}
