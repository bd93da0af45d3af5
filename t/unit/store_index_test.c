/* SPDX-License-Identifier: BSD-2-Clause */
/* The index is disposable: whatever happens to its files, the mailbox is what it is. Each test over mbox and over Maildir. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/cache.h"
#include "lib/store/index-file.h"
#include "lib/store/index.h"

enum { LETTERS = 5 };

static const char *kind;
static char home[128];
static struct arena arena;
static struct user user;
static struct store *store;
static uint32_t validity, uids[LETTERS];

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", home, name);
}

static bool is_mbox(void)
{
	return strcmp(kind, "mbox") == 0;
}

static const char *index_path(const char *name)
{
	return at(arena_printf(&arena, "%s/%s", is_mbox() ? "mail/.imap/INBOX" : "Maildir", name));
}

static void open_store(const char *location)
{
	const char *why;

	assert_int_equal(store_open(&arena, &user, location, &store, &why), STORE_OK);
}

static const char *location(void)
{
	return is_mbox() ? "mbox:~/mail:INBOX=~/spool" : "maildir:~/Maildir";
}

static struct span text_of(unsigned i)
{
	return span_cstr(arena_printf(&arena, "Subject: letter %u\n\nThis is letter %u.\n", i, i));
}

static void append_letters(void)
{
	struct store_append *ap;
	uint32_t *got;
	size_t n;

	assert_int_equal(store_append_begin(store, SPAN("INBOX"), &ap), STORE_OK);
	for (unsigned i = 0; i < LETTERS; i++) {
		assert_int_equal(store_append_message(ap, i == 2 ? STORE_FLAGGED : 0, (struct span[]){ SPAN("work") }, i == 3, 1000000000 + i, 0),
				 STORE_OK);
		assert_int_equal(store_append_write(ap, text_of(i)), STORE_OK);
	}
	assert_int_equal(store_append_commit(ap, &arena, &validity, &got, &n), STORE_OK);
	memcpy(uids, got, sizeof uids);
}

/* As a new process does it. */
static struct mailbox *select_anew(void)
{
	struct mailbox *mb = NULL;

	folder_forget(store, SPAN("INBOX"));
	assert_int_equal(store_select(store, SPAN("INBOX"), false, &mb), STORE_OK);
	return mb;
}

static struct store_item item_of(unsigned i)
{
	return (struct store_item){ SPAN("E"), span_cstr(arena_printf(&arena, "envelope of letter %u", i)) };
}

static void put_items(struct mailbox *mb)
{
	for (unsigned i = 0; i < LETTERS; i++) {
		struct store_item item = item_of(i);

		mailbox_items_put(mb, i + 1, &item, 1);
	}
}

static int setup_kind(void **state, const char *k)
{
	struct mailbox *mb;

	(void)state;
	kind = k;
	snprintf(home, sizeof home, "/tmp/index-XXXXXX");
	if (mkdtemp(home) == NULL)
		return 1;
	user = (struct user){ .name = SPAN("alice"), .home = home };
	open_store(location());
	append_letters();
	mb = select_anew();
	put_items(mb);
	mailbox_close(mb);
	mb = select_anew(); /* nothing is recent any more */
	mailbox_close(mb);
	return 0;
}

static int setup_mbox(void **state)
{
	return setup_kind(state, "mbox");
}

static int setup_maildir(void **state)
{
	return setup_kind(state, "maildir");
}

static int teardown(void **state)
{
	char cmd[200];

	(void)state;
	folder_forget(store, SPAN("INBOX"));
	store_close(store);
	arena_free(&arena);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
	return system(cmd);
}

/* Everything is as it was; what was kept about a message is there and right, or not there. How many are there. */
static unsigned check_mailbox(struct mailbox *mb)
{
	unsigned known = 0;

	assert_int_equal(mailbox_uidvalidity(mb), validity);
	assert_int_equal(mailbox_uidnext(mb), uids[LETTERS - 1] + 1);
	assert_int_equal(mailbox_count(mb), LETTERS);
	for (unsigned i = 0; i < LETTERS; i++) {
		const struct store_msg *m = mailbox_msg(mb, i + 1);
		struct store_item item = item_of(i), got = { .name = SPAN("E") };
		struct store_view v;

		assert_int_equal(m->uid, uids[i]);
		assert_int_equal(m->flags & ~(uint32_t)STORE_RECENT, i == 2 ? STORE_FLAGGED : 0);
		assert_true((m->keywords != 0) == (i == 3));
		assert_true(m->keywords == 0 || strcmp(mailbox_keyword(mb, 0), "work") == 0);
		assert_int_equal(m->internal_date, 1000000000 + i);
		assert_int_equal(mailbox_view(mb, i + 1, &v), STORE_OK);
		assert_true(span_eq(v.raw, text_of(i)));
		store_view_done(&v);
		if (!mailbox_items(mb, i + 1, &got, 1, &arena))
			continue;
		assert_true(span_eq(got.value, item.value));
		known++;
	}
	return known;
}

static unsigned check_anew(void)
{
	struct mailbox *mb = select_anew();
	unsigned known = check_mailbox(mb);

	mailbox_close(mb);
	return known;
}

static struct span slurp(const char *path)
{
	char *text = arena_alloc(&arena, 1 << 16);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, 1 << 16) : -1;

	assert_true(n > 0);
	close(fd);
	return span_of(text, (size_t)n);
}

static void write_to(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
	close(fd);
}

static void test_is_used(void **state)
{
	struct mailbox *mb;
	uint64_t modseq;

	(void)state;
	assert_int_equal(check_anew(), LETTERS);
	mb = select_anew();
	modseq = mailbox_msg(mb, 1)->modseq;
	assert_true(modseq > 0);
	mailbox_close(mb);
	mb = select_anew();
	assert_int_equal(mailbox_msg(mb, 1)->modseq, modseq);
	mailbox_close(mb);
}

static void test_without(void **state)
{
	(void)state;
	unlink(index_path(INDEX_FILE));
	assert_int_equal(check_anew(), 0);
	unlink(index_path(CACHE_FILE));
	assert_int_equal(check_anew(), 0);
}

/* Each octet changed, each length: of the index and of the cache. */
static void damage(const char *name)
{
	const char *path = index_path(name), *index = index_path(INDEX_FILE), *cache = index_path(CACHE_FILE);
	struct span was = slurp(path), index_was = slurp(index), cache_was = slurp(cache);
	char *text = malloc(was.len);

	for (size_t i = 0; i < was.len; i++) {
		struct arena keep = arena;

		arena = ARENA_INIT;
		memcpy(text, was.ptr, was.len);
		text[i] = (char)(text[i] ^ (i % 3 ? 1 << i % 8 : 0xff));
		write_to(index, index_was);
		write_to(cache, cache_was);
		write_to(path, span_of(text, was.len));
		check_anew();
		write_to(index, index_was);
		write_to(cache, cache_was);
		write_to(path, span_of(was.ptr, i));
		check_anew();
		arena_free(&arena);
		arena = keep;
	}
	free(text);
	write_to(index, index_was);
	write_to(cache, cache_was);
	assert_int_equal(check_anew(), LETTERS);
}

static void test_damaged_index(void **state)
{
	(void)state;
	damage(INDEX_FILE);
}

static void test_damaged_cache(void **state)
{
	(void)state;
	damage(CACHE_FILE);
}

/* While it is open. */
static void test_cut_in_use(void **state)
{
	struct mailbox *mb = select_anew();

	(void)state;
	assert_int_equal(truncate(index_path(CACHE_FILE), 40), 0);
	assert_int_equal(truncate(index_path(INDEX_FILE), 20), 0);
	assert_int_equal(check_mailbox(mb), 0);
	put_items(mb);
	assert_int_equal(check_mailbox(mb), LETTERS);
	mailbox_close(mb);
	check_anew();
	mb = select_anew();
	put_items(mb);
	mailbox_close(mb);
	assert_int_equal(check_anew(), LETTERS);
}

/* An index that is older than the mailbox, as after a crash. */
static void test_behind(void **state)
{
	struct span index_was = slurp(index_path(INDEX_FILE));
	struct mailbox *mb;
	uint64_t first, second;

	(void)state;
	mb = select_anew();
	assert_int_equal(mailbox_flag(mb, 2, STORE_FLAGS_ADD, STORE_SEEN, 0), STORE_OK);
	first = mailbox_msg(mb, 1)->modseq;
	second = mailbox_msg(mb, 2)->modseq;
	mailbox_close(mb);
	write_to(index_path(INDEX_FILE), index_was);
	mb = select_anew();
	assert_int_equal(mailbox_msg(mb, 1)->modseq, first);
	assert_int_equal(mailbox_msg(mb, 2)->flags, STORE_SEEN);
	assert_true(mailbox_msg(mb, 2)->modseq > second);
	assert_int_equal(mailbox_flag(mb, 2, STORE_FLAGS_DEL, STORE_SEEN, 0), STORE_OK);
	mailbox_close(mb);
	assert_int_equal(check_anew(), LETTERS);
}

/* Another user's index, with the same UIDs and the same UIDVALIDITY. */
static void test_of_another(void **state)
{
	struct span index = slurp(index_path(INDEX_FILE)), cache = slurp(index_path(CACHE_FILE));
	struct mailbox *mb;
	struct span text;

	(void)state;
	if (is_mbox()) { /* the same mail in another file */
		text = slurp(at("spool"));
		unlink(at("spool"));
		write_to(at("hold"), SPAN("x")); /* so that the inode is another one */
		write_to(at("spool"), text);
	} else {
		assert_int_equal(system(arena_printf(&arena, "cd '%s' && cp -a Maildir other && rm -rf Maildir && mv other Maildir", home)), 0);
	}
	write_to(index_path(INDEX_FILE), index);
	write_to(index_path(CACHE_FILE), cache);
	mb = select_anew();
	assert_int_equal(check_mailbox(mb), 0);
	mailbox_close(mb);
}

static bool is_second(uint32_t seq, const struct store_msg *m, void *arg)
{
	(void)m;
	(void)arg;
	return seq % 2 == 0;
}

static void test_expunge_and_append(void **state)
{
	struct mailbox *mb = select_anew();
	uint32_t old = uids[LETTERS - 1], count = 0;

	(void)state;
	assert_int_equal(mailbox_expunge(mb, is_second, NULL, NULL), STORE_OK);
	mailbox_close(mb);
	for (int round = 0; round < 60; round++) { /* appended to, and written anew now and then */
		append_letters();
		mb = select_anew();
		put_items(mb);
		count = mailbox_count(mb);
		mailbox_close(mb);
	}
	assert_int_equal(count, 3 + 60 * LETTERS);
	mb = select_anew();
	assert_int_equal(mailbox_msg(mb, 3)->uid, old);
	assert_int_equal(mailbox_msg(mb, count)->uid, uids[LETTERS - 1]);
	mailbox_close(mb);
}

static void remove_index(void)
{
	unlink(index_path(INDEX_FILE));
	unlink(index_path(CACHE_FILE));
}

/* No room: the mailbox is as good as ever, and half an index is none. */
static void test_full(void **state)
{
	struct rlimit was, limit;
	struct stat st;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	signal(SIGXFSZ, SIG_IGN);
	for (rlim_t size = 0; size < 2000; size += 61) {
		struct mailbox *mb;

		remove_index();
		mb = select_anew();
		put_items(mb);
		limit = (struct rlimit){ size, was.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		mailbox_close(mb);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
		check_anew();
	}
	remove_index();
	check_anew();
	assert_int_equal(stat(index_path(INDEX_FILE), &st), 0); /* the next process writes it again */
}

/* Where no index can be kept. */
static void test_no_directory(void **state)
{
	struct mailbox *mb;

	(void)state;
	remove_index();
	write_to(at("plain"), SPAN("a file"));
	folder_forget(store, SPAN("INBOX"));
	store_close(store);
	open_store(arena_printf(&arena, "%s:INDEX=~/plain/x%s", location(), is_mbox() ? ":CONTROL=~/mail" : ""));
	mb = select_anew();
	put_items(mb);
	check_mailbox(mb);
	mailbox_close(mb);
	assert_int_equal(check_anew(), 0);
	assert_true(span_is(slurp(at("plain")), "a file"));
}

/* Two processes of one user, each with the mailbox open, change it in turn and at once. */
static void test_two_processes(void **state)
{
	enum { ROUNDS = 40 };
	struct mailbox *mb;
	pid_t child;
	int status;

	(void)state;
	folder_forget(store, SPAN("INBOX"));
	child = fork();
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t seq;

		assert_int_equal(store_select(store, SPAN("INBOX"), false, &mb), STORE_OK);
		put_items(mb);
		seq = (uint32_t)(child == 0 ? 1 : 2);
		assert_int_equal(mailbox_flag(mb, seq, i % 2 ? STORE_FLAGS_DEL : STORE_FLAGS_ADD, STORE_SEEN, 0), STORE_OK);
		if (i % 10 == 0)
			append_letters();
		assert_int_equal(mailbox_flush(mb), STORE_OK);
		mailbox_close(mb);
		if (i % 4 == 0)
			folder_forget(store, SPAN("INBOX"));
	}
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	mb = select_anew();
	assert_int_equal(mailbox_count(mb), LETTERS + 2 * ROUNDS / 10 * LETTERS);
	for (uint32_t i = 0; i < LETTERS; i++) {
		struct store_item item = item_of(i), got = { .name = SPAN("E") };

		assert_int_equal(mailbox_msg(mb, i + 1)->uid, i + 1);
		assert_int_equal(mailbox_msg(mb, i + 1)->flags & ~(uint32_t)STORE_RECENT, i == 2 ? STORE_FLAGGED : 0);
		if (mailbox_items(mb, i + 1, &got, 1, &arena))
			assert_true(span_eq(got.value, item.value));
	}
	mailbox_close(mb);
}

/* Found where INDEX= says, or nowhere. */
static void test_elsewhere(void **state)
{
	struct mailbox *mb;
	struct stat st;

	(void)state;
	remove_index();
	folder_forget(store, SPAN("INBOX"));
	store_close(store);
	open_store(arena_printf(&arena, "%s:INDEX=MEMORY%s", location(), is_mbox() ? ":CONTROL=~/mail" : ""));
	mb = select_anew();
	mailbox_close(mb);
	assert_int_equal(stat(index_path(INDEX_FILE), &st), -1);
	folder_forget(store, SPAN("INBOX"));
	store_close(store);
	open_store(arena_printf(&arena, "%s:INDEX=~/there%s", location(), is_mbox() ? ":CONTROL=~/mail" : ""));
	mb = select_anew();
	put_items(mb);
	mailbox_close(mb);
	assert_int_equal(stat(at(is_mbox() ? "there/.imap/INBOX/posthouse-index" : "there/.INBOX/posthouse-index"), &st), 0);
	assert_int_equal(check_anew(), LETTERS);
}

#define BOTH(t) cmocka_unit_test_setup_teardown(t, setup_mbox, teardown), cmocka_unit_test_setup_teardown(t, setup_maildir, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_is_used),     BOTH(test_without),    BOTH(test_damaged_index),      BOTH(test_damaged_cache), BOTH(test_cut_in_use),
		BOTH(test_behind),      BOTH(test_of_another), BOTH(test_expunge_and_append), BOTH(test_elsewhere),
		BOTH(test_full),        BOTH(test_no_directory), BOTH(test_two_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
