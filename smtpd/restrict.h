/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the restriction engine: one check is the evaluation of the lists of one command. A rule looks at the session and says
 * NEXT, PERMIT or REFUSE; rules that refuse do so through refuse(), which knows about warn_if_reject and defer_if_reject.
 */
#pragma once
#include "lib/map/map.h"
#include "smtpd/access.h"
#include "smtpd/session.h"

enum decision { NEXT, PERMIT, REFUSE };

struct check {
	struct smtpd_session *s;
	enum access_stage stage;    /* whose list is running */
	const char *where;          /* the command that is being answered, for log lines: "RCPT" */
	struct span name;           /* "<name>: what rejected: ...": what the list is about */
	const char *what;
	struct span recipient, recipient_given; /* rewritten; as the client wrote it; empty before RCPT */
	struct span etrn;
	const char *instance;       /* for policy services */
	unsigned depth;             /* of lists inside lists */
	unsigned warn_depth;        /* warn_if_reject stands in front of a rule at this depth; 0: no */
	bool rcpt_listed, sender_listed; /* whether the address exists was asked already */
	const char *if_permit, *if_reject; /* replies of defer_if_permit and defer_if_reject, or NULL */
	const char *text;           /* the reply, when REFUSE */
};

struct use;

struct rule {
	const char *name;
	enum decision (*decide)(struct check *c, const struct use *u);
	enum rule_argument { ARG_NONE, ARG_TABLE, ARG_WORD, ARG_NUMBER } argument;
	unsigned about; /* enum about, where a rule exists for several subjects */
};

/* What a rule of a family looks at. */
enum about { ABOUT_NONE, ABOUT_CLIENT, ABOUT_REVERSE_CLIENT, ABOUT_HELO, ABOUT_SENDER, ABOUT_RECIPIENT, ABOUT_ETRN };

/* A rule in a list, with its argument. */
struct use {
	const struct rule *rule;
	struct span arg;
	const struct rule_list *class; /* of a restriction class */
	struct map *table;
};

/* Refuse: "CODE DSN text", the class of dsn following the code. */
enum decision refuse(struct check *c, int code, const char *dsn, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same for what cannot be softened to a warning: a table or the configuration is broken. */
enum decision refuse_config(struct check *c);
enum decision refuse_table(struct check *c, struct span name, const char *what);
enum decision refuse_lookup(struct check *c, struct span name);
/* Temporarily undecided: refuse later, should the rest of the rules permit. action: *_tempfail_action. */
enum decision put_off(struct check *c, const char *action, int code, const char *dsn, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
enum decision put_off_if_reject(struct check *c, int code, const char *dsn, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A line such as "NOQUEUE: hold: RCPT from ...: <a@b>: Recipient address triggers HOLD action; from=..." */
void log_decision(const struct check *c, const char *decision, const char *text);

/*
 * PERMIT; logged where smtpd_log_access_permit_actions has this action: "permit: RCPT from ...: action=OK for Sender address=a@b
 * from TABLE; from=...". table: what said so, or NULL (then a blank is in its place, as in Postfix).
 */
enum decision permit_by(struct check *c, struct span action, const char *what, struct span name, const char *table);
/* Run restrictions given as text: the right side of an access table, the answer of a policy service. */
enum decision run_text(struct check *c, struct span text);

/* Subjects. */
struct about_text {
	struct span name, domain; /* domain: of an address; of a HELO name itself */
	const char *what;         /* "Sender address" */
	bool present;             /* false: there is nothing to look at yet (or the null sender) */
};
struct about_text about_text(const struct check *c, enum about about);

/* parent_domain_matches_subdomains has smtpd_access_maps. Next shorter form of a domain; false at the end. */
bool parent_domain(struct span domain, struct span *name);
enum decision check_domain(struct check *c, const struct use *u, struct span domain, struct span name, const char *what);
enum decision check_address(struct check *c, const struct use *u, struct span address, struct span name, const char *what);
/* dsn for a refusal of what: "5.1.1" of a recipient is "5.1.7" of a sender. */
const char *fit_dsn(struct check *c, const char *dsn, const char *what);
/* d, but a permission is a mistake of the configuration where the other side could give it to itself. */
enum decision no_permission(struct check *c, const struct use *u, enum decision d);
/* An address whose local part would send it elsewhere: with @, % or !. */
bool is_routed(struct span address);
/* What a table (or policy service) said about name. origin: the table, for log lines. */
enum decision apply_result(struct check *c, const char *origin, struct span key, struct span value, struct span name,
			   const char *what);

/* Rules, by file. restrict_client.c */
enum decision permit_mynetworks(struct check *c, const struct use *u);
enum decision permit_inet_interfaces(struct check *c, const struct use *u);
enum decision permit_sasl_authenticated(struct check *c, const struct use *u);
enum decision reject_unknown_client(struct check *c, const struct use *u);
enum decision reject_unknown_reverse_client(struct check *c, const struct use *u);
enum decision reject_plaintext_session(struct check *c, const struct use *u);
enum decision reject_unauth_pipelining(struct check *c, const struct use *u);
/* restrict_tls.c */
enum decision permit_tls_clientcerts(struct check *c, const struct use *u);
enum decision permit_tls_all_clientcerts(struct check *c, const struct use *u);
/* restrict_helo.c */
enum decision reject_invalid_helo(struct check *c, const struct use *u);
enum decision reject_non_fqdn_helo(struct check *c, const struct use *u);
enum decision reject_unknown_helo(struct check *c, const struct use *u);
/* restrict_address.c */
enum decision reject_non_fqdn_address(struct check *c, const struct use *u);
enum decision reject_unknown_domain(struct check *c, const struct use *u);
enum decision reject_unlisted(struct check *c, const struct use *u);
enum decision reject_multi_recipient_bounce(struct check *c, const struct use *u);
enum decision reject_unauth_destination(struct check *c, const struct use *u);
enum decision defer_unauth_destination(struct check *c, const struct use *u);
enum decision permit_auth_destination(struct check *c, const struct use *u);
enum decision permit_mx_backup(struct check *c, const struct use *u);
/* access_map.c */
enum decision check_client_access(struct check *c, const struct use *u);
enum decision check_reverse_client_access(struct check *c, const struct use *u);
enum decision check_domain_access(struct check *c, const struct use *u);  /* HELO, ETRN */
enum decision check_mail_access(struct check *c, const struct use *u);
enum decision check_sasl_access(struct check *c, const struct use *u);
enum decision check_ccert_access(struct check *c, const struct use *u);
/* access_dns.c */
enum decision check_a_access(struct check *c, const struct use *u);
enum decision check_mx_access(struct check *c, const struct use *u);
enum decision check_ns_access(struct check *c, const struct use *u);
/* rbl.c */
enum decision reject_rbl_client(struct check *c, const struct use *u);
enum decision reject_rhsbl(struct check *c, const struct use *u);
enum decision permit_dnswl_client(struct check *c, const struct use *u);
enum decision permit_rhswl_client(struct check *c, const struct use *u);
/* verify.c */
enum decision reject_unverified(struct check *c, const struct use *u);
/* policy.c */
enum decision check_policy_service(struct check *c, const struct use *u);
