#include "core/system/state_lock.h"

#include <errno.h>
#include <fcntl.h>

#include "core/system/sys.h"

enum nc_err state_lock_take(const struct config *config, int *ret_fd, struct error *error)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct buffer path;
	enum nc_err err;
	int fd = -1;

	buffer_init(&path);
	err = config_state_path(config, "manager.lock", &path, error);
	if (err == NC_OK)
		fd = sys_open(path.data, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (err == NC_OK && (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0)) {
		if (fd >= 0 && (errno == EAGAIN || errno == EACCES))
			err = error_set(error, NC_ERR_REFUSED,
				"another manager holds the state in %s", config->state_directory);
		else
			err = error_errno(error, errno, "cannot lock %s", path.data);
	}
	buffer_finish(&path);
	if (err != NC_OK) {
		if (fd >= 0)
			(void)sys_close(fd);
		return err;
	}
	*ret_fd = fd;
	return NC_OK;
}
