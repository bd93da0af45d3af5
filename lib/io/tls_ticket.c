/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session tickets. The key file: magic, time of writing, then three keys: the one tickets are made with, the one that will be next,
 * the one that was before. The next one is in the file from the start, so a worker that reads the file late still opens what
 * others make.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/io/tls_int.h"

enum { KEY_NAME_BYTES = 16, KEY_BYTES = 32, NKEYS = 3, LOOK_EVERY_MS = 1000 };
enum { CURRENT, NEXT, PREVIOUS };

#define MAGIC "PHTICK1\n"

struct ticket_key {
	unsigned char name[KEY_NAME_BYTES], cipher[KEY_BYTES], mac[KEY_BYTES];
};

struct key_file {
	char magic[8];
	int64_t written_at; /* seconds since 1970 */
	struct ticket_key keys[NKEYS];
};

struct tls_tickets {
	pthread_mutex_t lock;
	char *path;
	int64_t life_s, looked_at_ms;
	struct stat seen;
	struct ticket_key keys[NKEYS];
};

static void dice(void *to, size_t len)
{
	must(len <= 256 && getrandom(to, len, 0) == (ssize_t)len);
}

static bool read_keys(const char *path, struct key_file *f_r, struct stat *st_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool ok = fd >= 0 && fstat(fd, st_r) == 0 && read(fd, f_r, sizeof *f_r) == (ssize_t)sizeof *f_r &&
		  memcmp(f_r->magic, MAGIC, sizeof f_r->magic) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int write_keys(const char *path, const struct key_file *f, gid_t gid)
{
	char temporary[4096];
	int fd, saved;

	snprintf(temporary, sizeof temporary, "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0)
		return -1;
	if (write(fd, f, sizeof *f) == (ssize_t)sizeof *f &&
	    (gid == (gid_t)-1 || (fchown(fd, (uid_t)-1, gid) == 0 && fchmod(fd, 0440) == 0)) && rename(temporary, path) == 0) {
		close(fd);
		return 1;
	}
	saved = errno;
	close(fd);
	unlink(temporary);
	errno = saved;
	return -1;
}

int tls_tickets_rotate(const char *path, int64_t life_s, gid_t gid)
{
	struct key_file f;
	struct stat st;
	int64_t now = (int64_t)clock_wall();
	int rc;

	if (!read_keys(path, &f, &st)) {
		memcpy(f.magic, MAGIC, sizeof f.magic);
		for (int i = 0; i < NKEYS; i++)
			dice(&f.keys[i], sizeof f.keys[i]);
	} else if (now >= f.written_at && now - f.written_at < life_s) {
		return 0;
	} else {
		f.keys[PREVIOUS] = f.keys[CURRENT];
		f.keys[CURRENT] = f.keys[NEXT];
		dice(&f.keys[NEXT], sizeof f.keys[NEXT]);
	}
	f.written_at = now;
	rc = write_keys(path, &f, gid);
	mem_wipe(&f, sizeof f);
	return rc;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct tls_tickets *tls_tickets_open(const char *path, int64_t life_s)
{
	struct tls_tickets *t = mem_zalloc(sizeof *t);

	pthread_mutex_init(&t->lock, NULL);
	t->path = mem_strdup(path);
	t->life_s = life_s;
	t->looked_at_ms = -LOOK_EVERY_MS;
	for (int i = 0; i < NKEYS; i++)
		dice(&t->keys[i], sizeof t->keys[i]);
	return t;
}

/* With the lock held. */
static void look(struct tls_tickets *t)
{
	int64_t now = clock_mono_ms();
	struct key_file f;
	struct stat st;

	if (now - t->looked_at_ms < LOOK_EVERY_MS)
		return;
	t->looked_at_ms = now;
	if (stat(t->path, &st) < 0 || (st.st_ino == t->seen.st_ino && st.st_mtim.tv_sec == t->seen.st_mtim.tv_sec &&
				       st.st_mtim.tv_nsec == t->seen.st_mtim.tv_nsec))
		return;
	if (read_keys(t->path, &f, &st)) {
		memcpy(t->keys, f.keys, sizeof t->keys);
		t->seen = st;
	}
	mem_wipe(&f, sizeof f);
}

/* The key to make tickets with (name NULL), or the one called name. -1: there is none, or its number. */
static int get_key(struct tls_tickets *t, const unsigned char *name, struct ticket_key *key_r)
{
	int found = name ? -1 : CURRENT;

	pthread_mutex_lock(&t->lock);
	look(t);
	for (int i = 0; name && i < NKEYS; i++)
		if (memcmp(t->keys[i].name, name, KEY_NAME_BYTES) == 0)
			found = i;
	if (found >= 0)
		*key_r = t->keys[found];
	pthread_mutex_unlock(&t->lock);
	return found;
}

static bool set_keys(struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
				OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	       EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypt) == 1;
}

/* 0: not resumed, 1: fine, 2: resumed, and the client gets a fresh ticket; -1: an error ends the handshake. */
static int ticket_keys(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct tls *t = SSL_get_app_data(ssl);
	struct ticket_key key;
	int number;
	bool ok;

	number = get_key(t->context->tickets, encrypt ? NULL : name, &key);
	if (number < 0)
		return 0;
	if (encrypt) {
		memcpy(name, key.name, KEY_NAME_BYTES);
		dice(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
	}
	ok = set_keys(&key, iv, cipher, mac, encrypt);
	mem_wipe(&key, sizeof key);
	if (!ok)
		return -1;
	return encrypt || (number == CURRENT && SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2;
}

void tls_tickets_use(SSL_CTX *ctx)
{
	must(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_keys) == 1);
}
