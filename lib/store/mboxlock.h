/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on an mbox: one fixed order for every program of Posthouse (S33): dotlock first, then fcntl, then flock; fstat
 * is compared with stat after the lock is had, and the file opened again when it was replaced. Where the directory is
 * not writable for the user, or full, the dotlock is left out (EACCES, EPERM, EROFS, ENOSPC, EDQUOT), the kernel's lock
 * decides. A program that takes the kernel's lock first and then waits for the dotlock would deadlock with us: whoever
 * holds the dotlock and does not get the kernel's lock soon lets go of the dotlock and starts again.
 *
 * Kernel locks belong to the process and are dropped when any descriptor of the file is closed, so the threads of
 * one process are kept apart by a table of locked inodes in here. Therefore an mbox is opened and closed through these
 * functions only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct mboxlock {
	int fd;             /* the locked file */
	bool dotlocked;
	char *dotlock_path; /* owned */
	void *inode;        /* entry in the process's table */
};

enum mboxlock_mode {
	MBOXLOCK_READ,  /* kernel locks only, shared (the dotlock when there is no other method) */
	MBOXLOCK_WRITE, /* every method, exclusive */
};

/*
 * methods: mailbox_delivery_lock, "fcntl, dotlock" (also flock); NULL or "": that. 0 with l filled in; -1 and errno
 * (EAGAIN or ETIMEDOUT: not had by the deadline). flags, perm: of open(2); O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC are added.
 * What is not a regular file is refused: EISDIR, ELOOP (symbolic link), ENXIO or EINVAL (anything else).
 */
int mboxlock_open(struct mboxlock *l, const char *path, int flags, unsigned perm, enum mboxlock_mode mode, const char *methods,
		  int64_t deadline_ms);
void mboxlock_close(struct mboxlock *l); /* unlock, remove the dotlock, close */
/* Keep a long hold from looking stale: renew the dotlock's time. */
void mboxlock_touch(struct mboxlock *l);
/* stale_lock_time; set once at start-up. 500 s unless told. A dotlock whose process on this host is gone is stale at once. */
void mboxlock_set_stale_ms(int64_t ms);
