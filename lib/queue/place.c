/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/queue/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/queue/flow.h"

static const char letters[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
static _Atomic int dirs[PLACE_DIRS]; /* descriptor + 1, 0: not open yet */

char place_dir_letter(int n)
{
	return letters[n];
}

int place_dir_number(int n)
{
	char path[PLACE_PATH_MAX];
	int fd = atomic_load(&dirs[n]) - 1;
	int none = 0;

	if (fd >= 0)
		return fd;
	snprintf(path, sizeof path, "mail/%c", letters[n]);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !atomic_compare_exchange_strong(&dirs[n], &none, fd + 1)) {
		close(fd); /* another thread was first */
		fd = none - 1;
	}
	return fd;
}

int place_dir(const char *id)
{
	const char *z = strrchr(id, 'z');
	const char *at = z && z > id ? strchr(letters, z[-1]) : NULL;

	if (at == NULL || *at == '\0') {
		errno = EINVAL;
		return -1;
	}
	return place_dir_number((int)(at - letters));
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

int queue_prepare(void)
{
	char path[PLACE_PATH_MAX];

	if (make_dir("mail") < 0 || make_dir("log") < 0 || make_dir("corrupt") < 0)
		return -1;
	for (int i = 0; i < PLACE_DIRS; i++) {
		snprintf(path, sizeof path, "mail/%c", letters[i]);
		if (make_dir(path) < 0)
			return -1;
	}
	return work_prepare() < 0 ? -1 : queue_flow_prepare();
}
