/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent of the users' processes, run in a process of its own, with the test in the places of master and of auth. A session
 * answers 'p' with its process id, dies at 'x', ends at 'q', and says 'b' when it is to stop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/service/handover.h"
#include "lib/service/worker.h"

enum { PATIENCE_MS = 20000 };

static struct conf settings;
static char dir[] = "/tmp/userproc.XXXXXX", path[64];
static int master_end, log_end;
static pid_t parent_pid;

static void serve(const struct handover_session *s, int fd)
{
	char c, reply[16];
	enum io_status st;

	(void)s;
	while ((st = io_wait(fd, POLLIN, CLOCK_NEVER)) == IO_OK && read(fd, &c, 1) == 1 && c != 'q') {
		if (c == 'x')
			raise(SIGKILL);
		snprintf(reply, sizeof reply, "%d", (int)getpid());
		if (c == 'p' && write(fd, reply, strlen(reply)) < 0)
			break;
	}
	if (st == IO_STOPPING && write(fd, "b", 1) < 0)
		log_error("no goodbye");
	close(fd);
}

static const struct userproc shared = { .protocol = "imap", .serve = serve, .one_process_per_user = true };
static const struct userproc separate = { .protocol = "pop3", .serve = serve };

/* In the forked process: what lib/service would have set up. */
static void be_parent(const struct userproc *up, int order_fd, int log_fd_to_be)
{
	int listener = frame_listen(path, 0600, 10);

	worker.board = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	worker.stop_fd = worker.wake_fd = open("/dev/null", O_RDWR);
	listener = fcntl(listener, F_DUPFD, 10);
	order_fd = fcntl(order_fd, F_DUPFD, 10);
	log_fd_to_be = fcntl(log_fd_to_be, F_DUPFD, 10);
	dup2(order_fd, SERVICE_FD_MASTER);
	close(order_fd);
	fcntl(SERVICE_FD_MASTER, F_SETFL, O_NONBLOCK);
	log_open("test/imapd", LOG_TO_FD, log_fd_to_be, 0);
	signal(SIGPIPE, SIG_IGN);
	if (write(log_fd_to_be, "up\n", 3) != 3)
		_exit(1);
	userproc_run(&listener, 1, up);
	_exit(0);
}

static char log_text[65536];
static size_t log_len;

/* Read the parent's log until it has text; false: it ended without. */
static bool log_has(const char *text)
{
	while (strstr(log_text, text) == NULL) {
		ssize_t n = read(log_end, log_text + log_len, sizeof log_text - 1 - log_len);

		if (n <= 0)
			return false;
		log_len += (size_t)n;
		log_text[log_len] = '\0';
	}
	return true;
}

static void start(const struct userproc *up)
{
	int order[2], log[2];

	conf = &settings;
	assert_int_equal(frame_pair(order), 0);
	assert_int_equal(pipe2(log, O_CLOEXEC), 0);
	log_len = 0;
	log_text[0] = '\0';
	parent_pid = fork();
	if (parent_pid == 0) {
		close(order[0]);
		close(log[0]);
		be_parent(up, order[1], log[1]);
	}
	close(order[1]);
	close(log[1]);
	master_end = order[0];
	log_end = log[0];
	assert_true(log_has("up\n"));
}

static void order(enum link_order o)
{
	char byte = (char)o;

	assert_int_equal(send(master_end, &byte, 1, MSG_NOSIGNAL), 1);
}

static void wait_for_parent(void)
{
	int status;

	assert_int_equal(waitpid(parent_pid, &status, 0), parent_pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(master_end);
	close(log_end);
}

/* The client's end of a session that has been handed over; -1 with *code_r otherwise. */
static int log_in(int auth, const char *name, const char *remote, enum handover_code *code_r, uint32_t *pid_r)
{
	struct handover_session s = { .user = { .name = span_cstr(name), .uid = geteuid() ? geteuid() : 54321,
						.gid = geteuid() ? getegid() : 54321, .home = "/" } };
	struct span user;
	struct buf b;
	int pair[2];

	assert_true(netaddr_parse(span_cstr(remote), &s.remote));
	s.local = s.remote;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	buf_init(&b, FRAME_MAX);
	assert_true(handover_put_session(&b, &s));
	assert_int_equal(frame_send(auth, buf_span(&b), pair[1], clock_deadline(PATIENCE_MS)), IO_OK);
	close(pair[1]);
	assert_int_equal(frame_recv(auth, &b, NULL, clock_deadline(PATIENCE_MS)), IO_OK);
	assert_true(handover_get_answer(buf_span(&b), code_r, &user, pid_r));
	assert_true(span_is(user, name));
	buf_free(&b);
	if (*code_r == HANDOVER_OK)
		return pair[0];
	close(pair[0]);
	return -1;
}

static int session(int auth, const char *name, uint32_t *pid_r)
{
	enum handover_code code;
	int fd = log_in(auth, name, "192.0.2.1", &code, pid_r);

	assert_int_equal(code, HANDOVER_OK);
	return fd;
}

static int connect_as_auth(void)
{
	int fd = frame_connect(path, clock_deadline(PATIENCE_MS));

	assert_true(fd >= 0);
	return fd;
}

/* The process that serves fd, as it says itself. */
static pid_t server_of(int fd)
{
	char text[17] = "";

	assert_int_equal(write(fd, "p", 1), 1);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	return (pid_t)atoi(text);
}

static char read_one(int fd)
{
	char c = 0;

	return read(fd, &c, 1) == 1 ? c : 0;
}

static void end(int fd)
{
	assert_int_equal(write(fd, "q", 1), 1);
	assert_int_equal(read_one(fd), 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	memset(&settings, 0, sizeof settings);
	settings.user_process_idle_ms = 60000;
	settings.user_process_limit = 100;
	settings.stop_timeout_ms = 5000;
	settings.mail_privileged_group = "";
	settings.unprivileged_mode = geteuid() == 0 ? "no" : "yes";
	return 0;
}

static void test_one_process_per_user(void **state)
{
	uint32_t pid[3];
	int auth, a, b, c;

	(void)state;
	start(&shared);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid[0]);
	b = session(auth, "alice", &pid[1]);
	c = session(auth, "bob", &pid[2]);
	assert_int_equal(pid[0], pid[1]);
	assert_int_not_equal(pid[0], pid[2]);
	assert_int_equal(server_of(a), pid[0]);
	assert_int_equal(server_of(b), pid[0]);
	assert_int_equal(server_of(c), pid[2]);
	end(a);
	assert_int_equal(server_of(b), pid[0]);
	a = session(auth, "alice", &pid[1]); /* back to the process that is there */
	assert_int_equal(pid[1], pid[0]);
	end(a);
	end(b);
	end(c);
	order(LINK_STOP);
	wait_for_parent();
	close(auth);
}

static void test_one_process_per_session(void **state)
{
	uint32_t pid[2];
	int auth, a, b;

	(void)state;
	start(&separate);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid[0]);
	b = session(auth, "alice", &pid[1]);
	assert_int_not_equal(pid[0], pid[1]);
	end(a);
	end(b);
	order(LINK_DRAIN); /* both processes leave by themselves */
	wait_for_parent();
	close(auth);
}

/* Without any idle time, each session may find the process on its way out: none may be lost. */
static void test_goodbye_races(void **state)
{
	uint32_t pid;
	int auth;

	(void)state;
	settings.user_process_idle_ms = 0;
	start(&shared);
	auth = connect_as_auth();
	for (int i = 0; i < 300; i++) {
		int fd = session(auth, "alice", &pid);

		assert_int_equal(server_of(fd), pid);
		end(fd);
	}
	order(LINK_DRAIN);
	wait_for_parent();
	close(auth);
}

static void test_limits(void **state)
{
	enum handover_code code;
	uint32_t pid;
	int auth, a, b, c;

	(void)state;
	settings.mail_max_userip_connections = 2;
	settings.user_process_limit = 2;
	start(&shared);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid);
	b = session(auth, "alice", &pid);
	assert_int_equal(log_in(auth, "alice", "192.0.2.1", &code, &pid), -1);
	assert_int_equal(code, HANDOVER_LIMIT);
	c = log_in(auth, "alice", "192.0.2.2", &code, &pid); /* another address */
	assert_int_equal(code, HANDOVER_OK);
	end(c);
	c = session(auth, "bob", &pid);
	assert_int_equal(log_in(auth, "carol", "192.0.2.1", &code, &pid), -1);
	assert_int_equal(code, HANDOVER_TEMP);
	assert_true(log_has("warning: user_process_limit (2) reached"));
	end(a);
	end(b);
	end(c);
	order(LINK_STOP);
	wait_for_parent();
	close(auth);
}

static void test_crash(void **state)
{
	char want[100];
	uint32_t pid;
	int auth, a, b;

	(void)state;
	start(&shared);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid);
	b = session(auth, "alice", &pid);
	assert_int_equal(write(a, "x", 1), 1);
	assert_int_equal(read_one(a), 0);
	assert_int_equal(read_one(b), 0);
	snprintf(want, sizeof want, "warning: imap(alice) pid %u killed by signal 9", pid);
	assert_true(log_has(want));
	close(a);
	close(b);
	a = session(auth, "alice", &pid);
	assert_int_equal(server_of(a), pid);
	end(a);
	order(LINK_STOP);
	wait_for_parent();
	close(auth);
}

static void test_drain(void **state)
{
	uint32_t pid;
	int auth, a, idle;
	char c;

	(void)state;
	start(&shared);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid);
	idle = session(auth, "bob", &pid);
	end(idle);
	order(LINK_DRAIN);
	assert_int_equal(recv(auth, &c, 1, 0) <= 0, true); /* auth's connection is closed */
	close(auth);
	assert_int_not_equal(server_of(a), 0);
	end(a);
	wait_for_parent();
}

static void test_stop(void **state)
{
	uint32_t pid;
	int auth, a;

	(void)state;
	start(&shared);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid);
	assert_int_equal(server_of(a), pid);
	order(LINK_STOP);
	assert_int_equal(read_one(a), 'b');
	wait_for_parent();
	close(a);
	close(auth);
}

static void test_killed_parent(void **state)
{
	int status, auth, a;
	uint32_t pid;

	(void)state;
	start(&shared);
	auth = connect_as_auth();
	a = session(auth, "alice", &pid);
	assert_int_equal(server_of(a), pid);
	kill(parent_pid, SIGKILL);
	assert_int_equal(waitpid(parent_pid, &status, 0), parent_pid);
	assert_int_equal(read_one(a), 'b');
	close(a);
	close(auth);
	close(master_end);
	while (read(log_end, log_text, sizeof log_text) > 0) /* ends with the last process that holds the log */
		;
	close(log_end);
}

static void test_garbage(void **state)
{
	char c;
	int auth;

	(void)state;
	start(&shared);
	auth = connect_as_auth();
	assert_int_equal(send(auth, "rubbish", 7, 0), 7);
	assert_int_equal(recv(auth, &c, 1, 0) <= 0, true);
	close(auth);
	assert_true(log_has("malformed session frame"));
	order(LINK_STOP);
	wait_for_parent();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_process_per_user, setup),
		cmocka_unit_test_setup(test_one_process_per_session, setup),
		cmocka_unit_test_setup(test_goodbye_races, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_crash, setup),
		cmocka_unit_test_setup(test_drain, setup),
		cmocka_unit_test_setup(test_stop, setup),
		cmocka_unit_test_setup(test_killed_parent, setup),
		cmocka_unit_test_setup(test_garbage, setup),
	};
	int failed;

	alarm(120);
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) < 0)
		return 1;
	snprintf(path, sizeof path, "%s/socket", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}
