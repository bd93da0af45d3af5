/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on an mbox: one fixed order for every program of Posthouse (S33): dotlock first, then fcntl; fstat is compared with stat after
 * the lock is had, and the file opened again when it was replaced. Where the directory is not writable for the user
 * the dotlock is left out (EACCES, EPERM, EROFS), fcntl decides.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct mboxlock {
	int fd;             /* the locked file */
	bool dotlocked;
	char *dotlock_path; /* owned */
};

enum mboxlock_mode { MBOXLOCK_READ, MBOXLOCK_WRITE };

/* methods: "fcntl, dotlock". 0 with l filled in; -1 and errno (EAGAIN or ETIMEDOUT: not had by the deadline). flags, perm: of open(2); O_NOFOLLOW, O_NONBLOCK and
 * O_CLOEXEC are added. */
int mboxlock_open(struct mboxlock *l, const char *path, int flags, unsigned perm, enum mboxlock_mode mode, const char *methods,
		  int64_t deadline_ms);
void mboxlock_close(struct mboxlock *l); /* unlock, remove the dotlock, close */
