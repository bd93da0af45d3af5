/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames between Posthouse's own programs: UNIX-domain SOCK_SEQPACKET, one packet one frame (lib/base/pack.h inside), with
 * at most one descriptor passed along. The kernel keeps packets whole, so one system call is one frame and several
 * threads may send on one socket.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/io/wait.h"

enum { FRAME_MAX = 64 * 1024 };

/* Connect to path; returns a non-blocking, close-on-exec descriptor, or -1 and errno. */
int frame_connect(const char *path, int64_t deadline_ms);
int frame_listen(const char *path, mode_t mode, int backlog); /* replaces a stale socket file; -1 and errno */
int frame_pair(int fd_r[2]);                                  /* socketpair; 0, or -1 and errno */

/* pass_fd: descriptor to send along, -1 for none; it stays open here. */
enum io_status frame_send(int fd, struct span frame, int pass_fd, int64_t deadline_ms) __attribute__((warn_unused_result));
/*
 * Receive into frame (reset first; its maximum should be FRAME_MAX). *fd_r (may be NULL: a descriptor that comes along is
 * closed) is the passed descriptor, close-on-exec, or -1. IO_TOO_LONG: truncated frame, contents undefined.
 */
enum io_status frame_recv(int fd, struct buf *frame, int *fd_r, int64_t deadline_ms) __attribute__((warn_unused_result));

/* Identity of the process that connected (SO_PEERCRED). 0, or -1 and errno. */
int frame_peer(int fd, uid_t *uid_r, gid_t *gid_r, pid_t *pid_r);
