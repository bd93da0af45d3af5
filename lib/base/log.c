/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/utf8.h"

static struct {
	char tag[64];
	char host[64];
	enum log_to to;
	int fd;
	int facility;
	bool debug;
	int pid; /* asking the kernel for every line would be a system call each */
} out = { .tag = "posthouse", .to = LOG_TO_STDERR, .fd = STDERR_FILENO, .facility = LOG_MAIL };

static void know_pid(void)
{
	out.pid = (int)getpid();
}

__attribute__((constructor)) static void keep_pid(void)
{
	know_pid();
	pthread_atfork(NULL, NULL, know_pid);
}

static const struct {
	const char *label;
	int priority;
} levels[] = {
	[LOG_LV_DEBUG] = { "debug: ", LOG_DEBUG },   [LOG_LV_INFO] = { "", LOG_INFO },
	[LOG_LV_WARN] = { "warning: ", LOG_WARNING }, [LOG_LV_ERROR] = { "error: ", LOG_ERR },
	[LOG_LV_FATAL] = { "fatal: ", LOG_CRIT },
};

size_t log_escape(char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_char(text + i, len - i);

		if (n == 0 || (n == 1 && ((unsigned char)text[i] < 32 || text[i] == 127)) ||
		    (n == 2 && (unsigned char)text[i] == 0xc2 && (unsigned char)text[i + 1] < 0xa0)) {
			text[i] = '?'; /* a C1 control keeps its second byte, which is then stray and caught next */
			n = 1;
		}
		i += n;
	}
	return len;
}

static int connect_syslog(void)
{
	struct sockaddr_un dev_log = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&dev_log, sizeof dev_log) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void log_set_tag(const char *tag)
{
	snprintf(out.tag, sizeof out.tag, "%s", tag);
}

int log_fd(void)
{
	return out.fd;
}

void log_open(const char *tag, enum log_to to, int fd, int facility)
{
	log_set_tag(tag);
	if (gethostname(out.host, sizeof out.host) < 0)
		snprintf(out.host, sizeof out.host, "localhost");
	out.host[sizeof out.host - 1] = '\0';
	out.host[strcspn(out.host, ".")] = '\0';
	out.to = to;
	out.facility = facility;
	out.fd = to == LOG_TO_STDERR ? STDERR_FILENO : to == LOG_TO_FD ? fd : connect_syslog();
	tzset();
}

void log_set_debug(bool on)
{
	out.debug = on;
}

/* The date changes once a second and costs a time zone conversion: keep the last one per thread. */
static const char *date(void)
{
	static _Thread_local time_t last;
	static _Thread_local char text[24];
	time_t now = clock_wall();
	struct tm tm;

	if (now != last) {
		localtime_r(&now, &tm);
		strftime(text, sizeof text, "%b %e %H:%M:%S", &tm);
		last = now;
	}
	return text;
}

static int prefix(char *line, size_t size, const char *tag, enum log_level level)
{
	const char *short_tag = strrchr(tag, '/');
	int n;

	if (out.to == LOG_TO_STDERR)
		n = snprintf(line, size, "%s: %s", short_tag ? short_tag + 1 : tag, levels[level].label);
	else if (out.to == LOG_TO_FD)
		n = snprintf(line, size, "%s %s %s[%d]: %s", date(), out.host, tag, out.pid,
			     levels[level].label);
	else
		n = snprintf(line, size, "<%d>%s %s[%d]: %s", out.facility | levels[level].priority, date(), tag,
			     out.pid, levels[level].label);
	return n;
}

/* Lines of this thread that wait for log_release. The memory is there while they wait: a page for each thread is much. */
enum { HELD_BYTES = 4096 };
static _Thread_local struct {
	bool on;
	size_t len;
	char *text; /* HELD_BYTES, or NULL */
} held;

static void write_held(void)
{
	ssize_t n = held.len ? write(out.fd, held.text, held.len) : 0;

	(void)n;
	held.len = 0;
}

void log_hold(void)
{
	held.on = out.to == LOG_TO_FD;
}

void log_release(void)
{
	write_held();
	free(held.text);
	held.text = NULL;
	held.on = false;
}

static void put(const char *line, size_t len)
{
	ssize_t n;

	if (held.on && held.text == NULL)
		held.on = (held.text = malloc(HELD_BYTES)) != NULL;
	if (held.on) {
		if (len > HELD_BYTES - held.len)
			write_held();
		memcpy(held.text + held.len, line, len);
		held.len += len;
		return;
	}

	if (out.to == LOG_TO_SYSLOG) {
		if (out.fd >= 0 && send(out.fd, line, len - 1, MSG_NOSIGNAL) >= 0)
			return;
		if (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET || out.fd < 0) {
			int fd = connect_syslog(); /* syslogd was restarted */

			if (fd >= 0) {
				int old = out.fd;

				out.fd = fd;
				if (old >= 0)
					close(old);
				n = send(fd, line, len - 1, MSG_NOSIGNAL);
				(void)n;
			}
		}
		return;
	}
	n = write(out.fd, line, len); /* a full disk must not stop the mail: nothing to be done about a lost line */
	(void)n;
}

static void emit(const char *tag, enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX + 1];
	int saved = errno;
	int head = prefix(line, sizeof line, tag, level);
	int body;
	size_t len;

	errno = saved; /* for %m */
	body = vsnprintf(line + head, sizeof line - 1 - (size_t)head, fmt, ap);
	len = strlen(line + head);
	if (body > 0 && (size_t)body > len && len > 3)
		memcpy(line + head + len - 3, "...", 3);
	len = (size_t)head + log_escape(line + head, len);
	line[len++] = '\n';
	put(line, len);
	errno = saved;
}

#define EMIT(tag, level)                  \
	do {                              \
		va_list ap;               \
		va_start(ap, fmt);        \
		emit(tag, level, fmt, ap); \
		va_end(ap);               \
	} while (0)

void log_as(const char *tag, enum log_level level, const char *fmt, ...)
{
	EMIT(tag, level);
}

void log_debug(const char *fmt, ...)
{
	if (out.debug)
		EMIT(out.tag, LOG_LV_DEBUG);
}

void log_info(const char *fmt, ...)
{
	EMIT(out.tag, LOG_LV_INFO);
}

void log_warn(const char *fmt, ...)
{
	EMIT(out.tag, LOG_LV_WARN);
}

void log_error(const char *fmt, ...)
{
	EMIT(out.tag, LOG_LV_ERROR);
}

void log_fatal(const char *fmt, ...)
{
	EMIT(out.tag, LOG_LV_FATAL);
	write_held();
	exit(1);
}

void log_panic(const char *fmt, ...)
{
	EMIT(out.tag, LOG_LV_FATAL);
	write_held();
	abort();
}
