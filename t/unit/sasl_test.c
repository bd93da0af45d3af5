/* SPDX-License-Identifier: BSD-2-Clause */
/* SASL: the exchanges of each mechanism, the arithmetic of SCRAM against the examples of its RFCs, stored digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/sasl_scram.h"
#include "lib/proto/saslprep.h"

static struct arena arena;

static const struct sasl_setup setup = { .nonce = { "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", 30 }, .host = { "mail.test", 9 } };

static struct span decoded(const char *text)
{
	struct span s;
	struct buf b;

	buf_init(&b, 4096);
	assert_true(base64_decode(&b, span_cstr(text)));
	s = arena_span(&arena, buf_span(&b));
	buf_free(&b);
	return s;
}

static void test_names(void **state)
{
	struct span unknown;

	(void)state;
	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		assert_int_equal(sasl_mech_find(span_cstr(sasl_mech_str(m))), m);
	assert_int_equal(sasl_mech_find(SPAN("scram-sha-256-plus")), SASL_SCRAM_SHA_256_PLUS);
	assert_int_equal(sasl_mech_find(SPAN("")), SASL_NO_MECHANISM);
	assert_int_equal(sasl_mech_find(SPAN("DIGEST-MD5")), SASL_NO_MECHANISM);
	assert_int_equal(sasl_mechs_parse(SPAN("plain, LOGIN"), &unknown), SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_LOGIN));
	assert_int_equal(unknown.len, 0);
	assert_int_equal(sasl_mechs_parse(SPAN("plain ntlm"), &unknown), SASL_BIT(SASL_PLAIN));
	assert_true(span_is(unknown, "ntlm"));
}

static void test_simple(void **state)
{
	static const struct {
		enum sasl_mech mech;
		struct span initial;
		enum sasl_step step;
		const char *user, *password;
	} cases[] = {
		{ SASL_PLAIN, SPAN("\0alice\0pw"), SASL_VERIFY, "alice", "pw" },
		{ SASL_PLAIN, SPAN("alice\0alice\0pw"), SASL_VERIFY, "alice", "pw" },
		{ SASL_PLAIN, SPAN("bob\0alice\0pw"), SASL_FORBIDDEN, "alice", "pw" },
		{ SASL_PLAIN, SPAN(""), SASL_MALFORMED, NULL, NULL },
		{ SASL_PLAIN, SPAN("\0alice"), SASL_MALFORMED, NULL, NULL },
		{ SASL_PLAIN, { NULL, 0 }, SASL_CHALLENGE, NULL, NULL },
		{ SASL_LOGIN, { NULL, 0 }, SASL_CHALLENGE, NULL, NULL },
		{ SASL_LOGIN, SPAN(""), SASL_MALFORMED, NULL, NULL },
		{ SASL_CRAM_MD5, SPAN("x"), SASL_MALFORMED, NULL, NULL },
		{ SASL_XOAUTH2, SPAN("user=a@b\1auth=Bearer tok\1\1"), SASL_VERIFY, "a@b", "tok" },
		{ SASL_XOAUTH2, SPAN("user=a@b\1\1"), SASL_MALFORMED, NULL, NULL },
		{ SASL_OAUTHBEARER, SPAN("n,a=a@b,\1host=x\1port=1\1auth=Bearer tok\1\1"), SASL_VERIFY, "a@b", "tok" },
		{ SASL_OAUTHBEARER, SPAN("n,,\1auth=Bearer tok\1\1"), SASL_MALFORMED, NULL, NULL },
		{ SASL_OAUTHBEARER, SPAN("p=x,a=a,\1auth=Bearer tok\1\1"), SASL_MALFORMED, NULL, NULL },
	};
	struct sasl_server s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(sasl_server_begin(&s, &arena, cases[i].mech, &setup, cases[i].initial), cases[i].step);
		if (cases[i].user) {
			assert_true(span_is(s.user, cases[i].user));
			assert_true(span_is(s.password, cases[i].password));
		}
	}
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_LOGIN, &setup, SPAN_NONE), SASL_CHALLENGE);
	assert_true(span_is(s.challenge, "Username:"));
	assert_int_equal(sasl_server_step(&s, SPAN("alice")), SASL_CHALLENGE);
	assert_true(span_is(s.challenge, "Password:"));
	assert_int_equal(sasl_server_step(&s, SPAN("pw")), SASL_VERIFY);
	assert_true(span_is(s.user, "alice") && span_is(s.password, "pw"));
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_CRAM_MD5, &setup, SPAN_NONE), SASL_CHALLENGE);
	assert_true(span_starts(s.challenge, "<") && span_ends(s.challenge, "@mail.test>"));
	assert_int_equal(sasl_server_step(&s, SPAN("a b 0123456789abcdef0123456789abcdef")), SASL_VERIFY);
	assert_true(span_is(s.user, "a b") && s.password.len == 32 && span_eq(s.message, s.challenge));
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_PLAIN, &setup, span_of(arena_alloc(&arena, SASL_MESSAGE_MAX + 1), SASL_MESSAGE_MAX + 1)),
			 SASL_MALFORMED);
}

/* The example of RFC 7677 section 3. */
static void test_scram(void **state)
{
	struct span salt = decoded("W22ZaJ0SNY7soEsUEjb6gQ==");
	char signature[SCRAM_KEY_MAX];
	struct scram_secret secret, again;
	struct sasl_server s;
	struct buf b;

	(void)state;
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_SCRAM_SHA_256, &setup, SPAN("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")), SASL_PARAMETERS);
	assert_true(span_is(s.user, "user"));
	assert_int_equal(sasl_server_parameters(&s, salt, 4096), SASL_CHALLENGE);
	assert_true(span_is(s.challenge, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
	assert_int_equal(sasl_server_step(&s, SPAN("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
						   "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
			 SASL_VERIFY);
	scram_secret_make(&secret, SCRAM_SHA_256, SPAN("pencil"), salt, 4096);
	assert_true(scram_verify(&secret, s.message, s.password, signature));
	assert_int_equal(sasl_server_verified(&s, span_of(signature, 32)), SASL_CHALLENGE);
	assert_true(span_is(s.challenge, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
	assert_int_equal(sasl_server_step(&s, SPAN("")), SASL_ACCEPTED);
	assert_false(scram_verify(&secret, s.message, span_head(s.password, 31), signature));
	assert_false(scram_verify(&secret, SPAN("x"), s.password, signature));
	scram_secret_make(&again, SCRAM_SHA_256, SPAN("Pencil"), salt, 4096);
	assert_false(scram_verify(&again, s.message, s.password, signature));
	buf_init(&b, 1000);
	scram_secret_print(&b, &secret);
	assert_true(scram_secret_parse(&again, SCRAM_SHA_256, buf_span(&b)));
	assert_memory_equal(&secret, &again, sizeof secret);
	for (size_t n = 0; n < b.len; n++)
		assert_false(scram_secret_parse(&again, SCRAM_SHA_256, span_head(buf_span(&b), n)));
	assert_false(scram_secret_parse(&again, SCRAM_SHA_1, buf_span(&b)));
	buf_free(&b);
}

/* The example of RFC 5802 section 5. */
static void test_scram_sha1(void **state)
{
	struct sasl_setup other = { .nonce = SPAN("3rfcNHYJY1ZVvWVs7j") };
	struct span salt = decoded("QSXCR+Q6sek8bf92");
	char signature[SCRAM_KEY_MAX];
	struct scram_secret secret;
	struct sasl_server s;

	(void)state;
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_SCRAM_SHA_1, &other, SPAN("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")), SASL_PARAMETERS);
	assert_int_equal(sasl_server_parameters(&s, salt, 4096), SASL_CHALLENGE);
	assert_int_equal(sasl_server_step(&s, SPAN("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")),
			 SASL_VERIFY);
	scram_secret_make(&secret, SCRAM_SHA_1, SPAN("pencil"), salt, 4096);
	assert_true(scram_verify(&secret, s.message, s.password, signature));
	(void)sasl_server_verified(&s, span_of(signature, 20));
	assert_true(span_is(s.challenge, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="));
}

/* RFC 4013 section 3, and what is not in it. */
static void test_prep(void **state)
{
	static const struct {
		const char *text, *prepared; /* NULL: cannot be */
	} table[] = {
		{ "I\xc2\xadX", "IX" }, { "user", "user" }, { "USER", "USER" }, { "\xc2\xaa", "a" }, { "\xe2\x85\xa8", "IX" },
		{ "\7", NULL }, { "\xd8\xa7\x31", NULL },
		{ "a b", "a b" }, { "a\xc2\xa0" "b", "a b" }, { "pa\xcc\x88ss", "p\xc3\xa4ss" }, { "p\xc3\xa4ss", "p\xc3\xa4ss" },
		{ "", NULL }, { "\xc2\xad", NULL }, { "\xff", NULL }, { "\xc3", NULL }, { "x\x7f", NULL }, { "\xed\xa0\x80", NULL },
		{ "\xf4\x90\x80\x80", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct buf b;

		buf_init(&b, 100);
		assert_int_equal(saslprep(&b, span_cstr(table[i].text)), table[i].prepared != NULL);
		assert_true(span_is(buf_span(&b), table[i].prepared ? table[i].prepared : ""));
		buf_free(&b);
	}
}

/* Typed in one way, stored in another; a name with a soft hyphen. */
static void test_scram_prepared(void **state)
{
	struct scram_secret one, two;
	struct sasl_server s;

	(void)state;
	scram_secret_make(&one, SCRAM_SHA_256, SPAN("p\xc3\xa4ss"), SPAN("salt"), 4096);
	scram_secret_make(&two, SCRAM_SHA_256, SPAN("pa\xcc\x88s\xc2\xads"), SPAN("salt"), 4096);
	assert_memory_equal(&one, &two, sizeof one);
	scram_secret_make(&one, SCRAM_SHA_256, SPAN("p\xe4ss"), SPAN("salt"), 4096); /* not UTF-8: as it is */
	scram_secret_make(&two, SCRAM_SHA_256, SPAN("p\xe5ss"), SPAN("salt"), 4096);
	assert_memory_not_equal(&one, &two, sizeof one);
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_SCRAM_SHA_1, &setup, SPAN("n,a=us\xc2\xad" "er,n=use\xc2\xadr,r=abc")), SASL_PARAMETERS);
	assert_true(span_is(s.user, "user"));
}

static void test_scram_first(void **state)
{
	static const struct sasl_binding bound[] = { { SPAN("tls-exporter"), SPAN("0123") } };
	struct sasl_setup plus = { .nonce = SPAN("n"), .bindings = bound, .nbindings = 1, .plus_offered = true };
	static const struct {
		const char *text;
		enum sasl_step plain, plus;
	} cases[] = {
		{ "n,,n=u,r=x", SASL_PARAMETERS, SASL_MALFORMED },
		{ "y,,n=u,r=x", SASL_FORBIDDEN, SASL_MALFORMED },
		{ "p=tls-exporter,,n=u,r=x", SASL_MALFORMED, SASL_PARAMETERS },
		{ "p=tls-unique,,n=u,r=x", SASL_MALFORMED, SASL_FORBIDDEN },
		{ "n,a=u,n=u,r=x", SASL_PARAMETERS, SASL_MALFORMED },
		{ "n,a=v,n=u,r=x", SASL_FORBIDDEN, SASL_MALFORMED },
		{ "n,b=v,n=u,r=x", SASL_MALFORMED, SASL_MALFORMED },
		{ "n,,n=u=2Cv=3D,r=x", SASL_PARAMETERS, SASL_MALFORMED },
		{ "n,,n=u=2,r=x", SASL_MALFORMED, SASL_MALFORMED },
		{ "n,,n=,r=x", SASL_MALFORMED, SASL_MALFORMED },
		{ "n,,n=u,r=", SASL_MALFORMED, SASL_MALFORMED },
		{ "n,,n=u,r=x y", SASL_MALFORMED, SASL_MALFORMED },
		{ "n,,m=x,n=u,r=x", SASL_MALFORMED, SASL_MALFORMED },
		{ "n,,n=u", SASL_MALFORMED, SASL_MALFORMED },
		{ "x,,n=u,r=x", SASL_MALFORMED, SASL_MALFORMED },
		{ "", SASL_MALFORMED, SASL_MALFORMED },
	};
	struct sasl_server s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(sasl_server_begin(&s, &arena, SASL_SCRAM_SHA_256, &plus, span_cstr(cases[i].text)), cases[i].plain);
		assert_int_equal(sasl_server_begin(&s, &arena, SASL_SCRAM_SHA_256_PLUS, &plus, span_cstr(cases[i].text)), cases[i].plus);
	}
	/* "cD10bHMtZXhwb3J0ZXIsLDAxMjM=" is "p=tls-exporter,,0123" */
	assert_int_equal(sasl_server_begin(&s, &arena, SASL_SCRAM_SHA_256_PLUS, &plus, SPAN("p=tls-exporter,,n=u,r=x")), SASL_PARAMETERS);
	assert_int_equal(sasl_server_parameters(&s, SPAN("salt"), 1), SASL_CHALLENGE);
	assert_int_equal(sasl_server_step(&s, SPAN("c=cD10bHMtZXhwb3J0ZXIsLDAxMjM=,r=xn,p=AA==")), SASL_VERIFY);
	s.state = 3;
	assert_int_equal(sasl_server_step(&s, SPAN("c=cD10bHMtZXhwb3J0ZXIsLDAxMjQ=,r=xn,p=AA==")), SASL_FORBIDDEN);
	s.state = 3;
	assert_int_equal(sasl_server_step(&s, SPAN("c=cD10bHMtZXhwb3J0ZXIsLDAxMjM=,r=xm,p=AA==")), SASL_FORBIDDEN);
	s.state = 3;
	assert_int_equal(sasl_server_step(&s, SPAN("c=cD10bHMtZXhwb3J0ZXIsLDAxMjM=,r=xn")), SASL_MALFORMED);
	s.state = 3;
	assert_int_equal(sasl_server_step(&s, SPAN("c=cD10bHMtZXhwb3J0ZXIsLDAxMjM=,r=xn,p=A")), SASL_MALFORMED);
}

static void test_digests(void **state)
{
	static const struct {
		const char *field;
		bool good;
		size_t bytes, salt;
	} cases[] = {
		{ "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", true, 20, 0 },
		{ "{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", true, 20, 0 },
		{ "{SHA.HEX}E5E9FA1BA31ECD1AE84F75CAAA474F3A663F05F4", true, 20, 0 },
		{ "{SHA.HEX}E5E9FA1BA31ECD1AE84F75CAAA474F3A663F05F", false, 0, 0 },
		{ "{SHA1.b64}5en6G6MezRroT3XKqkdPOmY/BfQ=", true, 20, 0 },
		{ "{SHA1.rot13}5en6G6MezRroT3XKqkdPOmY/BfQ=", false, 0, 0 },
		{ "{SHA256}5en6G6MezRroT3XKqkdPOmY/BfQ=", false, 0, 0 },
		{ "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfRzYWx0", true, 20, 4 },
		{ "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", true, 16, 0 },
		{ "{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", true, 16, 0 },
		{ "{SSHA}", false, 0, 0 },
		{ "{SSHA}x", false, 0, 0 },
	};
	struct auth_digest d;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(auth_digest_parse(span_cstr(cases[i].field), &d), cases[i].good);
		if (cases[i].good)
			assert_true(d.bytes == cases[i].bytes && d.salt_len == cases[i].salt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_simple),  cmocka_unit_test(test_scram),
		cmocka_unit_test(test_prep), cmocka_unit_test(test_scram_prepared),
		cmocka_unit_test(test_scram_sha1),  cmocka_unit_test(test_scram_first), cmocka_unit_test(test_digests),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	arena_free(&arena);
	return failed;
}
