/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/queue/job.h"
#include "lib/queue/queue.h"
#include "lib/queue/segment.h"

static char dir[64];

static int enter_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/queue_test.XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 && queue_prepare() == 0 ? 0 : -1;
}

static int leave_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static struct queue_rcpt rcpts[] = {
	{ .address = SPAN("alice@example.test"), .original = SPAN("al@example.test"), .notify = QUEUE_NOTIFY_FAILURE },
	{ .address = SPAN("bob@example.test"), .orcpt = SPAN("rfc822;bob@x") },
};

static struct queue_envelope envelope(void)
{
	struct queue_envelope env = { .arrival_us = 1234567, .sender = SPAN("s@example.org"), .rcpts = rcpts, .nrcpts = 2,
				      .flags = QUEUE_8BIT, .client = SPAN("h[192.0.2.1]") };

	queue_new_id(env.id);
	return env;
}

/* len bytes of content in lines of 100. */
static void write_message(struct queue_envelope *env, size_t len)
{
	struct queue_place place;
	struct queue_writer *w = queue_create(env);
	char line[100];

	memset(line, 'x', sizeof line);
	line[99] = '\n';
	for (size_t done = 0; done < len; done += sizeof line)
		queue_write(w, span_of(line, sizeof line));
	assert_int_equal(queue_written(w), len);
	assert_int_equal(queue_commit(w, &place), 0);
}

static struct queue_message *must_open(const char *id)
{
	struct queue_place place = { 0 };
	struct queue_message *m = NULL;

	assert_int_equal(queue_open(id, &place, &m), QUEUE_OK);
	return m;
}

static void ids_are_unique_valid_and_carry_their_time(void **state)
{
	char a[QUEUE_ID_MAX], b[QUEUE_ID_MAX];

	(void)state;
	queue_new_id(a);
	queue_new_id(b);
	assert_string_not_equal(a, b);
	assert_true(queue_id_valid(span_cstr(a)));
	assert_true(queue_id_time_us(b) > queue_id_time_us(a));
	assert_false(queue_id_valid(SPAN("../../etc/passwd")));
	assert_false(queue_id_valid(SPAN("4TabcdXz")));
	assert_false(queue_id_valid(SPAN("")));
}

static void round_trip(void **state)
{
	static const size_t sizes[] = { 0, 100, 4000, 65400, 65500, 65600, 200000, 1000000 };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct queue_envelope env = envelope();
		struct queue_message *m;
		uint64_t at = 0;
		struct span chunk;

		write_message(&env, sizes[i]);
		m = must_open(env.id);
		assert_int_equal(queue_envelope(m)->size, sizes[i]);
		assert_int_equal(queue_envelope(m)->nrcpts, 2);
		assert_true(span_is(queue_envelope(m)->rcpts[0].original, "al@example.test"));
		assert_true(span_is(queue_envelope(m)->sender, "s@example.org"));
		while (queue_content(m, at, &chunk) && chunk.len) {
			for (size_t j = 0; j < chunk.len; j++)
				if (chunk.ptr[j] != ((at + j) % 100 == 99 ? '\n' : 'x'))
					fail_msg("wrong byte at %zu", (size_t)at + j);
			at += chunk.len;
		}
		assert_int_equal(at, sizes[i]);
		queue_close(m);
		assert_int_equal(queue_verify(env.id, &(struct queue_place){ 0 }), QUEUE_OK);
		assert_int_equal(queue_remove(env.id, &(struct queue_place){ 0 }), 0);
		assert_int_equal(queue_open(env.id, &(struct queue_place){ 0 }, &m), QUEUE_GONE);
	}
}

static void the_journal_is_replayed(void **state)
{
	static const size_t sizes[] = { 1000, 300000 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct queue_envelope env = envelope();
		struct queue_place place = { 0 };
		struct queue_journal_entry e[] = {
			{ QUEUE_REC_DELIVERED, 0, "2.0.0", SPAN("sent"), SPAN("local") },
			{ QUEUE_REC_DEFERRED, 1, "4.4.1", SPAN("refused"), SPAN("") },
			{ QUEUE_REC_HOLD, 0, "", SPAN(""), SPAN("") },
		};
		struct queue_message *m;

		write_message(&env, sizes[i]);
		assert_int_equal(queue_journal(env.id, &place, e, 3, true), 0);
		m = must_open(env.id);
		assert_int_equal(queue_envelope(m)->rcpts[0].state, QUEUE_RCPT_DELIVERED);
		assert_int_equal(queue_envelope(m)->rcpts[1].state, QUEUE_RCPT_PENDING);
		assert_int_equal(queue_envelope(m)->rcpts[1].attempts, 1);
		assert_true(span_is(queue_envelope(m)->rcpts[1].reason, "refused"));
		assert_true(queue_envelope(m)->held);
		queue_close(m);
	}
}

static int open_raw(const char *id)
{
	char path[64];

	snprintf(path, sizeof path, "mail/%c/%s", strrchr(id, 'z')[-1], id);
	return open(path, O_RDWR);
}

static void a_torn_journal_is_repaired(void **state)
{
	struct queue_envelope env = envelope();
	struct queue_place place = { 0 };
	struct queue_journal_entry e = { QUEUE_REC_DEFERRED, 1, "4.4.1", SPAN("refused"), SPAN("") };
	struct queue_message *m;
	int fd;

	(void)state;
	write_message(&env, 1000);
	assert_int_equal(queue_journal(env.id, &place, &e, 1, true), 0);
	fd = open_raw(env.id);
	assert_true(lseek(fd, 0, SEEK_END) > 0);
	assert_int_equal(write(fd, "\x30\0\0\0torn", 8), 8);
	close(fd);
	m = must_open(env.id);
	assert_true(queue_envelope(m)->corrupt_journal);
	assert_int_equal(queue_envelope(m)->rcpts[1].attempts, 1);
	queue_close(m);
	assert_int_equal(queue_repair(env.id, &place), 0);
	assert_int_equal(queue_journal(env.id, &place, &e, 1, true), 0);
	m = must_open(env.id);
	assert_false(queue_envelope(m)->corrupt_journal);
	assert_int_equal(queue_envelope(m)->rcpts[1].attempts, 2);
	queue_close(m);
}

/* Whatever byte of header, envelope or content is damaged, and wherever the file is cut: it is noticed. */
static void any_damage_is_noticed(void **state)
{
	struct queue_envelope env = envelope();
	struct queue_place place = { 0 };
	struct queue_message *m;
	off_t len;
	int fd;

	(void)state;
	write_message(&env, 300);
	fd = open_raw(env.id);
	len = lseek(fd, 0, SEEK_END);
	for (off_t at = 0; at < len; at++) {
		char was, bad;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		bad = (char)(was ^ 0x41);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_int_equal(queue_open(env.id, &place, &m), QUEUE_CORRUPT);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	for (off_t at = len - 1; at >= 0; at--) {
		assert_int_equal(ftruncate(fd, at), 0);
		assert_int_equal(queue_open(env.id, &place, &m), QUEUE_CORRUPT);
	}
	close(fd);
	assert_int_equal(queue_move_corrupt(env.id, &place), 0);
}

static bool count(const char *id, const struct queue_place *place, void *arg)
{
	(void)id;
	(void)place;
	++*(int *)arg;
	return true;
}

static void abort_leaves_nothing_and_the_scan_finds_the_rest(void **state)
{
	struct queue_envelope env = envelope();
	struct queue_writer *w = queue_create(&env);
	static char big[100000];
	int before = 0, after = 0;

	(void)state;
	assert_int_equal(queue_scan(count, &before), 0);
	queue_write(w, span_of(big, sizeof big));
	queue_abort(w);
	assert_int_equal(queue_scan(count, &after), 0);
	assert_int_equal(before, after);
	env = envelope();
	write_message(&env, 100);
	after = 0;
	assert_int_equal(queue_scan(count, &after), 0);
	assert_int_equal(before + 1, after);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

struct committed {
	char id[QUEUE_ID_MAX];
	struct queue_place place;
};

enum { THREADS = 8, EACH = 60 };

static void *commit_many(void *arg)
{
	struct committed *list = arg;
	static char text[20000];

	for (int i = 0; i < EACH; i++) {
		struct queue_envelope env = envelope();
		struct queue_writer *w = queue_create(&env);

		queue_write(w, span_of(text, (size_t)(i * 331 % 20000)));
		if (queue_commit(w, &list[i].place) < 0)
			abort();
		memcpy(list[i].id, env.id, sizeof env.id);
	}
	return NULL;
}

static void the_log_takes_many_threads_and_is_used_again(void **state)
{
	static struct committed done[THREADS][EACH];
	pthread_t threads[THREADS];
	uint32_t highest = 0;
	int logged = 0, left = 0, before = 0;

	(void)state;
	assert_int_equal(queue_scan(count, &before), 0);
	assert_int_equal(queue_log_start(1 << 20, 16384), 0);
	for (int round = 0; round < 6; round++) {
		logged = 0;
		for (int t = 0; t < THREADS; t++)
			pthread_create(&threads[t], NULL, commit_many, done[t]);
		for (int t = 0; t < THREADS; t++)
			pthread_join(threads[t], NULL);
		for (int t = 0; t < THREADS; t++)
			for (int i = 0; i < EACH; i++) {
				struct committed *c = &done[t][i];
				struct queue_message *m;

				assert_int_equal(queue_open(c->id, &c->place, &m), QUEUE_OK);
				assert_int_equal(queue_envelope(m)->size, i * 331 % 20000);
				queue_close(m);
				logged += c->place.segment != 0;
				highest = c->place.segment > highest ? c->place.segment : highest;
				assert_int_equal(queue_remove(c->id, &c->place), 0);
				assert_int_equal(queue_open(c->id, &c->place, &m), QUEUE_GONE);
			}
		assert_true(logged > THREADS * EACH / 2);
	}
	assert_true(highest <= 8); /* 5 MB a round, six rounds, in segments of 1 MB */
	assert_int_equal(queue_scan(count, &left), 0);
	assert_int_equal(left, before);
}

static void a_deferred_message_moves_out_of_the_log(void **state)
{
	struct queue_envelope env = envelope();
	struct queue_journal_entry e = { QUEUE_REC_DEFERRED, 1, "4.4.1", SPAN("refused"), SPAN("") };
	struct queue_writer *w = queue_create(&env);
	struct queue_place place, found;
	struct queue_message *m;
	int n = 0, n2 = 0;

	(void)state;
	assert_int_equal(queue_scan(count, &n), 0);
	queue_write(w, SPAN("Subject: x\n\nHello\n"));
	assert_int_equal(queue_commit(w, &place), 0);
	assert_true(place.segment > 0);
	assert_true(queue_find(env.id, &found));
	assert_int_equal(found.segment, place.segment);
	assert_int_equal(queue_journal(env.id, &place, &e, 1, true), 0);
	assert_true(queue_find(env.id, &found));
	assert_int_equal(found.segment, 0);
	assert_int_equal(queue_open(env.id, &place, &m), QUEUE_OK); /* by its old place */
	assert_int_equal(queue_envelope(m)->rcpts[1].attempts, 1);
	queue_close(m);
	assert_int_equal(queue_scan(count, &n2), 0);
	assert_int_equal(n2, n + 1);
	assert_int_equal(queue_remove(env.id, &place), 0);
	assert_false(queue_find(env.id, &found));
}

/* The process that wrote is gone without a word: whole records are found, a torn one at the end is not. */
static void the_log_of_a_dead_process_is_read(void **state)
{
	int fds[2], before = 0, after = 0, status;
	struct committed c;
	char path[32];
	pid_t pid;
	int fd;

	(void)state;
	assert_int_equal(queue_scan(count, &before), 0);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct queue_envelope env = envelope();
		struct queue_writer *w = queue_create(&env);

		if (queue_log_start(1 << 20, 16384) < 0)
			_exit(1);
		queue_write(w, SPAN("Hello\n"));
		for (int i = 0; i < 2; i++) {
			if (i == 1) {
				env = envelope();
				w = queue_create(&env);
				queue_write(w, SPAN("second\n"));
			}
			if (queue_commit(w, &c.place) < 0)
				_exit(1);
		}
		memcpy(c.id, env.id, sizeof c.id);
		_exit(write(fds[1], &c, sizeof c) == sizeof c ? 0 : 1);
	}
	assert_int_equal(read(fds[0], &c, sizeof c), sizeof c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(queue_scan(count, &after), 0);
	assert_int_equal(after, before + 2);
	snprintf(path, sizeof path, "log/%03x", c.place.segment);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "torn", 4, (off_t)(c.place.offset + c.place.length)), 4);
	close(fd);
	after = 0;
	assert_int_equal(queue_scan(count, &after), 0);
	assert_int_equal(after, before + 1);
	close(fds[0]);
	close(fds[1]);
}

/* Bit flips in a segment cost the letters they hit, not those behind them. */
static void a_damaged_segment_gives_what_is_whole(void **state)
{
	int fds[2], before = 0, after = 0, status, fd;
	struct committed c[3];
	char path[32];
	pid_t pid;

	(void)state;
	assert_int_equal(queue_scan(count, &before), 0);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (queue_log_start(1 << 20, 16384) < 0)
			_exit(1);
		for (int i = 0; i < 3; i++) {
			struct queue_envelope env = envelope();
			struct queue_writer *w = queue_create(&env);

			queue_write(w, SPAN("Hello\n"));
			if (queue_commit(w, &c[i].place) < 0)
				_exit(1);
			memcpy(c[i].id, env.id, sizeof c[i].id);
		}
		_exit(write(fds[1], c, sizeof c) == sizeof c ? 0 : 1);
	}
	assert_int_equal(read(fds[0], c, sizeof c), sizeof c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(path, sizeof path, "log/%03x", c[0].place.segment);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "?", 1, 9), 1); /* the segment's header */
	assert_int_equal(queue_scan(count, &after), 0);
	assert_int_equal(after, before + 3);
	assert_int_equal(pwrite(fd, "?", 1, (off_t)c[1].place.offset + 9), 1); /* the second record's */
	after = 0;
	assert_int_equal(queue_scan(count, &after), 0);
	assert_int_equal(after, before + 2);
	close(fd);
	assert_int_equal(queue_log_start(1 << 20, 16384), 0);
	for (int i = 0; i < 3; i += 2) {
		struct queue_message *m;

		assert_int_equal(queue_open(c[i].id, &c[i].place, &m), QUEUE_OK);
		queue_close(m);
		assert_int_equal(queue_remove(c[i].id, &c[i].place), 0);
	}
	close(fds[0]);
	close(fds[1]);
}

static void commit(struct committed *c)
{
	struct queue_envelope env = envelope();
	struct queue_writer *w = queue_create(&env);
	static char text[10000];

	queue_write(w, span_of(text, sizeof text));
	assert_int_equal(queue_commit(w, &c->place), 0);
	memcpy(c->id, env.id, sizeof c->id);
}

static enum queue_status status_of(const struct committed *c)
{
	struct queue_message *m;
	enum queue_status status = queue_open(c->id, &c->place, &m);

	if (status == QUEUE_OK)
		queue_close(m);
	return status;
}

/* Two agents were done with one letter; the segment was used again before the slower one came to write that down. */
static void a_late_mark_hits_nothing(void **state)
{
	struct committed old, young;
	uint64_t generation = 0;

	(void)state;
	/* Two first records of one segment, one use after the other. */
	old.place.segment = 0;
	for (;;) {
		commit(&young);
		if (young.place.offset == SEGMENT_HEADER && young.place.segment == old.place.segment)
			break;
		if (young.place.offset == SEGMENT_HEADER) {
			old = young;
			generation = segment_generation(segment_get(old.place.segment));
		}
		assert_int_equal(queue_remove(young.id, &young.place), 0);
	}
	assert_int_equal(segment_mark_done(segment_get(old.place.segment), generation, old.place.offset), 0);
	assert_int_equal(status_of(&young), QUEUE_OK);
	assert_int_equal(queue_remove(young.id, &young.place), 0);
	assert_int_equal(status_of(&young), QUEUE_GONE);
}

/* What was cut off is gone; the rest is there, nobody dies, and new letters go elsewhere. */
static void a_segment_that_is_cut_costs_what_was_cut_off(void **state)
{
	struct segment *fresh = segment_create(1 << 20); /* cmocka has its own handler of SIGBUS: ours again */
	struct committed c[3], more;
	char path[32];

	(void)state;
	assert_non_null(fresh);
	flock(fresh->fd, LOCK_UN);
	do
		for (int i = 0; i < 3; i++)
			commit(&c[i]);
	while (c[0].place.segment == 0 || c[0].place.segment != c[2].place.segment);
	assert_int_equal(status_of(&c[2]), QUEUE_OK);
	snprintf(path, sizeof path, "log/%03x", c[0].place.segment);
	assert_int_equal(truncate(path, (off_t)c[1].place.offset + 5000), 0);
	assert_int_equal(status_of(&c[2]), QUEUE_GONE);
	assert_int_equal(status_of(&c[0]), QUEUE_OK);
	assert_int_not_equal(status_of(&c[1]), QUEUE_OK);
	commit(&more);
	assert_int_not_equal(more.place.segment, c[0].place.segment);
	assert_int_equal(status_of(&more), QUEUE_OK);
	assert_int_equal(queue_remove(more.id, &more.place), 0);
	assert_int_equal(queue_remove(c[0].id, &c[0].place), 0);
	assert_int_equal(unlink(path), 0);
}

static off_t log_bytes(int *files_r)
{
	off_t total = 0;

	*files_r = 0;
	for (uint32_t n = 1; n < 64; n++) {
		char path[32];
		struct stat st;

		snprintf(path, sizeof path, "log/%03x", n);
		if (stat(path, &st) < 0)
			continue;
		total += st.st_blocks * 512;
		++*files_r;
	}
	return total;
}

/* A process that fills some segments, and is gone. */
static void a_rush(bool keep_one, struct committed *kept)
{
	struct committed c[400];
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (queue_log_start(1 << 20, 16384) < 0)
			_exit(1);
		for (int i = 0; i < 400; i++)
			commit(&c[i]);
		for (int i = 0; i < 400; i++)
			if (!(keep_one && i == 399) && queue_remove(c[i].id, &c[i].place) < 0)
				_exit(1);
		_exit(write(fds[1], &c[399], sizeof c[399]) == sizeof c[399] ? 0 : 1);
	}
	assert_int_equal(read(fds[0], kept, sizeof *kept), sizeof *kept);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fds[0]);
	close(fds[1]);
}

static void space_of_a_rush_is_given_back(void **state)
{
	struct committed c, later;
	int files, again;
	off_t full;

	(void)state;
	a_rush(true, &c);
	full = log_bytes(&files);
	assert_true(files >= 4 && full >= 4 << 20);
	for (int i = 0; i < 16; i++)
		assert_int_equal(queue_log_trim(0), 0);
	assert_true(log_bytes(&again) <= full - (2 << 20));
	assert_int_equal(again, files);
	assert_int_equal(status_of(&c), QUEUE_OK); /* a letter was in one of them */
	a_rush(false, &later);                     /* takes them over; we see it through the maps that we have */
	assert_int_equal(status_of(&later), QUEUE_GONE);
	a_rush(true, &later);
	assert_int_equal(status_of(&later), QUEUE_OK);
	log_bytes(&again);
	assert_true(again <= files + 1);
	assert_int_equal(queue_remove(c.id, &c.place), 0);
	assert_int_equal(queue_remove(later.id, &later.place), 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(queue_log_trim(1), 0);
	assert_true(log_bytes(&again) >= 1 << 20);
}

static void frames_round_trip_and_refuse_every_truncation(void **state)
{
	struct queue_envelope env = envelope();
	struct job_rcpt jr = { 1, SPAN("a@b"), SPAN("c@d"), SPAN("rfc822;x"), 4 };
	struct job_message jm = { .sender = SPAN("s@t"), .size = 5, .last = true, .kept = true, .rcpts = &jr, .nrcpts = 1 };
	struct job j = { JOB_DELIVER, SPAN("smtp"), SPAN("example.com"), &jm, 1 }, got;
	struct arena a = ARENA_INIT;
	struct queue_place place = { 7, 8, 9 };
	bool has;
	struct buf b;

	(void)state;
	memcpy(jm.id, env.id, sizeof jm.id);
	buf_init(&b, 65536);
	assert_true(job_put_job(&b, &j));
	assert_true(job_get_job(buf_span(&b), &a, &got));
	assert_true(span_is(got.messages[0].rcpts[0].address, "a@b"));
	assert_true(got.messages[0].last && got.messages[0].kept && !got.messages[0].again);
	for (size_t len = 0; len < b.len; len++)
		assert_false(job_get_job(span_of(b.ptr, len), &a, &got));
	assert_true(job_put_new(&b, &env, &place));
	assert_true(job_get_new(buf_span(&b), &a, &env, &place, &has));
	assert_true(has && env.nrcpts == 2 && place.offset == 8);
	for (size_t len = 0; len < b.len; len++)
		assert_false(job_get_new(span_of(b.ptr, len), &a, &env, &place, &has));
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_unique_valid_and_carry_their_time),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(the_journal_is_replayed),
		cmocka_unit_test(a_torn_journal_is_repaired),
		cmocka_unit_test(any_damage_is_noticed),
		cmocka_unit_test(abort_leaves_nothing_and_the_scan_finds_the_rest),
		cmocka_unit_test(the_log_takes_many_threads_and_is_used_again),
		cmocka_unit_test(a_deferred_message_moves_out_of_the_log),
		cmocka_unit_test(the_log_of_a_dead_process_is_read),
		cmocka_unit_test(a_damaged_segment_gives_what_is_whole),
		cmocka_unit_test(a_late_mark_hits_nothing),
		cmocka_unit_test(a_segment_that_is_cut_costs_what_was_cut_off),
		cmocka_unit_test(space_of_a_rush_is_given_back),
		cmocka_unit_test(frames_round_trip_and_refuse_every_truncation),
	};

	return cmocka_run_group_tests(tests, enter_dir, leave_dir);
}
