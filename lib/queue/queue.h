/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queue on disk. One message: an envelope, the content, and a journal of what happened to each recipient.
 *
 * A message is found by its id and its place (struct queue_place): a record in a segment of the group-commit log, or a
 * file of its own, mail/<x>/<id> below queue_directory (x: one character of the id). It may move from the first to the
 * second: every function takes an outdated place. Nothing outside lib/queue makes paths or keeps files open between
 * calls.
 *
 * The content is kept with LF line ends, without dot-stuffing, and always ends in LF (unless it is empty).
 * Accepting is: write, fsync(file), link into place, fsync(directory); only then may "250" be said.
 * All functions work on the current directory, which is queue_directory in every worker. Thread-safe per object.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/base/verdict.h"

enum {
	QUEUE_ID_MAX = 24,         /* with the NUL; characters of Postfix's long queue ids */
	QUEUE_REASON_MAX = 1000,   /* bytes of a reason kept in the journal */
	QUEUE_ADDRESS_MAX = 2048,  /* bytes of an address in an envelope */
};

struct queue_place {
	uint32_t segment; /* 0: a file of its own */
	uint64_t offset;
	uint32_t length;
};

/* RFC 3461 NOTIFY; 0: not given */
enum { QUEUE_NOTIFY_NEVER = 1, QUEUE_NOTIFY_SUCCESS = 2, QUEUE_NOTIFY_FAILURE = 4, QUEUE_NOTIFY_DELAY = 8 };
/* Envelope flags */
enum {
	QUEUE_8BIT = 1,      /* BODY=8BITMIME */
	QUEUE_SMTPUTF8 = 2,
	QUEUE_RET_FULL = 4,  /* RET=FULL */
	QUEUE_RET_HDRS = 8,  /* RET=HDRS */
	QUEUE_LOCAL = 16,    /* came from sendmail(1) or from a program of ours */
	QUEUE_BOUNCE = 32,   /* a notice of ours */
	QUEUE_ON_HOLD = 64,  /* held from the start; set `held' too */
	QUEUE_PROBE = 128,   /* not to be delivered: would it be? The result goes into the cache of verify.h, never to a sender */
};

enum queue_state {
	QUEUE_RCPT_PENDING = 0, /* not delivered yet, maybe deferred */
	QUEUE_RCPT_DELIVERED,
	QUEUE_RCPT_BOUNCED,     /* failed for good; the sender is to be told */
	QUEUE_RCPT_NOTIFIED,    /* failed for good and the sender was told (or must not be) */
};

struct queue_rcpt {
	struct span address;   /* where it goes, after aliases: internal form, user@domain */
	struct span original;  /* as the client gave it, or empty when the same */
	struct span orcpt;     /* ORCPT parameter, decoded ("rfc822;user@x"), or empty */
	uint8_t notify;        /* QUEUE_NOTIFY_* */
	/* from the journal, when read back: */
	enum queue_state state;
	uint32_t attempts;     /* deferrals so far */
	int64_t last_us;       /* wall time of the last entry */
	char dsn[12];          /* of the last entry, or empty */
	struct span reason;    /* of the last entry, or empty */
	struct span relay;     /* of the last entry: "mx.example.com[192.0.2.1]:25", "local", or empty */
};

struct queue_envelope {
	char id[QUEUE_ID_MAX];
	int64_t arrival_us;   /* wall time */
	uint64_t size;        /* content bytes */
	struct span sender;   /* internal form; empty: the null reverse-path */
	struct span envid;    /* decoded ENVID or empty */
	uint32_t flags;
	struct span client;   /* "name[1.2.3.4]", for bounces and logs; empty when local */
	struct span sasl_user;
	struct span filter;   /* "transport:nexthop" that all of it goes by, whatever the recipients; empty: by their routes */
	struct span verp;     /* the two delimiters of lib/proto/verp.h: each recipient has a sender address of its own; or empty */
	struct queue_rcpt *rcpts;
	size_t nrcpts;
	/* from the journal: */
	bool held;            /* no attempts until released */
	bool expired;         /* to be returned at the next occasion: postsuper -e */
	bool delay_warned;
	bool corrupt_journal; /* a torn record at the end was ignored */
};

/* A new id, unique for ever: time, process and sequence. Same alphabet and look as Postfix's long ids. */
void queue_new_id(char id_r[QUEUE_ID_MAX]);
bool queue_id_valid(struct span id);
/* When the id was made, wall microseconds. */
int64_t queue_id_time_us(const char *id);

/* Make the directories (mail/x, log, corrupt) below the current directory. 0, or -1 and errno. */
int queue_prepare(void);

/*
 * Let this process write small messages (at most message_max bytes with their envelope; 0: none) into a log of its own,
 * in segments of segment_bytes. Once, before threads. -1 and errno: not possible now; messages then go into files.
 */
int queue_log_start(uint64_t segment_bytes, size_t message_max) __attribute__((warn_unused_result));

/*
 * Give back the space of segments that no process holds and that have no message in them, but for keep of them. A few in one call.
 * 0, or -1 and errno: not every file system can.
 */
int queue_log_trim(unsigned keep);

/* --- writing a message ------------------------------------------------------------------------------------------- */
struct queue_writer;

/* Start a message. env: id set by queue_new_id, rcpts without journal fields; copied as needed. Never NULL; errors come later. */
struct queue_writer *queue_create(const struct queue_envelope *env);
/* Append content (LF line ends). Errors are remembered for queue_commit. */
void queue_write(struct queue_writer *w, struct span content);
uint64_t queue_written(const struct queue_writer *w); /* content bytes so far */
/* Another envelope in place of that of queue_create, with the same id: what was decided at the end of the content. */
void queue_change_envelope(struct queue_writer *w, const struct queue_envelope *env);
/*
 * Make the message durable and put it in its place. 0: it is in the queue for good, *place_r says where. -1 and errno: it is
 * not there and left nothing behind. Frees w either way.
 */
int queue_commit(struct queue_writer *w, struct queue_place *place_r) __attribute__((warn_unused_result));
void queue_abort(struct queue_writer *w); /* forget it; frees w */

/* --- reading ----------------------------------------------------------------------------------------------------- */
enum queue_status {
	QUEUE_OK = 0,
	QUEUE_GONE,    /* no such message (delivered or deleted meanwhile) */
	QUEUE_CORRUPT, /* the checksum is wrong; queue_move_corrupt puts it aside */
	QUEUE_ERROR,   /* a system call failed; errno */
};
struct queue_message;

/* Read envelope and journal; the content is read when asked for. env points into the message and lives until queue_close. */
enum queue_status queue_open(const char *id, const struct queue_place *place, struct queue_message **m_r)
    __attribute__((warn_unused_result));
/* The same without a look at the content, which then cannot be had: for listings. */
enum queue_status queue_open_envelope(const char *id, const struct queue_place *place, struct queue_message **m_r)
    __attribute__((warn_unused_result));
/* As queue_open, from a file that is open already, wherever it lies (postcat FILE, corrupt/ID). fd is taken over. id:
 * what the envelope must say. */
enum queue_status queue_open_fd(int fd, const char *id, struct queue_message **m_r) __attribute__((warn_unused_result));
const struct queue_envelope *queue_envelope(const struct queue_message *m);
/* Content from offset on: as much as is at hand without copying (at least one byte; empty at the end). false: read error, errno. */
bool queue_content(struct queue_message *m, uint64_t offset, struct span *chunk_r) __attribute__((warn_unused_result));
void queue_close(struct queue_message *m);

/* Recheck the whole message against its checksums; for start-up and postcat. */
enum queue_status queue_verify(const char *id, const struct queue_place *place);

/* --- the journal ------------------------------------------------------------------------------------------------- */
enum queue_record {
	QUEUE_REC_DELIVERED = 1,
	QUEUE_REC_DEFERRED,
	QUEUE_REC_BOUNCED,
	QUEUE_REC_NOTIFIED, /* the sender was told of this recipient's failure (or must not be) */
	QUEUE_REC_HOLD,     /* rcpt ignored from here on */
	QUEUE_REC_RELEASE,
	QUEUE_REC_EXPIRE,
	QUEUE_REC_DELAY_WARNED,
	QUEUE_REC_REQUEUE,  /* forget the deferrals: routes are decided anew */
};
struct queue_journal_entry {
	enum queue_record type;
	uint32_t rcpt;       /* index in the envelope */
	char dsn[12];
	struct span reason;  /* cut at QUEUE_REASON_MAX */
	struct span relay;
};
/* Call each(entry, at_us, arg) for every whole record of the journal, in order. */
void queue_history(const struct queue_message *m,
		   void (*each)(const struct queue_journal_entry *entry, int64_t at_us, void *arg), void *arg);
/* Append entries in one write. durable: fdatasync before returning. 0, or -1 and errno (ENOENT: the message is gone). */
int queue_journal(const char *id, const struct queue_place *place, const struct queue_journal_entry *entries, size_t n,
		  bool durable) __attribute__((warn_unused_result));

/* Move a message out of the log into a file of its own, if that is where it is. 0, or -1 and errno. */
int queue_settle(const char *id, const struct queue_place *place) __attribute__((warn_unused_result));

/*
 * Cut a torn record off the end of a journal (env.corrupt_journal), so that later records are read again. Only while nobody
 * else can append: qmgr does it before it hands the message out for the first time. 0, or -1 and errno.
 */
int queue_repair(const char *id, const struct queue_place *place) __attribute__((warn_unused_result));

/* Remove a message that is done. 0, or -1 and errno; ENOENT counts as done. */
int queue_remove(const char *id, const struct queue_place *place) __attribute__((warn_unused_result));
/* Put a corrupt message aside in corrupt/. */
int queue_move_corrupt(const char *id, const struct queue_place *place) __attribute__((warn_unused_result));

/* --- work under way ---------------------------------------------------------------------------------------------- */
/*
 * A worker holds a share of one lock while it may be at work for a qmgr: from the start of its connection to the end. A new qmgr
 * waits until nobody holds one, so that it does not hand out what a worker of its predecessor is delivering right now.
 */
int queue_work_begin(void);    /* a descriptor, or -1 and errno: then work without it */
void queue_work_end(int work); /* also implied by the end of the process */
bool queue_work_over(void);    /* nobody is at work */

/* --- scanning ---------------------------------------------------------------------------------------------------- */
/* Call each(id, place, arg) for every message, in no order, until it returns false. 0, or -1 and errno. */
int queue_scan(bool (*each)(const char *id, const struct queue_place *place, void *arg), void *arg);
/* Where is the message of this id? False: there is none. For tools: it may look at the whole log. */
bool queue_find(const char *id, struct queue_place *place_r);
