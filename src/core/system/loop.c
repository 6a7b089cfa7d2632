/*
 * One epoll instance. Signals come through a signalfd, children through pidfds, other threads' posts
 * through an eventfd; timers are the timeout of epoll_wait(), so that an idle process does not wake up.
 *
 * A callback may remove any watch, also one whose event is in the batch that is being worked: removed
 * watches are marked dead, kept on a list, and freed when the batch is done.
 */
#include "core/system/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/system/clock.h"
#include "core/system/sys.h"

enum {
	BEFORE_WAIT_MOST = 4
};

struct loop_fd {
	struct loop *loop;
	int fd;
	loop_fd_function *function; /* NULL: dead, to be freed after this batch */
	void *argument;
	struct loop_fd *previous, *next;
};

struct loop_timer {
	struct loop *loop;
	int64_t due_ms, every_ms; /* every_ms 0: once */
	loop_function *function;  /* NULL: dead */
	void *argument;
	struct loop_timer *next; /* sorted by due_ms; a process has a handful */
};

struct loop_child {
	struct loop *loop;
	pid_t pid;
	int pidfd;
	struct loop_fd *watch;
	loop_child_function *function;
	void *argument;
	struct loop_child *previous, *next;
};

struct loop {
	int epoll_fd, signal_fd, event_fd;
	sigset_t watched;
	loop_signal_function *signal_functions[NSIG];
	void *signal_arguments[NSIG];
	struct loop_fd *signal_watch, *event_watch;
	struct loop_fd *fds, *dead_fds;
	struct loop_timer *timers;
	struct loop_child *children;
	pthread_mutex_t post_mutex;
	struct loop_post *first_post, **last_post;
	struct {
		loop_function *function;
		void *argument;
	} before_wait[BEFORE_WAIT_MOST];
	size_t before_wait_count;
	bool stopped;
	int status;
};

static void take_signals(void *argument, unsigned events)
{
	struct loop *loop = argument;
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int signo = (int)info.ssi_signo;

		if (signo > 0 && signo < NSIG && loop->signal_functions[signo] != NULL)
			loop->signal_functions[signo](loop->signal_arguments[signo], signo);
	}
}

static void take_posts(void *argument, unsigned events)
{
	struct loop *loop = argument;
	struct loop_post *post;
	uint64_t count;

	/* Before the list is taken: what is posted later wakes us again. */
	(void)sys_read(loop->event_fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&loop->post_mutex);
	post = loop->first_post;
	loop->first_post = NULL;
	loop->last_post = &loop->first_post;
	(void)pthread_mutex_unlock(&loop->post_mutex);
	while (post != NULL) {
		struct loop_post *next = post->next;

		post->function(post->argument); /* may free the post */
		post = next;
	}
}

void loop_post(struct loop *loop, struct loop_post *post)
{
	static const uint64_t one = 1;

	post->next = NULL;
	(void)pthread_mutex_lock(&loop->post_mutex);
	*loop->last_post = post;
	loop->last_post = &post->next;
	(void)pthread_mutex_unlock(&loop->post_mutex);
	/* Fails only when the counter is full, and then the loop is awake anyway. */
	(void)sys_write(loop->event_fd, &one, sizeof(one));
}

static enum nc_err block_signals(struct error *error)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2,
		SIGPIPE };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaddset(&set, signals[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return error_set(error, NC_ERR_SYSTEM, "cannot block signals");
	return NC_OK;
}

enum nc_err loop_create(struct loop **ret_loop, struct error *error)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	enum nc_err err;

	if (loop == NULL)
		return error_nomem(error);
	loop->signal_fd = loop->event_fd = -1;
	loop->last_post = &loop->first_post;
	(void)pthread_mutex_init(&loop->post_mutex, NULL); /* cannot fail on Linux */
	(void)sigemptyset(&loop->watched);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->signal_fd = signalfd(-1, &loop->watched, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->event_fd < 0 || loop->signal_fd < 0) {
		err = error_errno(error, errno, "cannot set the event loop up");
		goto fail;
	}
	err = block_signals(error);
	if (err == NC_OK)
		err = loop_watch(loop, loop->event_fd, LOOP_READ, take_posts, loop,
			&loop->event_watch, error);
	if (err == NC_OK)
		err = loop_watch(loop, loop->signal_fd, LOOP_READ, take_signals, loop,
			&loop->signal_watch, error);
	if (err != NC_OK)
		goto fail;
	*ret_loop = loop;
	return NC_OK;
fail:
	loop_destroy(loop);
	return err;
}

static void free_dead(struct loop *loop)
{
	struct loop_timer **timer = &loop->timers;

	while (loop->dead_fds != NULL) {
		struct loop_fd *dead = loop->dead_fds;

		loop->dead_fds = dead->next;
		free(dead);
	}
	while (*timer != NULL) {
		struct loop_timer *this = *timer;

		if (this->function != NULL) {
			timer = &this->next;
			continue;
		}
		*timer = this->next;
		free(this);
	}
}

void loop_destroy(struct loop *loop)
{
	struct loop_child *child, *next;

	if (loop == NULL)
		return;
	/* Who posted something may wait for it to free what it belongs to. */
	if (loop->event_fd >= 0)
		take_posts(loop, LOOP_READ);
	for (child = loop->children; child != NULL; child = next) {
		next = child->next;
		loop_child_unwatch(child);
	}
	while (loop->fds != NULL)
		loop_unwatch(loop->fds);
	for (struct loop_timer *timer = loop->timers; timer != NULL; timer = timer->next)
		timer->function = NULL;
	free_dead(loop);
	if (loop->signal_fd >= 0)
		(void)sys_close(loop->signal_fd);
	if (loop->event_fd >= 0)
		(void)sys_close(loop->event_fd);
	if (loop->epoll_fd >= 0)
		(void)sys_close(loop->epoll_fd);
	(void)pthread_mutex_destroy(&loop->post_mutex);
	free(loop);
}

/* --- descriptors --- */

static uint32_t to_epoll(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0u) |
	       (events & LOOP_WRITE ? EPOLLOUT : 0u);
}

static unsigned from_epoll(uint32_t events)
{
	return (events & (EPOLLIN | EPOLLPRI) ? LOOP_READ : 0u) |
	       (events & EPOLLOUT ? LOOP_WRITE : 0u) |
	       (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? LOOP_HANGUP : 0u);
}

enum nc_err loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_function *function,
	void *argument, struct loop_fd **ret_watch, struct error *error)
{
	struct loop_fd *watch = calloc(1, sizeof(*watch));
	struct epoll_event event = { .events = to_epoll(events), .data.ptr = watch };

	if (watch == NULL)
		return error_nomem(error);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(watch);
		return error_errno(error, errno, "cannot watch a descriptor");
	}
	*watch = (struct loop_fd){ loop, fd, function, argument, NULL, loop->fds };
	if (loop->fds != NULL)
		loop->fds->previous = watch;
	loop->fds = watch;
	*ret_watch = watch;
	return NC_OK;
}

enum nc_err loop_watch_change(struct loop_fd *watch, unsigned events, struct error *error)
{
	struct epoll_event event = { .events = to_epoll(events), .data.ptr = watch };

	if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0)
		return error_errno(error, errno, "cannot watch a descriptor");
	return NC_OK;
}

void loop_unwatch(struct loop_fd *watch)
{
	struct loop *loop;

	if (watch == NULL)
		return;
	loop = watch->loop;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	if (watch->previous != NULL)
		watch->previous->next = watch->next;
	else
		loop->fds = watch->next;
	if (watch->next != NULL)
		watch->next->previous = watch->previous;
	watch->function = NULL;
	watch->next = loop->dead_fds;
	loop->dead_fds = watch;
}

/* --- timers --- */

static void insert_timer(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **at = &loop->timers;

	while (*at != NULL && (*at)->due_ms <= timer->due_ms)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

enum nc_err loop_timer_start(struct loop *loop, int64_t delay_ms, bool repeat,
	loop_function *function, void *argument, struct loop_timer **ret_timer, struct error *error)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return error_nomem(error);
	if (delay_ms < 0)
		delay_ms = 0;
	*timer = (struct loop_timer){ loop, clock_mono_ms() + delay_ms,
		repeat ? (delay_ms > 0 ? delay_ms : 1) : 0, function, argument, NULL };
	insert_timer(loop, timer);
	if (ret_timer != NULL)
		*ret_timer = timer;
	return NC_OK;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	if (timer != NULL)
		timer->function = NULL; /* freed when the batch is done */
}

static void unlink_timer(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **at = &loop->timers;

	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
}

static void fire_timers(struct loop *loop)
{
	int64_t now_ms = clock_mono_ms();

	while (loop->timers != NULL && loop->timers->due_ms <= now_ms && !loop->stopped) {
		struct loop_timer *timer = loop->timers;
		loop_function *function = timer->function;
		void *argument = timer->argument;

		unlink_timer(loop, timer);
		if (function == NULL || timer->every_ms == 0) {
			free(timer);
		} else {
			timer->due_ms = now_ms + timer->every_ms;
			insert_timer(loop, timer);
		}
		if (function != NULL)
			function(argument);
	}
}

/* Milliseconds for epoll_wait(); -1: no timer. A millisecond is added: clock_mono_ms() rounds down. */
static int timeout_ms(const struct loop *loop)
{
	const struct loop_timer *timer = loop->timers;
	int64_t left_ms;

	while (timer != NULL && timer->function == NULL)
		timer = timer->next;
	if (timer == NULL)
		return -1;
	left_ms = timer->due_ms - clock_mono_ms();
	if (left_ms <= 0)
		return 0;
	return left_ms < INT_MAX - 1 ? (int)left_ms + 1 : INT_MAX;
}

/* --- signals --- */

enum nc_err loop_signal(struct loop *loop, int signo, loop_signal_function *function,
	void *argument, struct error *error)
{
	sigset_t set;

	(void)sigemptyset(&set);
	if (signo <= 0 || signo >= NSIG || sigaddset(&set, signo) < 0)
		return error_set(error, NC_ERR_INVALID, "there is no signal %d", signo);
	(void)sigaddset(&loop->watched, signo);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 ||
		signalfd(loop->signal_fd, &loop->watched, 0) < 0)
		return error_errno(error, errno, "cannot watch the signal %d", signo);
	loop->signal_functions[signo] = function;
	loop->signal_arguments[signo] = argument;
	return NC_OK;
}

/* --- children --- */

static void child_ended(void *argument, unsigned events)
{
	struct loop_child *child = argument;
	loop_child_function *function = child->function;
	void *function_argument = child->argument;
	pid_t pid = child->pid, reaped;
	struct rusage usage;
	int status;

	do {
		reaped = wait4(pid, &status, WNOHANG, &usage);
	} while (reaped < 0 && errno == EINTR);
	if (reaped == 0)
		return;
	loop_child_unwatch(child);
	if (reaped == pid)
		function(function_argument, pid, status, &usage);
}

enum nc_err loop_child_watch(struct loop *loop, pid_t pid, loop_child_function *function,
	void *argument, struct loop_child **ret_child, struct error *error)
{
	struct loop_child *child = calloc(1, sizeof(*child));
	enum nc_err err;

	if (child == NULL)
		return error_nomem(error);
	*child = (struct loop_child){
		.loop = loop, .pid = pid, .function = function, .argument = argument
	};
	/* Works for a zombie too, so that an end before this call is told. */
	child->pidfd = pidfd_open(pid, 0);
	if (child->pidfd < 0) {
		err = error_errno(error, errno, "cannot watch the process %d", (int)pid);
		free(child);
		return err;
	}
	err = loop_watch(loop, child->pidfd, LOOP_READ, child_ended, child, &child->watch, error);
	if (err != NC_OK) {
		(void)sys_close(child->pidfd);
		free(child);
		return err;
	}
	child->next = loop->children;
	if (child->next != NULL)
		child->next->previous = child;
	loop->children = child;
	if (ret_child != NULL)
		*ret_child = child;
	return NC_OK;
}

void loop_child_unwatch(struct loop_child *child)
{
	if (child == NULL)
		return;
	loop_unwatch(child->watch);
	(void)sys_close(child->pidfd);
	if (child->previous != NULL)
		child->previous->next = child->next;
	else
		child->loop->children = child->next;
	if (child->next != NULL)
		child->next->previous = child->previous;
	free(child);
}

/* --- running --- */

void loop_stop(struct loop *loop, int status)
{
	loop->stopped = true;
	loop->status = status;
}

void loop_before_wait(struct loop *loop, loop_function *function, void *argument)
{
	assert(loop->before_wait_count < BEFORE_WAIT_MOST);
	loop->before_wait[loop->before_wait_count].function = function;
	loop->before_wait[loop->before_wait_count++].argument = argument;
}

int loop_run(struct loop *loop, struct error *error)
{
	struct epoll_event events[64];

	while (!loop->stopped) {
		int count;

		for (size_t i = loop->before_wait_count; i > 0; i--)
			loop->before_wait[i - 1].function(loop->before_wait[i - 1].argument);
		if (loop->stopped)
			break;
		count = epoll_wait(
			loop->epoll_fd, events, (int)ARRAY_LEN(events), timeout_ms(loop));
		if (count < 0 && errno != EINTR) {
			(void)error_errno(error, errno, "cannot wait for events");
			return -1;
		}
		for (int i = 0; i < count && !loop->stopped; i++) {
			struct loop_fd *watch = events[i].data.ptr;

			if (watch->function != NULL)
				watch->function(watch->argument, from_epoll(events[i].events));
		}
		fire_timers(loop);
		free_dead(loop);
	}
	loop->stopped = false;
	return loop->status;
}
