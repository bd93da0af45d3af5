/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lock files: PATH.lock, made with O_EXCL, holding "PID:HOST". One that is older than stale_lock_time, or whose process
 * on this host is gone (or is this one, which knows that it holds no such lock), is removed. Used for mboxes,
 * dovecot-uidlist and the files beside them.
 */
#pragma once
#include <stdint.h>

char *dotlock_name(const char *path); /* malloc'ed PATH.lock */
/* 0; or -1 and errno (EAGAIN: held by somebody else until past the deadline). The path is that of the lock file. */
int dotlock_take(const char *lock_path, int64_t deadline_ms);
void dotlock_release(const char *lock_path);
void dotlock_set_stale_ms(int64_t ms);
