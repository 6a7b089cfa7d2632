/* The state directory, and what of this host would not do for a configuration. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/system/config_internal.h"
#include "core/system/file.h"
#include "core/system/sys.h"

enum {
	DESCRIPTORS_LEAST = 1024,
};

/* --- the state directory --- */

/* The number of `state group`. NC_ERR_INVALID: this host has no such group. */
static enum nc_err find_group(const struct config *config, gid_t *ret_group, struct error *error)
{
	struct group storage, *found = NULL;
	char text[16384];
	int result = getgrnam_r(config->state_group, &storage, text, sizeof(text), &found);

	if (found != NULL) {
		*ret_group = found->gr_gid;
		return NC_OK;
	}
	if (result != 0)
		return error_errno(
			error, result, "cannot look up the `state group` %s", config->state_group);
	return error_set(error, NC_ERR_INVALID, "the `state group` %s is not a group of this host",
		config->state_group);
}

/* Refuse what is no directory of ours that is closed to others. */
static enum nc_err inspect(
	const struct config *config, const struct stat *status, struct error *error)
{
	const char *path = config->state_directory;
	mode_t refused = config->state_group != NULL ? 0027 : 0077;

	if (S_ISLNK(status->st_mode))
		return error_set(error, NC_ERR_REFUSED,
			"the state directory %s is a symbolic link; name the directory itself",
			path);
	if (!S_ISDIR(status->st_mode))
		return error_set(
			error, NC_ERR_REFUSED, "the state directory %s is not a directory", path);
	if (status->st_uid != geteuid())
		return error_set(error, NC_ERR_REFUSED,
			"the state directory %s belongs to the user with the number %u, and must "
			"belong to the one who runs nowcast, %u",
			path, (unsigned)status->st_uid, (unsigned)geteuid());
	if (status->st_mode & refused)
		return error_set(error, NC_ERR_REFUSED,
			"the state directory %s has the mode %04o, and others must not enter it: "
			"chmod %s %s",
			path, (unsigned)(status->st_mode & 07777),
			config->state_group != NULL ? "0750" : "0700", path);
	return NC_OK;
}

enum nc_err config_inspect_state(const struct config *config, bool *ret_exists, struct error *error)
{
	struct stat status;

	if (lstat(config->state_directory, &status) < 0) {
		if (errno != ENOENT)
			return error_errno(error, errno, "cannot look at the state directory %s",
				config->state_directory);
		*ret_exists = false;
		return NC_OK;
	}
	*ret_exists = true;
	return inspect(config, &status, error);
}

/* Give the open directory, which is ours, its group and mode. */
static enum nc_err set_rights(const struct config *config, int fd, struct error *error)
{
	gid_t group = 0;
	enum nc_err err;

	if (config->state_group == NULL)
		return fchmod(fd, 0700) == 0
			       ? NC_OK
			       : error_errno(error, errno, "cannot set the mode of %s",
					 config->state_directory);
	err = find_group(config, &group, error);
	if (err != NC_OK)
		return err;
	/* First the group, so that no other one gets in. What is made there, sockets too, is the group's
	 * (set-group-id), whichever group the one who makes it is in. */
	if (fchown(fd, (uid_t)-1, group) < 0 || fchmod(fd, 02750) < 0)
		return error_errno(error, errno,
			"cannot give the state directory %s to the group %s",
			config->state_directory, config->state_group);
	return NC_OK;
}

enum nc_err config_prepare_state(const struct config *config, struct error *error)
{
	const char *path = config->state_directory;
	struct stat status;
	bool exists;
	enum nc_err err;
	int fd;

	if (sys_mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(error, errno, "cannot make the state directory %s", path);
	err = config_inspect_state(config, &exists, error);
	if (err != NC_OK)
		return err;
	fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return error_errno(error, errno, "cannot open the state directory %s", path);
	/* Once more through the descriptor: the name may have changed hands. */
	if (fstat(fd, &status) < 0)
		err = error_errno(error, errno, "cannot look at the state directory %s", path);
	else
		err = inspect(config, &status, error);
	if (err == NC_OK)
		err = set_rights(config, fd, error);
	(void)sys_close(fd); /* opened for reading: nothing to lose */
	return err;
}

/* --- findings --- */

static void add(struct findings *findings, const struct config *config, enum severity severity,
	const char *name, const char *text)
{
	findings_add(findings, severity, name, config->file, 0, 0, "%s", text);
}

const char *config_network_file_system(unsigned long magic)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {
		{ NFS_SUPER_MAGIC, "NFS" },
		{ SMB_SUPER_MAGIC, "SMB" },
		{ 0xff534d42, "CIFS" },
		{ 0xfe534d42, "SMB2" },
		{ CEPH_SUPER_MAGIC, "Ceph" },
		{ AFS_SUPER_MAGIC, "AFS" },
		{ AFS_FS_MAGIC, "AFS" },
		{ CODA_SUPER_MAGIC, "Coda" },
		{ OCFS2_SUPER_MAGIC, "OCFS2" },
		{ 0x01161970, "GFS2" },
		{ 0x0bd00bd0, "Lustre" },
		{ 0x47504653, "GPFS" },
		{ 0x19830326, "BeeGFS" },
	};

	/* The numbers have 32 bits, and come sign-extended on some machines. */
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if ((magic & 0xffffffff) == known[i].magic)
			return known[i].name;
	return NULL;
}

static const char *network_file_system_at(const char *path)
{
	struct statfs status;

	return statfs(path, &status) == 0 ? config_network_file_system((unsigned long)status.f_type)
					  : NULL;
}

/* Can we make files in this directory? */
static void check_directory(
	const struct config *config, const char *what, const char *path, struct findings *findings)
{
	char text[600];

	if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
		return;
	(void)snprintf(text, sizeof(text), "%s, %s, %s", what, path,
		errno == ENOENT ? "does not exist" : "cannot be written by you");
	add(findings, config, SEVERITY_WARNING, "directory", text);
}

static void check_state(const struct config *config, struct findings *findings)
{
	struct buffer path;
	struct error error;
	bool exists = false;
	char *beside = path_directory(config->state_directory);
	const char *network;
	char text[600];

	buffer_init(&path);
	if (config_state_path(config, STATE_SUPERVISOR_DOOR, &path, &error) != NC_OK)
		add(findings, config, SEVERITY_ERROR, "path-too-long", error.text);
	buffer_finish(&path);
	if (config_inspect_state(config, &exists, &error) != NC_OK)
		add(findings, config, SEVERITY_ERROR, "state-directory", error.text);
	if (beside == NULL) {
		findings->failed = true;
		return;
	}
	network = network_file_system_at(exists ? config->state_directory : beside);
	if (network != NULL) {
		(void)snprintf(text, sizeof(text),
			"the state directory %s is on a network file system (%s), whose locks and "
			"sockets do not hold; `state directory` must name one on this host",
			config->state_directory, network);
		add(findings, config, SEVERITY_ERROR, "network-file-system", text);
	}
	if (!exists)
		check_directory(config, "the directory that the state directory would be in",
			beside, findings);
	free(beside);
}

static void check_group(const struct config *config, struct findings *findings)
{
	struct error error;
	gid_t group;

	if (config->state_group != NULL && find_group(config, &group, &error) != NC_OK)
		add(findings, config, SEVERITY_ERROR, "state-group", error.text);
}

/* Whoever is in the file's group can have us run commands: allowed, but to be known. */
static void check_file(const struct config *config, struct findings *findings)
{
	struct group storage, *found = NULL;
	char names[16384], text[600];
	struct stat status;

	if (stat(config->file, &status) < 0 || !(status.st_mode & S_IWGRP))
		return;
	(void)getgrgid_r(status.st_gid, &storage, names, sizeof(names), &found);
	if (found != NULL)
		(void)snprintf(text, sizeof(text),
			"the members of the group %s may write this file, and so run commands "
			"through it",
			found->gr_name);
	else
		(void)snprintf(text, sizeof(text),
			"the members of the group with the number %u may write this file, and so "
			"run commands through it",
			(unsigned)status.st_gid);
	add(findings, config, SEVERITY_NOTE, "writable-by-group", text);
}

static void check_limits(const struct config *config, struct findings *findings)
{
	struct rlimit limit;
	char text[200];

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_LEAST)
		return;
	(void)snprintf(text, sizeof(text),
		"a process may open %llu files here, and %d are wanted: ulimit -n %d",
		(unsigned long long)limit.rlim_cur, DESCRIPTORS_LEAST, DESCRIPTORS_LEAST);
	add(findings, config, SEVERITY_WARNING, "few-descriptors", text);
}

void config_check_host(const struct config *config, struct findings *findings)
{
	char *checklist_directory = path_directory(config->checklist_file);

	check_file(config, findings);
	check_group(config, findings);
	check_state(config, findings);
	if (checklist_directory != NULL)
		check_directory(config, "the directory of the checklist file", checklist_directory,
			findings);
	else
		findings->failed = true;
	check_limits(config, findings);
	free(checklist_directory);
}
