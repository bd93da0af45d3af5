/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling the service manager how we are: sd_notify(3)'s protocol, datagrams of NAME=value lines to $NOTIFY_SOCKET. */
#include "master/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

enum { SEND_S = 5 };

static int notify_fd = -1;
static int64_t watchdog_ms;
static struct loop_timer watchdog;

/* A service manager that hangs must not make master hang: the wait is bounded, and a sign of life is not worth one. */
static void tell(const char *text, int flags)
{
	if (notify_fd >= 0 && send(notify_fd, text, strlen(text), MSG_NOSIGNAL | flags) < 0 && !flags)
		log_warn("service manager: %m");
}

void notify_init(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	socklen_t len;

	if (path == NULL || strlen(path) < 2 || strlen(path) >= sizeof sun.sun_path)
		return;
	memcpy(sun.sun_path, path, strlen(path));
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@') /* abstract */
		sun.sun_path[0] = '\0';
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify_fd >= 0 && connect(notify_fd, (struct sockaddr *)&sun, len) < 0) {
		log_warn("NOTIFY_SOCKET %s: %m", path);
		close(notify_fd);
		notify_fd = -1;
	}
	if (notify_fd >= 0)
		setsockopt(notify_fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ SEND_S, 0 }, sizeof(struct timeval));
	if (usec && (pid == NULL || atoi(pid) == getpid()))
		watchdog_ms = atoll(usec) / 2000; /* twice per interval */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void alive(struct loop_timer *t)
{
	tell("WATCHDOG=1", MSG_DONTWAIT);
	loop_timer_set(master.loop, t, clock_mono_ms() + watchdog_ms);
}

void notify_ready(void)
{
	char text[64];

	snprintf(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
	tell(text, 0);
	if (notify_fd < 0 || watchdog_ms <= 0)
		return;
	watchdog.fire = alive;
	loop_timer_set(master.loop, &watchdog, clock_mono_ms() + watchdog_ms);
}

void notify_reloading(void)
{
	struct timespec now;
	char text[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	tell(text, 0);
}

void notify_stopping(void)
{
	tell("STOPPING=1", 0);
}
