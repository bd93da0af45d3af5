/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/store/view.h"

/* The file itself, or the directory it will appear in. */
static void watch_path(int fd, const char *path)
{
	uint32_t mask = IN_MODIFY | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_MOVE_SELF | IN_DELETE_SELF;
	char *dir;

	if (inotify_add_watch(fd, path, mask) >= 0)
		return;
	dir = mem_strdup(path);
	if (strrchr(dir, '/') != NULL)
		*strrchr(dir, '/') = '\0';
	if (inotify_add_watch(fd, *dir ? dir : "/", IN_CREATE | IN_MOVED_TO) < 0)
		dir[0] = '\0'; /* then only looking helps */
	mem_auto_free(&dir);
}

int mailbox_watch_fd(struct mailbox *mb)
{
	const char *paths[2];
	unsigned n;

	if (mb->watch_fd >= 0)
		return mb->watch_fd;
	mb->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (mb->watch_fd < 0)
		return -1;
	n = mb->f->ops->watch(mb->f, paths);
	for (unsigned i = 0; i < n; i++)
		watch_path(mb->watch_fd, paths[i]);
	return mb->watch_fd;
}

/* Read all events; when a watched file was replaced, watch the new one. */
void mailbox_watch_drain(struct mailbox *mb)
{
	_Alignas(struct inotify_event) char text[4096];
	const char *paths[2];
	ssize_t n;
	unsigned count;

	if (mb->watch_fd < 0)
		return;
	while ((n = read(mb->watch_fd, text, sizeof text)) > 0)
		continue;
	count = mb->f->ops->watch(mb->f, paths);
	for (unsigned i = 0; i < count; i++)
		watch_path(mb->watch_fd, paths[i]);
}
