/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"

enum { PARTS = 512, PLACES = 255 };

#define IPV4_MARK 0xffff000000000000u

struct peers_place {
	_Atomic uint64_t network; /* 0: free */
};

/* What one process writes, and no other. A part whose process has died keeps its clients until another process takes it over. */
struct part {
	_Atomic int32_t pid; /* 0: never used */
	uint32_t unused;
	struct peers_place place[PLACES];
};

static struct part *parts; /* PARTS of them; NULL: nothing is counted */
static struct part *mine[PARTS];
static int mine_count; /* as many as the sessions that this process may have ask for */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The lock belongs to the open file and goes when the process does, however it ends. */
static bool lock_part(int fd, int number)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = number, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &fl) == 0;
}

static int open_file(const char *service)
{
	char path[4096];
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "%s/pid/%s.peers", conf->queue_directory, service);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_size == PARTS * sizeof(struct part) ||
					       ftruncate(fd, PARTS * sizeof(struct part)) == 0))
		return fd;
	log_warn("%s: %s: clients are not counted by network", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static void take(struct part *p)
{
	for (int i = 0; i < PLACES; i++)
		atomic_store(&p->place[i].network, 0);
	atomic_store(&p->pid, (int32_t)getpid());
	mine[mine_count++] = p;
}

static void take_parts(int fd)
{
	int wanted = (conf->sessions + PLACES - 1) / PLACES;

	for (int i = 0; i < PARTS && mine_count < wanted; i++)
		if (lock_part(fd, i))
			take(&parts[i]);
	if (mine_count < wanted)
		log_warn("all %d parts of the table of clients are taken: not all clients are counted by network", PARTS);
}

/* The descriptor stays open for the lock's sake. */
void peers_open(const char *service)
{
	int fd = open_file(service);
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, PARTS * sizeof(struct part), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		log_warn("mmap: %s: clients are not counted by network", strerror(errno));
		close(fd);
		return;
	}
	parts = map;
	take_parts(fd);
}

static uint64_t network_of(const struct netaddr *a)
{
	uint64_t n = 0;

	memcpy(&n, a->bytes, a->family == AF_INET ? 4 : 8);
	if (a->family == AF_INET)
		n |= IPV4_MARK;
	return n ? n : 1; /* 0 is a free place */
}

static uint32_t count_in(const struct part *p, uint64_t network)
{
	uint32_t n = 0;

	for (int i = 0; i < PLACES; i++)
		n += atomic_load_explicit(&p->place[i].network, memory_order_relaxed) == network;
	return n;
}

static bool alive(const struct part *p)
{
	pid_t pid = atomic_load(&p->pid);

	return kill(pid, 0) == 0 || errno == EPERM;
}

static uint32_t count_all(uint64_t network)
{
	uint32_t sum = 0;

	for (int i = 0; i < PARTS; i++) {
		uint32_t n = atomic_load(&parts[i].pid) ? count_in(&parts[i], network) : 0;

		if (n > 0 && alive(&parts[i]))
			sum += n;
	}
	return sum;
}

static struct peers_place *free_place(void)
{
	for (int m = 0; m < mine_count; m++)
		for (int i = 0; i < PLACES; i++)
			if (atomic_load(&mine[m]->place[i].network) == 0)
				return &mine[m]->place[i];
	return NULL;
}

static struct peers_place *occupy(uint64_t network)
{
	struct peers_place *found;

	pthread_mutex_lock(&lock);
	found = free_place();
	if (found)
		atomic_store(&found->network, network);
	pthread_mutex_unlock(&lock);
	return found;
}

bool peers_enter(const struct netaddr *client, uint32_t limit, struct peers_place **place_r, uint32_t *count_r)
{
	uint64_t network = network_of(client);
	uint32_t count;

	*place_r = NULL;
	if (count_r)
		*count_r = 0;
	if (mine_count == 0)
		return true;
	*place_r = occupy(network); /* first in, then count: two at a time cannot both find the last place free */
	count = count_all(network);
	if (count_r)
		*count_r = count;
	if (count <= limit)
		return true;
	peers_leave(*place_r);
	*place_r = NULL;
	return false;
}

void peers_leave(struct peers_place *place)
{
	if (place)
		atomic_store(&place->network, 0);
}
