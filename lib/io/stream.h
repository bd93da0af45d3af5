/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A buffered two-way byte stream over a socket, with a deadline and bounded buffers. Owns its descriptor.
 * Output is gathered and goes out when the buffer is full, at stream_flush, or when the stream is about to wait for
 * input: so replies to pipelined commands leave in one write. One thread at a time.
 * The transport (plain, later TLS) sits behind struct stream_ops.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/span.h"
#include "lib/io/wait.h"

struct stream;

/* A transport: read and write like read(2) and write(2) on a non-blocking descriptor (-1 with EAGAIN; *want_r then says
 * POLLIN or POLLOUT); close frees what the transport holds, not the descriptor. */
struct stream_ops {
	ssize_t (*read)(void *transport, void *to, size_t len, short *want_r);
	ssize_t (*write)(void *transport, const void *from, size_t len, short *want_r);
	void (*close)(void *transport);
};

enum { STREAM_IN_BYTES = 16384, STREAM_OUT_BYTES = 16384, STREAM_OUT_MUCH = 65536 };

/* fd is made non-blocking and is closed by stream_close. Never NULL. Memory: buffers are allocated on first use. */
struct stream *stream_open(int fd);
void stream_close(struct stream *s); /* does not flush */
int stream_fd(const struct stream *s);
/* Take the descriptor out of the stream and free the stream: for handing it over. Unread input is lost. */
int stream_detach(struct stream *s);
/* Change the transport, e.g. after STARTTLS. Fails (false) when input is still buffered: plaintext injection. */
bool stream_set_transport(struct stream *s, const struct stream_ops *ops, void *transport) __attribute__((warn_unused_result));
void *stream_transport(const struct stream *s, const struct stream_ops *ops); /* NULL when it is not of that kind */
/* Wait until the descriptor is ready, within the deadline and the timeout: for a transport's own handshake. */
enum io_status stream_wait(struct stream *s, short events) __attribute__((warn_unused_result));

/* Every later read or write must be done by then. */
void stream_set_deadline(struct stream *s, int64_t deadline_ms);
int64_t stream_deadline(const struct stream *s);
/* Or: every single wait lasts at most timeout_ms (<= 0: only the deadline counts). Both apply. */
void stream_set_timeout(struct stream *s, int64_t timeout_ms);

/*
 * For a reader that need not sit in a call while it waits. While pausable, a wait for input that has lasted a second ends with
 * IO_LATER: nothing is lost, and the same call with the same arguments goes on with that wait, which is over at the time that
 * stream_pause_until tells. Make it when the descriptor is readable or that time has come; earlier does no harm. Turning it off
 * forgets the wait: the next one begins anew.
 */
void stream_set_pausable(struct stream *s, bool on);
int64_t stream_pause_until(const struct stream *s);

/*
 * Next line, without its LF or CRLF, at most max bytes (max < STREAM_IN_BYTES). The span is valid until the next read call.
 * bare_lf_r (may be NULL): the line ended in LF without CR. A longer line is read to its end, dropped, and IO_TOO_LONG
 * returned. IO_EOF also when the stream ends inside a line.
 */
enum io_status stream_line(struct stream *s, size_t max, struct span *line_r, bool *bare_lf_r) __attribute__((warn_unused_result));

/* Raw input: what is buffered now (possibly empty); read more; use up n bytes. For DATA, literals, BDAT. */
struct span stream_buffered(const struct stream *s);
enum io_status stream_fill(struct stream *s) __attribute__((warn_unused_result)); /* at least one byte more, or why not */
void stream_consume(struct stream *s, size_t n);
/* Put bytes that another process had already read in front of the input (hand-over). len <= STREAM_IN_BYTES. */
bool stream_unread(struct stream *s, struct span bytes) __attribute__((warn_unused_result));
/* True when input is buffered: the client is pipelining. */
bool stream_has_input(const struct stream *s);

/* Output. A failed write is remembered: later writes do nothing, stream_flush and reads report it. */
void stream_write(struct stream *s, struct span bytes);
void stream_puts(struct stream *s, const char *text);
void stream_printf(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum io_status stream_flush(struct stream *s);
enum io_status stream_status(const struct stream *s); /* IO_OK, or the remembered output failure */

/* Gather more output before it goes out: STREAM_OUT_MUCH for who sends letters to clients. Before the first output. */
void stream_set_out_size(struct stream *s, size_t bytes);
/* Give back the memory of empty buffers: for who will not use them for long. */
void stream_shrink(struct stream *s);

/* Totals since open, for log lines. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);
