/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an IMAP client says: one command, which is one or more lines with literals between them (RFC 3501 2.2, 4.3; RFC
 *7888 LITERAL+). Syntax only.
 *
 * Two steps. A reader gathers a whole command from chunks of any size, within limits; then a scanner takes it apart:
 *
 *	struct span in = stream_buffered(s);          what is left of `in' is the next command's
 *	switch (imap_reader_feed(&r, &in)) ...        then stream_consume() what was taken
 *	IMAP_READ_MORE     stream_fill and feed again
 *	IMAP_READ_LITERAL  imap_reader_take(); true: send "+ OK" CRLF; feed again
 *	IMAP_READ_DONE     imap_command_split(imap_reader_text(&r), ...), answer, imap_reader_reset
 *	an error           imap_reader_tag() names the command; answer, imap_reader_reset; FATAL: BYE and close
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

struct imap_limits {
	size_t line_max;       /* octets of one line, its end not counted */
	size_t literal_max;    /* octets of one gathered literal; 0: none is accepted */
	size_t total_max;      /* octets of the whole command */
	unsigned literals_max; /* literals of one command */
	uint64_t skip_max;     /* a refused LITERAL+ of at most this many octets is read and dropped; more is FATAL */
};

/* Before and after login. Memory of a reader stays below total_max. */
extern const struct imap_limits imap_limits_login; /* line 8 KiB, literals 4 KiB */
extern const struct imap_limits imap_limits_user;  /* line 64 KiB, literals 256 KiB, 1 MiB in all */

enum imap_read_status {
	IMAP_READ_MORE = 0, /* all input was taken, the command goes on */
	IMAP_READ_LITERAL,  /* a literal was announced: call imap_reader_take or imap_reader_own next */
	IMAP_READ_DONE,     /* imap_reader_text is the command */
	IMAP_READ_TOO_LONG, /* line or command past its limit: BAD; it has been read to its end and dropped */
	IMAP_READ_TOO_BIG,  /* a literal past its limit: NO [TOOBIG]; the same */
	IMAP_READ_BAD,      /* a NUL in a line or literal, or a malformed literal size: BAD; the same */
	IMAP_READ_FATAL,    /* a LITERAL+ past skip_max: the connection cannot be brought in step again */
};
const char *imap_read_status_str(enum imap_read_status status); /* "Too long command line" ...: text for the reply */

enum { IMAP_TAIL_MAX = 32, IMAP_TAG_MAX = 128 };

struct imap_reader {
	struct imap_limits limits;
	struct buf text;          /* lines without their ends; literals as "{5}" CRLF and their octets */
	size_t line_start;        /* offset in text of the line being read */
	size_t line_bytes;        /* octets of that line so far */
	char tail[IMAP_TAIL_MAX]; /* last octets of a line that is being dropped */
	size_t ntail;
	unsigned literals;
	bool asked;                   /* IMAP_READ_LITERAL was returned, no decision yet */
	bool plus;                    /* the literal is a LITERAL+: no continuation is waited for */
	uint64_t literal;             /* its size */
	uint64_t left;                /* octets of a literal still to come */
	enum imap_read_status failed; /* MORE: not; else the command is being dropped */
	char tag[IMAP_TAG_MAX + 1];   /* of a command that failed */
};

void imap_reader_init(struct imap_reader *r, const struct imap_limits *limits);
void imap_reader_free(struct imap_reader *r);
void imap_reader_reset(struct imap_reader *r); /* before the next command; wipes the text */

/* Take from the front of *in, which moves on. Lines end in LF, a CR before it is dropped. */
enum imap_read_status imap_reader_feed(struct imap_reader *r, struct span *in) __attribute__((warn_unused_result));

/* After IMAP_READ_LITERAL: gather it, or refuse it when it passes a limit. True: the client waits for "+ OK". */
bool imap_reader_take(struct imap_reader *r) __attribute__((warn_unused_result));
/*
 * Or: the caller reads the r->literal octets itself (APPEND), sends the continuation unless r->plus, and goes on
 * feeding with what follows. The text so far stays, with "{0}" CRLF in place of the literal.
 */
void imap_reader_own(struct imap_reader *r);
/* Or: refuse it. Feed again: the error comes at once, or when a LITERAL+ has been dropped. */
void imap_reader_refuse(struct imap_reader *r, enum imap_read_status why);

struct span imap_reader_text(const struct imap_reader *r); /* the command so far, valid until the next feed or reset */
struct span imap_reader_tag(const struct imap_reader *r);  /* "*" when there was no valid tag */
bool imap_reader_idle(const struct imap_reader *r);        /* nothing of a command has come yet */

/* --- a gathered command
 * ----------------------------------------------------------------------------------------------- */

struct imap_command {
	struct span tag;  /* "*" when not valid */
	struct span verb; /* as written; empty when there is none. Not "UID FETCH" but "UID" */
	struct span args; /* after the verb and one space */
};
/* False: no valid tag, or no verb: "tag BAD Error in IMAP command received by server." */
bool imap_command_split(struct span text, struct imap_command *cmd_r) __attribute__((warn_unused_result));
bool imap_tag_valid(struct span tag); /* RFC 3501 tag, at most IMAP_TAG_MAX octets */

/*
 * A scanner over arguments. Each call takes one thing off the front of in and returns true, or changes nothing, sets
 * `error' to what is wrong unless one is set already, and returns false. Spans point into the command or (unescaped
 * strings) into a.
 */
struct imap_scan {
	struct span in;
	struct arena *a;
	const char *error;
	unsigned depth, depth_max; /* of parentheses: for whoever recurses */
};
enum { IMAP_DEPTH_MAX = 16 };

struct imap_scan imap_scan_init(struct arena *a, struct span args); /* depth_max IMAP_DEPTH_MAX */
bool imap_scan_fail(struct imap_scan *s, const char *error);        /* sets error, returns false */

bool imap_scan_end(struct imap_scan *s);                /* nothing is left */
bool imap_scan_sp(struct imap_scan *s);                 /* one space (more are forgiven) */
bool imap_scan_peek(const struct imap_scan *s, char c); /* is c next? No error */
bool imap_scan_skip(struct imap_scan *s, char c);       /* the same, and take it. No error */
bool imap_scan_char(struct imap_scan *s, char c);       /* c has to be next */
bool imap_scan_open(struct imap_scan *s);               /* "(", within depth_max */
bool imap_scan_close(struct imap_scan *s);              /* ")" */

bool imap_scan_atom(struct imap_scan *s, struct span *out);
bool imap_scan_flag(struct imap_scan *s, struct span *out);   /* \Seen or an atom */
bool imap_scan_string(struct imap_scan *s, struct span *out); /* quoted or literal */
bool imap_scan_astring(struct imap_scan *s, struct span *out);
bool imap_scan_nstring(struct imap_scan *s, struct span *out, bool *nil_r);
bool imap_scan_pattern(struct imap_scan *s, struct span *out); /* list-mailbox: astring with % and * */
bool imap_scan_number(struct imap_scan *s, uint32_t *out);
bool imap_scan_number64(struct imap_scan *s, uint64_t *out);
bool imap_scan_word(struct imap_scan *s, struct span *out); /* up to a blank or parenthesis: a sequence set */

/* ATOM-CHAR, ASTRING-CHAR (RFC 3501 9). */
bool imap_is_atom_char(char c);
bool imap_is_astring_char(char c);
bool imap_atom_valid(struct span s);
