#include "sweep_calls.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>

#define CALL(name, text, descriptor, changes, bytes)                                               \
	{                                                                                          \
		SYS_##name, #name, text, descriptor, changes, bytes                                \
	}

static const struct sweep_call calls[] = {
	CALL(write, 0, true, true, BYTES_IN_THIRD),
	CALL(pwrite64, 0, true, true, BYTES_IN_THIRD),
	CALL(writev, 0, true, true, BYTES_IN_VECTOR),
	CALL(pwritev, 0, true, true, BYTES_IN_VECTOR),
	CALL(sendto, 0, true, true, BYTES_IN_THIRD),
	CALL(sendmsg, 0, true, true, BYTES_IN_MESSAGE),
	CALL(open, 1, false, true, BYTES_NONE),
	CALL(openat, 2, false, true, BYTES_NONE),
	CALL(rename, 2, false, true, BYTES_NONE),
	CALL(renameat, 4, false, true, BYTES_NONE),
	CALL(renameat2, 4, false, true, BYTES_NONE),
	CALL(link, 2, false, true, BYTES_NONE),
	CALL(linkat, 4, false, true, BYTES_NONE),
	CALL(symlink, 2, false, true, BYTES_NONE),
	CALL(unlink, 1, false, true, BYTES_NONE),
	CALL(unlinkat, 2, false, true, BYTES_NONE),
	CALL(rmdir, 1, false, true, BYTES_NONE),
	CALL(mkdir, 1, false, true, BYTES_NONE),
	CALL(mkdirat, 2, false, true, BYTES_NONE),
	CALL(chmod, 1, false, true, BYTES_NONE),
	CALL(fchmod, 0, true, true, BYTES_NONE),
	CALL(ftruncate, 0, true, true, BYTES_NONE),
	CALL(fallocate, 0, true, true, BYTES_NONE),
	CALL(fsync, 0, true, true, BYTES_NONE),
	CALL(fdatasync, 0, true, true, BYTES_NONE),
	CALL(memfd_create, 1, false, true, BYTES_NONE),
	CALL(fcntl, 0, true, true, BYTES_NONE),
	CALL(flock, 0, true, true, BYTES_NONE),
	CALL(clone, 0, false, true, BYTES_NONE),
	CALL(clone3, 0, false, true, BYTES_NONE),
	CALL(fork, 0, false, true, BYTES_NONE),
	CALL(vfork, 0, false, true, BYTES_NONE),
	CALL(execve, 1, false, true, BYTES_NONE),
	CALL(wait4, 0, false, true, BYTES_NONE),
	CALL(waitid, 0, false, true, BYTES_NONE),
	CALL(kill, 0, false, true, BYTES_NONE),
	CALL(pidfd_send_signal, 0, true, true, BYTES_NONE),
	CALL(socketpair, 0, false, true, BYTES_NONE),
	CALL(bind, 0, true, true, BYTES_NONE),
	CALL(listen, 0, true, true, BYTES_NONE),
	CALL(connect, 0, true, true, BYTES_NONE),
	CALL(accept4, 0, true, true, BYTES_NONE),
	CALL(shutdown, 0, true, true, BYTES_NONE),
	CALL(read, 0, true, false, BYTES_IN_THIRD),
	CALL(pread64, 0, true, false, BYTES_IN_THIRD),
	CALL(recvfrom, 0, true, false, BYTES_IN_THIRD),
	CALL(recvmsg, 0, true, false, BYTES_IN_MESSAGE),
	CALL(socket, 0, false, false, BYTES_NONE),
	CALL(pipe2, 0, false, false, BYTES_NONE),
	CALL(pidfd_open, 0, false, false, BYTES_NONE),
	CALL(epoll_ctl, 0, true, false, BYTES_NONE),
	CALL(epoll_wait, 0, true, false, BYTES_NONE),
	CALL(epoll_pwait, 0, true, false, BYTES_NONE),
	CALL(timerfd_settime, 0, true, false, BYTES_NONE),
	CALL(newfstatat, 2, false, false, BYTES_NONE),
	CALL(fstat, 0, true, false, BYTES_NONE),
	CALL(getdents64, 0, true, false, BYTES_NONE),
};

/* Only to read, it changes nothing. */
static bool opens_to_write(uint64_t flags)
{
	return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
}

static bool changes(const struct sweep_call *call, const uint64_t args[6])
{
	if (call->number == SYS_open)
		return opens_to_write(args[1]);
	if (call->number == SYS_openat)
		return opens_to_write(args[2]);
	if (call->number == SYS_fcntl)
		return args[1] == F_SETLK || args[1] == F_SETLKW || args[1] == F_OFD_SETLK ||
		       args[1] == F_OFD_SETLKW || args[1] == F_ADD_SEALS;
	return call->changes;
}

const struct sweep_call *sweep_call_find(uint64_t number, const uint64_t args[6], bool all)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const struct sweep_call *call = &calls[i];

		if ((uint64_t)call->number == number)
			return all || changes(call, args) ? call : NULL;
	}
	return NULL;
}
