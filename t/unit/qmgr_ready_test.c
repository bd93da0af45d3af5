/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who yields to whom: the lines of qmgr/ready.c and the two of a destination; how many agents a destination gets, and how a site is
 * probed. With a clock and messages of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "qmgr/qmgr.h"

enum { MESSAGES_MAX = 1000 };

static struct conf settings;
static int64_t now_ms = 1000000;
static struct message *awake[MESSAGES_MAX];
static size_t nawake;

struct loop *qmgr_loop;

/* --- what ready.c and dest.c are told by others ----------------------------------------------------------------------- */

int64_t clock_mono_ms(void)
{
	return now_ms;
}

int64_t clock_wall_us(void)
{
	return now_ms * 1000;
}

time_t clock_wall(void)
{
	return now_ms / 1000;
}

int64_t clock_deadline(int64_t from_now_ms)
{
	return now_ms + from_now_ms;
}

size_t message_awake_count(void)
{
	return nawake;
}

size_t message_old_count(void)
{
	size_t n = 0;

	for (size_t i = 0; i < nawake; i++)
		n += awake[i]->line != READY_NEW;
	return n;
}

void message_wake(struct message *m)
{
	assert_true(nawake < MESSAGES_MAX);
	awake[nawake++] = m;
}

static size_t released, probes;

void message_wake_now(struct message *m, bool flush)
{
	(void)flush;
	released += m->released;
}

void message_notice_failed(struct message *m)
{
	(void)m;
}

void message_verdict(struct message *m, uint32_t rcpt, struct verdict v)
{
	(void)m;
	(void)rcpt;
	(void)v;
}

void message_task_done(struct task *t)
{
	(void)t;
}

void transport_run(struct transport *t)
{
	(void)t;
}

void transport_probe(struct transport *t, struct dest *d)
{
	(void)t;
	(void)d;
	probes++;
}

/* --- helpers ---------------------------------------------------------------------------------------------------------- */

static size_t in_line(enum ready_line line)
{
	size_t n = 0;

	for (size_t i = 0; i < nawake; i++)
		n += awake[i]->line == line;
	return n;
}

static void stand_in_line(struct message *m, size_t n, enum ready_line line)
{
	for (size_t i = 0; i < n; i++)
		ready_add(&m[i], line);
}

static void pump(void)
{
	while (ready_pump())
		;
}

/* New mail at this rate for a second; how many that yield were taken up meanwhile. */
static size_t retries_beside(unsigned new_a_second)
{
	size_t before = nawake;

	for (int i = 0; i < 10; i++) {
		now_ms += 100;
		for (unsigned n = 0; n < new_a_second / 10; n++)
			ready_count_new();
		pump();
	}
	return nawake - before;
}

static struct message *fresh_start(void)
{
	now_ms += 10000;
	nawake = 0;
	return mem_zalloc(MESSAGES_MAX * sizeof(struct message));
}

static void leave(struct message *m)
{
	for (size_t i = 0; i < MESSAGES_MAX; i++)
		list_remove(&m[i].in_ready);
	free(m);
}

/* --- tests ------------------------------------------------------------------------------------------------------------ */

static void retries_yield_to_new_mail_by_rate(void **state)
{
	static const struct {
		unsigned new_a_second;
		size_t retries; /* in ten windows of a tenth of a second */
	} table[] = {
		{ 0, 500 },    /* as many as there are places for */
		{ 100, 500 },  /* qmgr_retry_yield_rate */
		{ 200, 200 },  /* qmgr_retry_total_rate - new */
		{ 380, 40 },   /* qmgr_retry_minimum_rate is more than what is left of that, and than five percent */
		{ 1000, 50 },  /* five percent */
		{ 4000, 200 }, /* five percent */
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct message *m = fresh_start();

		stand_in_line(m, MESSAGES_MAX, READY_PATIENT);
		assert_int_equal(retries_beside(table[i].new_a_second), table[i].retries);
		leave(m);
	}
}

static void a_site_that_is_back_does_not_yield(void **state)
{
	struct message *m = fresh_start();

	(void)state;
	stand_in_line(m, 400, READY_PROMPT);
	assert_int_equal(retries_beside(4000), 400);
	leave(m);
}

static void what_is_not_new_leaves_half_of_the_places(void **state)
{
	struct message *m = fresh_start();

	(void)state;
	stand_in_line(m, 600, READY_PROMPT);
	stand_in_line(m + 600, 400, READY_PATIENT);
	pump();
	assert_int_equal(nawake, 500);
	assert_true(in_line(READY_PATIENT) > 0); /* a site that is back is not everything */
	assert_true(ready_place_for_new());
	leave(m);
}

static void new_mail_leaves_a_share_of_the_places(void **state)
{
	struct message *m = fresh_start();

	(void)state;
	stand_in_line(m, MESSAGES_MAX, READY_NEW);
	pump();
	assert_int_equal(nawake, 1000); /* all of them, while nothing else waits */
	assert_false(ready_place_for_new());
	leave(m);

	m = fresh_start();
	stand_in_line(m, 980, READY_NEW);
	stand_in_line(m + 980, 20, READY_PATIENT);
	pump();
	assert_int_equal(in_line(READY_PATIENT), 20);
	leave(m);
}

/* However much new mail stands in line, retries go on: 5 in 105 places. */
static void retries_do_not_starve_behind_new_mail(void **state)
{
	struct message *m = fresh_start(), *more = fresh_start();
	size_t retries = 0;

	(void)state;
	stand_in_line(m, MESSAGES_MAX, READY_PATIENT);
	stand_in_line(more, MESSAGES_MAX, READY_NEW);
	settings.qmgr_message_active_limit = 100;
	for (int i = 0; i < 5; i++) {
		pump();
		assert_true(nawake >= 100);
		assert_true(in_line(READY_PATIENT) >= 4 && in_line(READY_PATIENT) <= 6);
		nawake = 0;
	}
	settings.qmgr_message_active_limit = 1;
	for (int i = 0; i < 105; i++) {
		pump();
		assert_int_equal(nawake, 1);
		retries += in_line(READY_PATIENT);
		nawake = 0;
	}
	assert_int_equal(retries, 5);
	settings.qmgr_message_active_limit = 1000;
	leave(m);
	leave(more);
}

static void one_destination_serves_both_lines(void **state)
{
	static struct transport t = { .name = "smtp", .initial = 5, .dest_limit = 20, .batch = 1 };
	struct message *m = fresh_start(), *retry = &m[0], *new = &m[1];
	struct task *tasks = mem_zalloc(400 * sizeof *tasks), *taken;
	struct dest *d;
	unsigned retries = 0;

	(void)state;
	list_init(&t.ready);
	d = dest_get(&t, SPAN("site"), SPAN("site"));
	retry->line = READY_PATIENT;
	for (unsigned i = 0; i < 400; i++) {
		tasks[i] = (struct task){ .message = i < 200 ? retry : new, .kind = JOB_DELIVER };
		dest_add_task(d, &tasks[i]);
	}
	for (int i = 0; i < 105; i++) {
		taken = dest_take_task(d);
		assert_non_null(taken);
		retries += taken->message == retry;
	}
	assert_int_equal(retries, 5);
	/* While much new mail comes, they have their allowance in a window besides; then the new ones go on alone. */
	for (int i = 0; i < 400; i++)
		ready_count_new();
	while ((taken = dest_take_task(d)) != NULL)
		retries += taken->message == retry;
	assert_int_equal(retries, 20); /* five percent of 400 */
	assert_false(dest_has_turn(d));
	now_ms += 300;
	assert_true(dest_has_turn(d));
	dest_take_task(d);
	free(tasks);
	leave(m);
}

static void a_destination_gets_more_agents_with_each_success(void **state)
{
	static struct transport t = { .name = "smtp", .initial = 5, .dest_limit = 20, .batch = 1 };
	struct dest *d = dest_get(&t, SPAN("window"), SPAN("window"));

	(void)state;
	list_init(&t.ready);
	assert_int_equal(d->window, 5);
	for (unsigned i = 6; i < 40; i++) {
		dest_succeeded(d);
		assert_int_equal(d->window, i < 20 ? i : 20);
	}
	dest_failed(d, SPAN("connection refused"));
	assert_int_equal(d->window, 5);
	assert_int_equal(d->state, DEST_DOWN);
	dest_probe_result(d, true, SPAN_NONE); /* nobody waits: it is tried by the next letter */
	assert_int_equal(d->state, DEST_UP);
}

static int64_t pause_after_probe_in_vain(struct dest *d)
{
	now_ms = d->probe.at_ms;
	d->probe.fire(&d->probe);
	dest_probe_now(d); /* somebody flushes the site meanwhile: no second one */
	assert_true(d->probing);
	dest_probe_result(d, true, SPAN("connection refused"));
	return d->probe.at_ms - now_ms;
}

static void one_probe_at_a_time_and_all_go_when_it_is_back(void **state)
{
	static struct transport t = { .name = "smtp", .initial = 5, .dest_limit = 20, .batch = 1 };
	struct message *m = fresh_start();
	struct dest *d = dest_get(&t, SPAN("dead"), SPAN("dead"));
	int64_t longest = 0, begun = now_ms, pause;

	(void)state;
	list_init(&t.ready);
	for (size_t i = 0; i < MESSAGES_MAX; i++) {
		list_init(&m[i].waits);
		dest_wait(d, &m[i]);
	}
	dest_failed(d, SPAN("connection refused"));
	probes = 0;
	for (size_t i = 1; now_ms - begun < 24 * 3600 * 1000; i++) {
		pause = pause_after_probe_in_vain(d);
		assert_int_equal(probes, i);
		longest = pause > longest ? pause : longest;
	}
	assert_in_range(longest, 6000, 8000); /* a crowd waits: who is back is found within ten seconds */
	released = 0;
	now_ms = d->probe.at_ms;
	d->probe.fire(&d->probe);
	dest_probe_result(d, false, SPAN_NONE);
	assert_int_equal(d->state, DEST_UP);
	assert_int_equal(released, MESSAGES_MAX);

	/* One letter alone: after a day a probe a minute is enough. */
	begun = now_ms;
	longest = 0;
	dest_failed(d, SPAN("connection refused"));
	dest_wait(d, &m[0]);
	while (now_ms - begun < 24 * 3600 * 1000) {
		pause = pause_after_probe_in_vain(d);
		assert_true(now_ms - begun > 240 * 1000 || pause < 10 * 1000);
		longest = pause > longest ? pause : longest;
	}
	assert_in_range(longest, 52 * 1000, 68 * 1000);
	dest_probe_result(d, false, SPAN_NONE);
	leave(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retries_yield_to_new_mail_by_rate),
		cmocka_unit_test(a_site_that_is_back_does_not_yield),
		cmocka_unit_test(what_is_not_new_leaves_half_of_the_places),
		cmocka_unit_test(new_mail_leaves_a_share_of_the_places),
		cmocka_unit_test(retries_do_not_starve_behind_new_mail),
		cmocka_unit_test(one_destination_serves_both_lines),
		cmocka_unit_test(a_destination_gets_more_agents_with_each_success),
		cmocka_unit_test(one_probe_at_a_time_and_all_go_when_it_is_back),
	};

	settings = (struct conf){ .qmgr_message_active_limit = 1000, .qmgr_retry_yield_rate = 100, .qmgr_retry_yield_percent = 5,
				  .qmgr_retry_total_rate = 400, .qmgr_retry_minimum_rate = 40, .site_crowd_limit = 100, .site_probe_time_ms = 2000,
				  .crowded_site_probe_time_ms = 7000, .maximal_site_probe_time_ms = 60000 };
	conf = &settings;
	qmgr_loop = loop_new();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
