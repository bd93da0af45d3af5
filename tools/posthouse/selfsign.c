/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse selfsign: a key and a certificate that it signs itself. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/netaddr.h"
#include "tools/posthouse/posthouse.h"

enum { DAYS_DEFAULT = 3650, DAYS_MAX = 36500, RSA_BITS = 2048, SERIAL_BYTES = 16, DAY_S = 86400, NAMES_BYTES = 16384 };

struct selfsign {
	const char *cert_path, *key_path;
	const char *name;  /* the first */
	struct buf names;  /* "DNS:a,IP:1.2.3.4" */
	bool rsa, replace;
	long days;
};

static void failed(const char *what)
{
	log_fatal("%s: %s", what, ERR_reason_error_string(ERR_peek_last_error()));
}

static void add_name(struct selfsign *s, const char *name)
{
	struct netaddr a;

	if (s->name == NULL)
		s->name = name;
	if (strpbrk(name, ", \t:\n") && !netaddr_parse(span_cstr(name), &a))
		log_fatal("%s: not a host name", name);
	buf_addf(&s->names, "%s%s:%s", s->names.len ? "," : "", netaddr_parse(span_cstr(name), &a) ? "IP" : "DNS", name);
}

static void read_arguments(int argc, char **argv, struct selfsign *s)
{
	static const char usage[] = "usage: posthouse selfsign [-fr] [-d days] [-n name]... certificate-file key-file";
	int letter;

	optind = 0; /* anew, behind the options of posthouse itself */
	while ((letter = getopt(argc, argv, "+frd:n:")) != -1)
		switch (letter) {
		case 'f':
			s->replace = true;
			break;
		case 'r':
			s->rsa = true;
			break;
		case 'd':
			s->days = strtol(optarg, NULL, 10);
			if (s->days < 1 || s->days > DAYS_MAX)
				log_fatal("-d %s: 1 to %d days", optarg, DAYS_MAX);
			break;
		case 'n':
			add_name(s, optarg);
			break;
		default:
			log_fatal(usage);
		}
	if (argc - optind != 2)
		log_fatal(usage);
	s->cert_path = argv[optind];
	s->key_path = argv[optind + 1];
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (e == NULL || X509_add_ext(cert, e, -1) != 1)
		failed("certificate");
	X509_EXTENSION_free(e);
}

static void set_serial(X509 *cert)
{
	unsigned char dice[SERIAL_BYTES];
	BIGNUM *number;

	if (RAND_bytes(dice, sizeof dice) != 1)
		failed("serial number");
	dice[0] &= 0x7f;
	number = BN_bin2bn(dice, sizeof dice, NULL);
	if (number == NULL || BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) == NULL)
		failed("serial number");
	BN_free(number);
}

static X509 *make_certificate(const struct selfsign *s, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	char value[NAMES_BYTES + 8];

	X509_set_version(cert, X509_VERSION_3);
	set_serial(cert);
	X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S);
	X509_time_adj_ex(X509_getm_notAfter(cert), (int)s->days, 0, NULL);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)s->name, -1, -1, 0);
	X509_set_issuer_name(cert, subject);
	X509_set_pubkey(cert, key);
	snprintf(value, sizeof value, "%.*s", (int)s->names.len, s->names.ptr);
	add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(cert, NID_key_usage, s->rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature");
	add_extension(cert, NID_ext_key_usage, "serverAuth,clientAuth");
	add_extension(cert, NID_subject_key_identifier, "hash");
	add_extension(cert, NID_subject_alt_name, value);
	if (X509_sign(cert, key, EVP_sha256()) == 0)
		failed("certificate");
	return cert;
}

static FILE *create(const struct selfsign *s, const char *path, mode_t mode)
{
	int fd = -1;

	if (s->replace)
		unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		log_fatal("%s: %s%s", path, strerror(errno), errno == EEXIST ? "; -f replaces it" : "");
	return fdopen(fd, "w");
}

static void finish(FILE *f, const char *path, bool ok)
{
	if (fflush(f) != 0 || !ok)
		log_fatal("cannot write %s", path);
	fclose(f);
}

int selfsign(int argc, char **argv)
{
	struct selfsign s = { .days = DAYS_DEFAULT };
	EVP_PKEY *key;
	X509 *cert;
	FILE *f;

	buf_init(&s.names, NAMES_BYTES);
	read_arguments(argc, argv, &s);
	if (s.name == NULL) {
		conf_load_or_die(config_dir);
		add_name(&s, conf->myhostname);
	}
	if (s.names.overflow)
		log_fatal("too many names");
	key = s.rsa ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");
	if (key == NULL)
		failed("key");
	cert = make_certificate(&s, key);
	f = create(&s, s.key_path, 0600);
	finish(f, s.key_path, PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
	f = create(&s, s.cert_path, 0644);
	finish(f, s.cert_path, PEM_write_X509(f, cert) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	buf_free(&s.names);
	return 0;
}
