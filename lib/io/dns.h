/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the domain name system. libc's resolver sends them (with a state of its own for each call, so any thread
 * may ask); the answers are read here, and no byte of them is trusted. Calls block for as long as resolv.conf(5)
 * allows.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/io/netaddr.h"

enum {
	DNS_NAME_MAX = 255,    /* octets of a name in text form, without the last dot */
	DNS_RECORDS_MAX = 100, /* records taken from one answer; further ones are ignored */
	DNS_ALIASES_MAX = 10,  /* CNAMEs followed for one question */
	DNS_ANSWER_MAX = 65535,
};

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

enum dns_status {
	DNS_OK = 0,   /* at least one record */
	DNS_NXDOMAIN, /* no such name, or a text that cannot be one */
	DNS_NODATA,   /* the name exists, but not with this type */
	DNS_TEMP,     /* no answer, SERVFAIL, REFUSED: may work later */
	DNS_BAD,      /* the answer makes no sense: malformed records, a loop of aliases */
};
/* "Host not found", "Host not found, try again", ... : the resolver's usual words. */
const char *dns_status_str(enum dns_status s);
const char *dns_type_str(enum dns_type type); /* "MX" */

struct dns_record {
	uint32_t ttl;        /* seconds; the least along the aliases that led here */
	uint16_t preference; /* MX */
	struct netaddr addr; /* A, AAAA; port 0 */
	struct span name;    /* MX, NS, PTR, CNAME: host name characters (CNAME: printable), no last dot; empty: root.
			      * TXT: its strings joined, any bytes */
};

struct dns_answer {
	struct dns_record *records; /* of the type asked for, in the order of the answer */
	size_t nrecords;
	struct span canonical; /* the name that has them: the one asked for, or where its aliases lead */
	bool authentic;        /* validated (AD), by a resolver on this machine or one that resolv.conf trusts */
};

/* Ask this server instead of those of resolv.conf; before threads start. "": resolv.conf. False: not ADDRESS[:PORT]. */
bool dns_set_server(struct span address_port) __attribute__((warn_unused_result));

/* Ask. name: text form, with or without a last dot. Everything in *answer_r lives in a; it is empty unless DNS_OK. */
enum dns_status dns_lookup(struct arena *a, struct span name, enum dns_type type, struct dns_answer *answer_r)
    __attribute__((warn_unused_result));

/*
 * Addresses of a host. families: DNS_WANT_*; DNS_OK when there is at least one. When one family fails for now and the
 * other has no address, the result is DNS_TEMP.
 */
enum { DNS_WANT_A = 1, DNS_WANT_AAAA = 2 };
enum dns_status dns_addresses(struct arena *a, struct span host, unsigned families, struct dns_answer *answer_r)
    __attribute__((warn_unused_result));
/* The same through getaddrinfo(3): /etc/hosts and whatever else nsswitch.conf names. */
enum dns_status dns_native_addresses(struct arena *a, struct span host, unsigned families, struct dns_answer *answer_r)
    __attribute__((warn_unused_result));

/* One MX record that names the root: the domain takes no mail (RFC 7505). */
bool dns_is_null_mx(const struct dns_answer *mx);

/*
 * The name of a client: its address looked up, and the name found looked up again and seen to have that address; both
 * through nsswitch.conf, so /etc/hosts counts. *name_r is that name, in a, or "unknown" unless DNS_OK. DNS_TEMP: it
 * might have one. Takes at most about ten seconds for each of the two questions.
 */
enum dns_status dns_client_name(struct arena *a, const struct netaddr *client, struct span *name_r);

/* The same with all that was found out. Names are "unknown" where there is none. */
struct dns_client {
	struct span name;    /* confirmed */
	struct span reverse; /* what the address claims to be called */
	enum dns_status name_status, reverse_status; /* DNS_NXDOMAIN: none, or not confirmed; DNS_TEMP: might have one */
};
void dns_client_look(struct arena *a, const struct netaddr *client, struct dns_client *client_r);

/*
 * The reader, for tests and the fuzzer. packet: a whole answer to (name, type). DNS_NODATA with a canonical name other
 * than name: ask again for that name.
 */
enum dns_status dns_read(struct arena *a, struct span packet, struct span name, enum dns_type type,
			 struct dns_answer *answer_r) __attribute__((warn_unused_result));
