/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/tlsset.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/conf/lines.h"
#include "lib/io/tls.h"
#include "lib/map/map.h"

enum { PARTS_MAX = 1000, FILES_MAX = 4000 };

struct gather {
	const struct conf *c;
	struct arena *a;
	struct tls_set *set;
	struct buf *messages;
	const char **files; /* of all parts, one behind the other; FILES_MAX */
	size_t nfiles;
};

const char *tls_kind_dir(enum tls_kind kind)
{
	return kind == TLS_LOGIN ? "login/tls" : "tls";
}

static void watch(struct gather *g, const char *path)
{
	if (g->set->nwatched < FILES_MAX)
		g->set->watched[g->set->nwatched++] = path;
}

static void add_file(struct gather *g, const char *path)
{
	if (*path == '\0' || g->nfiles == FILES_MAX)
		return;
	path = arena_strdup(g->a, path); /* the configuration may go before the set does */
	g->files[g->nfiles++] = path;
	watch(g, path);
}

static void close_part(struct gather *g, const char *name, size_t began)
{
	if (g->nfiles > began && g->set->nparts < PARTS_MAX)
		g->set->parts[g->set->nparts++] =
			(struct tls_part){ .name = name, .files = g->files + began, .nfiles = g->nfiles - began };
}

/* A key file is the certificate's file when it is not set. */
static void add_pair(struct gather *g, const char *cert, const char *key)
{
	size_t began = g->nfiles;

	if (*cert == '\0')
		return;
	add_file(g, cert);
	if (*key && strcmp(key, cert) != 0)
		add_file(g, key);
	close_part(g, "", began); /* a pair is a part of its own: its key must fit its certificate, not another one */
}

/* Dovecot writes `<' in front of a name to have the file read. */
static const char *dovecot_file(const char *value)
{
	return *value == '<' ? value + 1 + strspn(value + 1, " \t") : value;
}

static void add_list(struct gather *g, struct span rest)
{
	struct span word;

	while (span_word(&rest, ", \t", &word))
		add_file(g, arena_cstr(g->a, word));
}

static void add_nameless(struct gather *g, enum tls_kind kind)
{
	const struct conf *c = g->c;

	if (kind == TLS_LOGIN && *c->ssl_cert) {
		add_pair(g, dovecot_file(c->ssl_cert), dovecot_file(c->ssl_key));
		return;
	}
	if (*c->smtpd_tls_chain_files) {
		add_list(g, span_cstr(c->smtpd_tls_chain_files));
		close_part(g, "", 0);
		return;
	}
	add_pair(g, c->smtpd_tls_cert_file, c->smtpd_tls_key_file);
	add_pair(g, c->smtpd_tls_eccert_file, c->smtpd_tls_eckey_file);
}

/* --- server names ------------------------------------------------------------------------------------------------- */

/* Master cannot ask a table for all it has; the text that it is made from is read instead. */
static void read_names(struct gather *g, const char *path)
{
	struct buf text, line;
	struct lines l;
	int number;

	buf_init(&text, LINES_FILE_MAX);
	buf_init(&line, LINES_LINE_MAX);
	watch(g, path);
	if (lines_read_file(path, &text) < 0)
		buf_addf(g->messages, "warning: tls_server_sni_maps: %s: %m\n", path);
	l = lines_begin(buf_span(&text));
	while (lines_next(&l, &line, &number)) {
		struct span rest = buf_span(&line), name;
		size_t began = g->nfiles;

		if (!span_word(&rest, " \t", &name))
			continue;
		add_list(g, rest);
		close_part(g, arena_cstr(g->a, arena_lower(g->a, name)), began);
	}
	buf_free(&line);
	buf_free(&text);
}

static void add_names(struct gather *g)
{
	struct span rest = span_cstr(g->c->tls_server_sni_maps), word;

	while (map_list_word(&rest, &word)) {
		struct span path = word, type = span_cut(&path, ':');

		if (span_is(type, "texthash") || span_is(type, "hash") || span_is(type, "btree") || span_is(type, "lmdb"))
			read_names(g, arena_cstr(g->a, path));
		else
			buf_addf(g->messages, "warning: tls_server_sni_maps: " SPAN_FMT ": only texthash, hash, btree and lmdb\n",
				 SPAN_ARG(word));
	}
}

/* --- a set -------------------------------------------------------------------------------------------------------- */

static void make_id(const struct gather *g)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < g->nfiles; i++)
		buf_addf(&b, "%s\n", g->files[i]);
	buf_addf(&b, "names %s\n", g->c->tls_server_sni_maps);
	must(EVP_Digest(b.ptr, b.len, digest, &len, EVP_sha256(), NULL) == 1);
	for (int i = 0; i < 16; i++)
		snprintf(g->set->id + 2 * i, 3, "%02x", digest[i]);
	buf_free(&b);
}

bool tls_configured(const struct conf *c, enum tls_kind kind)
{
	return (kind == TLS_LOGIN && *c->ssl_cert) || *c->smtpd_tls_chain_files || *c->smtpd_tls_cert_file ||
	       *c->smtpd_tls_eccert_file;
}

bool tls_set_of(const struct conf *c, enum tls_kind kind, bool names, struct arena *a, struct tls_set *set_r, struct buf *messages)
{
	struct gather g = { .c = c, .a = a, .set = set_r, .messages = messages };

	*set_r = (struct tls_set){ .nparts = 0 };
	if (!tls_configured(c, kind))
		return false;
	set_r->parts = arena_array(a, PARTS_MAX, sizeof *set_r->parts);
	set_r->watched = arena_array(a, FILES_MAX, sizeof *set_r->watched);
	g.files = arena_array(a, FILES_MAX, sizeof *g.files);
	add_nameless(&g, kind);
	make_id(&g);
	if (names)
		add_names(&g);
	return true;
}

bool tls_set_bundle(const struct tls_set *set, struct buf *bundle, char why_r[256])
{
	for (size_t i = 0; i < set->nparts; i++)
		if (!tls_bundle_add(bundle, set->parts[i].name, set->parts[i].files, set->parts[i].nfiles, why_r))
			return false;
	if (!bundle->overflow)
		return true;
	snprintf(why_r, 256, "too many certificates");
	return false;
}
