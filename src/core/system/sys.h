/*
 * The system calls that matter (promises.md, "How each is kept"), in one thin layer, so that tests can
 * make the N-th one fail. Everything that writes, syncs, renames, opens, sends or kills goes through
 * here. Same results and errno as the call of that name; calls that a signal interrupts are made again,
 * except where said.
 *
 * Depends on nothing of ours.
 */
#ifndef NOWCAST_CORE_SYSTEM_SYS_H
#define NOWCAST_CORE_SYSTEM_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* O_CLOEXEC is added to `flags`. */
int sys_open(const char *path, int flags, mode_t mode);
int sys_close(int fd);
ssize_t sys_read(int fd, void *bytes, size_t size);
ssize_t sys_write(int fd, const void *bytes, size_t len); /* may be short */
int sys_fsync(int fd);
int sys_fdatasync(int fd);
ssize_t sys_pwrite(int fd, const void *bytes, size_t len, off_t offset); /* may be short */
int sys_rename(const char *from, const char *to);
int sys_link(const char *from, const char *to); /* a link at `from` is followed */
int sys_unlink(const char *path);
int sys_mkdir(const char *path, mode_t mode);
int sys_kill(pid_t pid, int signo);

/* All of it, or -1 with errno. Not for descriptors that do not block. */
int sys_write_all(int fd, const void *bytes, size_t len);
int sys_pwrite_all(int fd, const void *bytes, size_t len, off_t offset);
/* Up to the end of the file; -1 with errno, and then nothing is known of what is in `bytes`. */
ssize_t sys_pread_all(int fd, void *bytes, size_t size, off_t offset);

#endif
