/* `zmq`, or `messaging`: host, ports, and whether TCP is allowed at all. */
#include <string.h>

#include "core/system/config_internal.h"

enum {
	PORT_MOST = 65535,
};

struct messaging {
	bool has_host, has_manager_port, has_workers_port;
	const struct value *tcp; /* NULL: not allowed */
};

static void take_host(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	messaging->has_host = true;
	section_take_text(reading, key, value, "host");
}

static void take_port(struct reading *reading, const struct value *key, const struct value *value,
	const char *normal_name)
{
	int64_t port = value_as_int(value, 0);

	/* Python would put a quoted number into the address as it is. */
	if (value_is(value, VALUE_TEXT) && !text_to_int64(value_as_text(value, ""), &port))
		port = 0;
	if (port < 1 || port > PORT_MOST) {
		config_error(reading, "bad-port", value,
			"the port `%s` must be a number from 1 to %d", value_as_text(key, ""),
			PORT_MOST);
		return;
	}
	normal_at(&reading->normal, value);
	normal_key(&reading->normal, normal_name);
	normal_int(&reading->normal, port);
}

static void take_manager_port(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	messaging->has_manager_port = true;
	take_port(reading, key, value, "manager port");
}

static void take_workers_port(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	messaging->has_workers_port = true;
	take_port(reading, key, value, "workers port");
}

static void take_ports(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "manager", take_manager_port, false }, { "workers", take_workers_port, false },
		{ "logging", NULL, false }, /* as the Python framework has it; not used */
	};

	read_section(reading, "`ports`", key, value, keys, ARRAY_LEN(keys), context);
}

static void take_tcp(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	struct messaging *messaging = context;

	if (strcmp(value_as_text(value, ""), "allowed") != 0) {
		config_error(reading, "bad-choice", value,
			"`tcp` must be the word `allowed`, or be left out");
		return;
	}
	messaging->tcp = value;
	normal_at(&reading->normal, value);
	normal_key(&reading->normal, "tcp");
	normal_int(&reading->normal, 1);
}

static void check_tcp(
	struct reading *reading, const struct value *key, const struct messaging *messaging)
{
	if (messaging->tcp == NULL) {
		config_note(reading, "no-tcp", key,
			"messages stay on this host, in the state directory; no port is opened "
			"unless `tcp: allowed` stands here");
		return;
	}
	if (!messaging->has_host || !messaging->has_manager_port || !messaging->has_workers_port)
		config_error(reading, "missing-key", messaging->tcp,
			"with `tcp: allowed` this section must have `host`, and in `ports` both "
			"`manager` and `workers`");
	config_warning(reading, "tcp-allowed", messaging->tcp,
		"the ports are neither encrypted nor authenticated: whoever can reach them can "
		"command this system");
}

void take_messaging(
	struct reading *reading, const struct value *key, const struct value *value, void *context)
{
	static const struct section_key keys[] = {
		{ "host", take_host, false },
		{ "ports", take_ports, false },
		{ "tcp", take_tcp, false },
	};
	struct messaging messaging = { 0 };
	bool *seen = context;

	if (*seen) {
		config_error(reading, "duplicate-section", key,
			"`zmq` and `messaging` are two names of one section; one of them must go");
		return;
	}
	*seen = true;
	read_section(reading, "the section of the message system", key, value, keys,
		ARRAY_LEN(keys), &messaging);
	check_tcp(reading, key, &messaging);
}
