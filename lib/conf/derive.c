/* SPDX-License-Identifier: BSD-2-Clause */
/* Values that are found out when main.cf does not set them. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/conf/lines.h"
#include "lib/conf/raw.h"

enum { ORIGIN_FILE_MAX = 4096 };

static const char *value_of(struct conf_raw *raw, const char *name)
{
	const char *error, *value = raw_value(raw, &raw->arena, span_cstr(name), &error, NULL);

	return value ? value : "";
}

static bool is_set(struct conf_raw *raw, const char *name)
{
	const struct conf_entry *e = raw_get(raw, span_cstr(name));

	return e && e->where != NULL;
}

static void derive(struct conf_raw *raw, const char *name, const char *value)
{
	struct conf_entry *e = raw_get(raw, span_cstr(name));

	e->value = arena_strdup(&raw->arena, value);
	e->derived = true;
}

static void derive_hostname(struct conf_raw *raw, struct buf *messages)
{
	char host[256] = "";
	const char *domain;

	if (*value_of(raw, "myhostname"))
		return;
	if (gethostname(host, sizeof host - 1) < 0 || host[0] == '\0')
		memcpy(host, "localhost", sizeof "localhost");
	domain = value_of(raw, "mydomain");
	if (strchr(host, '.') == NULL) {
		const char *full = arena_printf(&raw->arena, "%s.%s", host, *domain ? domain : "localdomain");

		buf_addf(messages, "warning: the system's host name %s has no domain: using %s; set myhostname in %s\n",
			 host, full, raw->file);
		derive(raw, "myhostname", full);
		return;
	}
	derive(raw, "myhostname", host);
}

static void derive_domain(struct conf_raw *raw)
{
	const char *dot = strchr(value_of(raw, "myhostname"), '.');

	if (*value_of(raw, "mydomain") == '\0')
		derive(raw, "mydomain", dot ? dot + 1 : "localdomain");
}

/* myorigin = /etc/mailname, as Debian's Postfix has it: the first line of the file. */
static bool derive_origin(struct conf_raw *raw, struct buf *messages)
{
	const char *path = value_of(raw, "myorigin"), *why = "there is no name in it";
	struct span rest, name = SPAN_NONE;
	struct buf text;

	if (path[0] != '/')
		return true;
	buf_init(&text, ORIGIN_FILE_MAX);
	if (lines_read_file(path, &text) < 0)
		why = strerror(errno);
	rest = buf_span(&text);
	if (span_word(&rest, " \t\r\n", &name))
		derive(raw, "myorigin", arena_cstr(&raw->arena, name));
	else
		buf_addf(messages, "error: %s: myorigin = %s: %s\n", raw_get(raw, SPAN("myorigin"))->where, path, why);
	buf_free(&text);
	return name.len > 0;
}

/* --- mynetworks --------------------------------------------------------------------------------------------------- */

static unsigned mask_bits(const struct sockaddr *mask, unsigned width)
{
	const unsigned char *p = width == 32
				     ? (const void *)&((const struct sockaddr_in *)(const void *)mask)->sin_addr
				     : (const void *)&((const struct sockaddr_in6 *)(const void *)mask)->sin6_addr;
	unsigned bits = 0;

	while (mask && bits < width && (p[bits / 8] & (0x80 >> bits % 8)))
		bits++;
	return mask ? bits : width;
}

static unsigned class_bits(unsigned char first)
{
	return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 32;
}

/* The block of ifa's address that style asks for, appended to list. */
static void add_network(struct buf *list, const struct ifaddrs *ifa, const char *style)
{
	bool v4 = ifa->ifa_addr->sa_family == AF_INET;
	unsigned width = v4 ? 32 : 128, bits = width;
	unsigned char net[16];
	char text[INET6_ADDRSTRLEN];

	if (v4)
		memcpy(net, &((struct sockaddr_in *)(void *)ifa->ifa_addr)->sin_addr, 4);
	else
		memcpy(net, &((struct sockaddr_in6 *)(void *)ifa->ifa_addr)->sin6_addr, 16);
	if (net[0] == 127 && v4)
		return;
	if (!v4 && (IN6_IS_ADDR_LOOPBACK((struct in6_addr *)(void *)net) ||
		    IN6_IS_ADDR_LINKLOCAL((struct in6_addr *)(void *)net)))
		return;
	if (v4 && strcmp(style, "class") == 0)
		bits = class_bits(net[0]);
	else if (strcmp(style, "host") != 0)
		bits = mask_bits(ifa->ifa_netmask, width);
	for (unsigned i = bits; i < width; i++)
		net[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	inet_ntop(ifa->ifa_addr->sa_family, net, text, sizeof text);
	buf_addf(list, v4 ? " %s/%u" : " [%s]/%u", text, bits);
}

static bool derive_networks(struct conf_raw *raw, struct buf *messages)
{
	const char *style = value_of(raw, "mynetworks_style"), *protocols = value_of(raw, "inet_protocols");
	bool v4 = strcmp(protocols, "ipv6") != 0, v6 = strcmp(protocols, "ipv4") != 0;
	struct ifaddrs *all = NULL;
	struct buf list;

	if (strcmp(style, "host") != 0 && strcmp(style, "subnet") != 0 && strcmp(style, "class") != 0) {
		buf_addf(messages, "error: %s: mynetworks_style = %s: host, subnet or class is expected\n",
			 raw_get(raw, SPAN("mynetworks_style"))->where, style);
		return false;
	}
	if (is_set(raw, "mynetworks"))
		return true;
	buf_init(&list, 65536);
	buf_adds(&list, v4 && v6 ? "127.0.0.0/8 [::1]/128" : v4 ? "127.0.0.0/8" : "[::1]/128");
	if (getifaddrs(&all) < 0)
		all = NULL;
	for (struct ifaddrs *ifa = all; ifa; ifa = ifa->ifa_next) {
		if (ifa->ifa_addr == NULL)
			continue;
		if ((v4 && ifa->ifa_addr->sa_family == AF_INET) || (v6 && ifa->ifa_addr->sa_family == AF_INET6))
			add_network(&list, ifa, style);
	}
	if (all)
		freeifaddrs(all);
	derive(raw, "mynetworks", buf_cstr(&list));
	buf_free(&list);
	return true;
}

/* --- who we are, and where our files are -------------------------------------------------------------------------- */

static bool derive_mode(struct conf_raw *raw, struct buf *messages)
{
	const char *mode = value_of(raw, "unprivileged_mode");
	bool unprivileged = strcasecmp(mode, "yes") == 0;

	if (strcasecmp(mode, "auto") == 0) {
		unprivileged = geteuid() != 0;
	} else if (!unprivileged && strcasecmp(mode, "no") != 0) {
		buf_addf(messages, "error: %s: unprivileged_mode = %s: yes, no or auto is expected\n",
			 raw_get(raw, SPAN("unprivileged_mode"))->where, mode);
		return false;
	}
	derive(raw, "unprivileged_mode", unprivileged ? "yes" : "no");
	if (unprivileged && !is_set(raw, "userdb"))
		derive(raw, "userdb", "passwd-file:$config_directory/users");
	if (unprivileged && !is_set(raw, "passdb"))
		derive(raw, "passdb", "passwd-file:$config_directory/users");
	return true;
}

/*
 * A main.cf that came from Postfix names the directory of Postfix's programs and Postfix's user. Neither can be meant
 * when there are none of ours in the one, and no such user.
 */
static void replace_postfix_names(struct conf_raw *raw, struct buf *messages)
{
	const char *dir = value_of(raw, "daemon_directory"), *owner = value_of(raw, "mail_owner");
	const char *probe = arena_printf(&raw->arena, "%s/imapd", dir);

	if (is_set(raw, "daemon_directory") && access(probe, F_OK) != 0 && access(DAEMON_DIR "/imapd", F_OK) == 0) {
		buf_addf(messages, "warning: %s: daemon_directory = %s has none of Posthouse's programs: using %s\n",
			 raw_get(raw, SPAN("daemon_directory"))->where, dir, DAEMON_DIR);
		derive(raw, "daemon_directory", DAEMON_DIR);
	}
	if (is_set(raw, "mail_owner") && strcmp(owner, "postfix") == 0 && geteuid() == 0 && getpwnam(owner) == NULL &&
	    getpwnam("posthouse") != NULL) {
		buf_addf(messages, "warning: %s: mail_owner = postfix: there is no such user: using posthouse\n",
			 raw_get(raw, SPAN("mail_owner"))->where);
		derive(raw, "mail_owner", "posthouse");
	}
	if (*value_of(raw, "setgid_group") == '\0')
		derive(raw, "setgid_group", "postdrop");
}

/* master gives its workers a copy of main.cf from elsewhere and says by -o where the directory really is. */
static void derive_config_directory(struct conf_raw *raw)
{
	const struct conf_entry *e = raw_get(raw, SPAN("config_directory"));
	char cwd[4096];

	if (e->where && strncmp(e->where, "-o ", 3) == 0)
		return;
	if (raw->dir[0] == '/' || getcwd(cwd, sizeof cwd) == NULL)
		derive(raw, "config_directory", raw->dir);
	else
		derive(raw, "config_directory", arena_printf(&raw->arena, "%s/%s", cwd, raw->dir));
}

bool raw_derive(struct conf_raw *raw, struct buf *messages)
{
	bool ok;

	derive_config_directory(raw);
	derive_hostname(raw, messages);
	derive_domain(raw);
	ok = derive_origin(raw, messages);
	ok = derive_networks(raw, messages) && ok;
	ok = derive_mode(raw, messages) && ok;
	replace_postfix_names(raw, messages);
	return ok;
}
