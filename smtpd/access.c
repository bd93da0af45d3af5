/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine: lists of rules, what their decisions add up to, and the stages of a session. */
#include "smtpd/access.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/wait.h"
#include "lib/map/match.h"
#include "lib/route/route.h"
#include "smtpd/restrict.h"
#include "smtpd/sender_login.h"

enum { DEPTH_MAX = 100, USES_MAX = 500, CLASSES_MAX = 100 };

struct rule_list {
	struct use *uses;
	size_t n;
};

/* --- decisions ---------------------------------------------------------------------------------------------------- */

enum { REPLY_MAX = 510 }; /* RFC 5321 4.5.3.1.5 */

/* The class of the enhanced code follows the reply code; a code of the configuration that no refusal can have is not sent. */
static const char *reply_text(struct check *c, int code, const char *dsn, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof text, fmt, ap);
	if (code < 400 || code > 599 || !verdict_dsn_valid(span_cstr(dsn))) {
		log_warn("SMTP reply code configuration error: %d %s %s", code, dsn, text);
		return "450 4.7.1 Service unavailable";
	}
	return arena_printf(&c->s->cmd, "%.*s", REPLY_MAX, arena_printf(&c->s->cmd, "%d %d%s %s", code, code / 100, dsn + 1, text));
}

void log_decision(const struct check *c, const char *decision, const char *text)
{
	log_reject_as(c->s, decision, c->where, text, c->recipient_given);
}

static const char *soften(struct check *c, const char *text)
{
	return conf->soft_bounce && text[0] == '5' ? arena_printf(&c->s->cmd, "4%.3s4%s", text + 1, text + 5) : text;
}

/* What stands against the client: one that is for good becomes one for now where an earlier rule could not be asked. */
static enum decision refuse_anyway(struct check *c, const char *text)
{
	c->text = soften(c, c->if_reject && text[0] == '5' ? c->if_reject : text);
	return REFUSE;
}

static enum decision refuse_with(struct check *c, const char *text)
{
	if (c->warn_depth) {
		log_decision(c, "reject_warning", soften(c, text));
		return NEXT;
	}
	return refuse_anyway(c, text);
}

enum decision refuse(struct check *c, int code, const char *dsn, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	text = reply_text(c, code, dsn, fmt, ap);
	va_end(ap);
	return refuse_with(c, text);
}

enum decision refuse_config(struct check *c)
{
	return refuse_anyway(c, "451 4.3.5 Server configuration error");
}

enum decision refuse_table(struct check *c, struct span name, const char *what)
{
	return refuse(c, 451, "4.3.5", "<" SPAN_FMT ">: %s rejected: Server configuration error", SPAN_ARG(name), what);
}

enum decision refuse_lookup(struct check *c, struct span name)
{
	return refuse_anyway(c, arena_printf(&c->s->cmd, "451 4.3.0 <" SPAN_FMT ">: Temporary lookup failure", SPAN_ARG(name)));
}

enum decision put_off(struct check *c, const char *action, int code, const char *dsn, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	text = reply_text(c, code, dsn, fmt, ap);
	va_end(ap);
	if (c->warn_depth || strcmp(action, "defer_if_permit") != 0)
		return refuse_with(c, text);
	if (c->if_permit == NULL)
		c->if_permit = text;
	return NEXT;
}

enum decision put_off_if_reject(struct check *c, int code, const char *dsn, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	text = reply_text(c, code, dsn, fmt, ap);
	va_end(ap);
	if (c->if_reject == NULL)
		c->if_reject = text;
	return NEXT;
}

/* Not where it is about to be put off: then it does not count. */
enum decision permit_by(struct check *c, struct span action, const char *what, struct span name, const char *table)
{
	const char *list = conf->smtpd_log_access_permit_actions;

	if (*list && !c->if_permit && match_name(match_open(list, MATCH_STRING), action) == MAP_OK)
		log_decision(c, "permit",
			     arena_printf(&c->s->cmd, "action=" SPAN_FMT " for %s=" SPAN_FMT "%s%s", SPAN_ARG(action), what,
					  SPAN_ARG(name), table ? " from " : " ", table ? table : ""));
	return PERMIT;
}

/* The same for a rule that permits by itself; what tables say has been logged where it was read. */
static void note_permit(struct check *c, const struct rule *rule)
{
	struct about_text t = about_text(c, rule->about);

	if (strncmp(rule->name, "permit", strlen("permit")) == 0)
		(void)permit_by(c, span_cstr(rule->name), t.what, t.name, NULL);
}

/* --- rules that are the engine's own ------------------------------------------------------------------------------ */

static enum decision rule_permit(struct check *c, const struct use *u)
{
	(void)c;
	(void)u;
	return PERMIT;
}

static enum decision rule_reject(struct check *c, const struct use *u)
{
	(void)u;
	return refuse(c, (int)conf->reject_code, "5.7.1", "<" SPAN_FMT ">: %s rejected: Access denied", SPAN_ARG(c->name), c->what);
}

static enum decision rule_defer(struct check *c, const struct use *u)
{
	(void)u;
	return refuse(c, (int)conf->defer_code, "4.3.2", "<" SPAN_FMT ">: %s rejected: Try again later", SPAN_ARG(c->name),
		      c->what);
}

static enum decision rule_defer_if_permit(struct check *c, const struct use *u)
{
	(void)u;
	return put_off(c, "defer_if_permit", 450, "4.7.0", "<" SPAN_FMT ">: %s rejected: defer_if_permit requested",
		       SPAN_ARG(c->name), c->what);
}

static enum decision rule_defer_if_reject(struct check *c, const struct use *u)
{
	(void)u;
	return put_off_if_reject(c, 450, "4.7.0", "<" SPAN_FMT ">: %s rejected: defer_if_reject requested", SPAN_ARG(c->name),
				 c->what);
}

static enum decision rule_warn_if_reject(struct check *c, const struct use *u)
{
	(void)u;
	if (c->warn_depth == 0)
		c->warn_depth = c->depth;
	return NEXT;
}

/* A client that is made to wait is often one that does not: replies gathered so far go out first. */
static enum decision rule_sleep(struct check *c, const struct use *u)
{
	uint64_t seconds = 0;

	(void)!span_u64(u->arg, 600, &seconds);
	(void)!stream_flush(c->s->stream);
	(void)!io_sleep_until(clock_deadline((int64_t)seconds * 1000));
	return NEXT;
}

static enum decision rule_broken(struct check *c, const struct use *u)
{
	log_warn("unknown smtpd restriction: \"" SPAN_FMT "\"", SPAN_ARG(u->arg));
	return refuse_config(c);
}

static enum decision run_list(struct check *c, const struct rule_list *l);

static enum decision rule_class(struct check *c, const struct use *u)
{
	return run_list(c, u->class);
}

static const struct rule broken_rule = { "", rule_broken, ARG_NONE, 0 }, class_rule = { "", rule_class, ARG_NONE, 0 };

static const struct rule rules[] = {
	{ "permit", rule_permit, ARG_NONE, 0 },
	{ "reject", rule_reject, ARG_NONE, 0 },
	{ "defer", rule_defer, ARG_NONE, 0 },
	{ "defer_if_permit", rule_defer_if_permit, ARG_NONE, 0 },
	{ "defer_if_reject", rule_defer_if_reject, ARG_NONE, 0 },
	{ "warn_if_reject", rule_warn_if_reject, ARG_NONE, 0 },
	{ "sleep", rule_sleep, ARG_NUMBER, 0 },
	{ "permit_mynetworks", permit_mynetworks, ARG_NONE, ABOUT_CLIENT },
	{ "permit_inet_interfaces", permit_inet_interfaces, ARG_NONE, ABOUT_CLIENT },
	{ "permit_sasl_authenticated", permit_sasl_authenticated, ARG_NONE, ABOUT_CLIENT },
	{ "permit_tls_clientcerts", permit_tls_clientcerts, ARG_NONE, ABOUT_CLIENT },
	{ "permit_tls_all_clientcerts", permit_tls_all_clientcerts, ARG_NONE, ABOUT_CLIENT },
	{ "permit_auth_destination", permit_auth_destination, ARG_NONE, ABOUT_RECIPIENT },
	{ "permit_mx_backup", permit_mx_backup, ARG_NONE, ABOUT_RECIPIENT },
	{ "reject_unauth_destination", reject_unauth_destination, ARG_NONE, 0 },
	{ "defer_unauth_destination", defer_unauth_destination, ARG_NONE, 0 },
	{ "reject_unknown_client_hostname", reject_unknown_client, ARG_NONE, 0 },
	{ "reject_unknown_client", reject_unknown_client, ARG_NONE, 0 },
	{ "reject_unknown_reverse_client_hostname", reject_unknown_reverse_client, ARG_NONE, 0 },
	{ "reject_plaintext_session", reject_plaintext_session, ARG_NONE, 0 },
	{ "reject_unauth_pipelining", reject_unauth_pipelining, ARG_NONE, 0 },
	{ "reject_invalid_helo_hostname", reject_invalid_helo, ARG_NONE, ABOUT_HELO },
	{ "reject_invalid_hostname", reject_invalid_helo, ARG_NONE, ABOUT_HELO },
	{ "reject_non_fqdn_helo_hostname", reject_non_fqdn_helo, ARG_NONE, ABOUT_HELO },
	{ "reject_non_fqdn_hostname", reject_non_fqdn_helo, ARG_NONE, ABOUT_HELO },
	{ "reject_unknown_helo_hostname", reject_unknown_helo, ARG_NONE, ABOUT_HELO },
	{ "reject_unknown_hostname", reject_unknown_helo, ARG_NONE, ABOUT_HELO },
	{ "reject_non_fqdn_sender", reject_non_fqdn_address, ARG_NONE, ABOUT_SENDER },
	{ "reject_non_fqdn_recipient", reject_non_fqdn_address, ARG_NONE, ABOUT_RECIPIENT },
	{ "reject_unknown_sender_domain", reject_unknown_domain, ARG_NONE, ABOUT_SENDER },
	{ "reject_unknown_address", reject_unknown_domain, ARG_NONE, ABOUT_SENDER },
	{ "reject_unknown_recipient_domain", reject_unknown_domain, ARG_NONE, ABOUT_RECIPIENT },
	{ "reject_unlisted_sender", reject_unlisted, ARG_NONE, ABOUT_SENDER },
	{ "reject_unlisted_recipient", reject_unlisted, ARG_NONE, ABOUT_RECIPIENT },
	{ "check_recipient_maps", reject_unlisted, ARG_NONE, ABOUT_RECIPIENT },
	{ "reject_unverified_sender", reject_unverified, ARG_NONE, ABOUT_SENDER },
	{ "reject_unverified_recipient", reject_unverified, ARG_NONE, ABOUT_RECIPIENT },
	{ "reject_multi_recipient_bounce", reject_multi_recipient_bounce, ARG_NONE, 0 },
	{ "reject_sender_login_mismatch", reject_sender_login, ARG_NONE, SENDER_LOGIN_MISMATCH },
	{ "reject_authenticated_sender_login_mismatch", reject_sender_login, ARG_NONE, SENDER_LOGIN_AUTHENTICATED },
	{ "reject_unauthenticated_sender_login_mismatch", reject_sender_login, ARG_NONE, SENDER_LOGIN_UNAUTHENTICATED },
	{ "reject_known_sender_login_mismatch", reject_sender_login, ARG_NONE, SENDER_LOGIN_KNOWN },
	{ "check_client_access", check_client_access, ARG_TABLE, ABOUT_CLIENT },
	{ "check_reverse_client_hostname_access", check_reverse_client_access, ARG_TABLE, ABOUT_REVERSE_CLIENT },
	{ "check_helo_access", check_domain_access, ARG_TABLE, ABOUT_HELO },
	{ "check_sender_access", check_mail_access, ARG_TABLE, ABOUT_SENDER },
	{ "check_recipient_access", check_mail_access, ARG_TABLE, ABOUT_RECIPIENT },
	{ "check_etrn_access", check_domain_access, ARG_TABLE, ABOUT_ETRN },
	{ "check_sasl_access", check_sasl_access, ARG_TABLE, 0 },
	{ "check_ccert_access", check_ccert_access, ARG_TABLE, 0 },
	{ "check_client_a_access", check_a_access, ARG_TABLE, ABOUT_CLIENT },
	{ "check_reverse_client_hostname_a_access", check_a_access, ARG_TABLE, ABOUT_REVERSE_CLIENT },
	{ "check_helo_a_access", check_a_access, ARG_TABLE, ABOUT_HELO },
	{ "check_sender_a_access", check_a_access, ARG_TABLE, ABOUT_SENDER },
	{ "check_recipient_a_access", check_a_access, ARG_TABLE, ABOUT_RECIPIENT },
	{ "check_client_mx_access", check_mx_access, ARG_TABLE, ABOUT_CLIENT },
	{ "check_reverse_client_hostname_mx_access", check_mx_access, ARG_TABLE, ABOUT_REVERSE_CLIENT },
	{ "check_helo_mx_access", check_mx_access, ARG_TABLE, ABOUT_HELO },
	{ "check_sender_mx_access", check_mx_access, ARG_TABLE, ABOUT_SENDER },
	{ "check_recipient_mx_access", check_mx_access, ARG_TABLE, ABOUT_RECIPIENT },
	{ "check_client_ns_access", check_ns_access, ARG_TABLE, ABOUT_CLIENT },
	{ "check_reverse_client_hostname_ns_access", check_ns_access, ARG_TABLE, ABOUT_REVERSE_CLIENT },
	{ "check_helo_ns_access", check_ns_access, ARG_TABLE, ABOUT_HELO },
	{ "check_sender_ns_access", check_ns_access, ARG_TABLE, ABOUT_SENDER },
	{ "check_recipient_ns_access", check_ns_access, ARG_TABLE, ABOUT_RECIPIENT },
	{ "reject_rbl_client", reject_rbl_client, ARG_WORD, ABOUT_CLIENT },
	{ "reject_rbl", reject_rbl_client, ARG_WORD, ABOUT_CLIENT },
	{ "reject_rhsbl_client", reject_rhsbl, ARG_WORD, ABOUT_CLIENT },
	{ "reject_rhsbl_reverse_client", reject_rhsbl, ARG_WORD, ABOUT_REVERSE_CLIENT },
	{ "reject_rhsbl_helo", reject_rhsbl, ARG_WORD, ABOUT_HELO },
	{ "reject_rhsbl_sender", reject_rhsbl, ARG_WORD, ABOUT_SENDER },
	{ "reject_rhsbl_recipient", reject_rhsbl, ARG_WORD, ABOUT_RECIPIENT },
	{ "permit_dnswl_client", permit_dnswl_client, ARG_WORD, ABOUT_CLIENT },
	{ "permit_rhswl_client", permit_rhswl_client, ARG_WORD, ABOUT_CLIENT },
	{ "check_policy_service", check_policy_service, ARG_WORD, 0 },
};

/* --- reading lists ------------------------------------------------------------------------------------------------ */

static struct arena lists_arena;
static struct rule_list stages[ACCESS_STAGES], stages_stressed[ACCESS_STAGES];
static struct {
	struct span name;
	struct rule_list list;
} classes[CLASSES_MAX];
static size_t nclasses;

/* A table without a word in front of it: the check that fits the list. */
static const char *const bare_table[ACCESS_STAGES] = {
	[ACCESS_CLIENT] = "check_client_access",  [ACCESS_HELO] = "check_helo_access",
	[ACCESS_SENDER] = "check_sender_access",  [ACCESS_RELAY] = "check_recipient_access",
	[ACCESS_RECIPIENT] = "check_recipient_access", [ACCESS_ETRN] = "check_etrn_access",
};

static const struct rule *find_rule(struct span name)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (span_iis(name, rules[i].name))
			return &rules[i];
	return NULL;
}

static const struct rule_list *find_class(struct span name)
{
	for (size_t i = 0; i < nclasses; i++)
		if (span_ieq(name, classes[i].name))
			return &classes[i].list;
	return NULL;
}

/* Is this word the name of an argument's owner that takes one? Then the word after it is its argument. */
static struct use read_use(struct arena *a, struct span word, struct span *rest, enum access_stage stage)
{
	struct use u = { .rule = find_rule(word) };
	uint64_t n;

	if (u.rule == NULL && (u.class = find_class(word)) != NULL) {
		u.rule = &class_rule;
		return u;
	}
	if (u.rule == NULL && span_chr(word, ':') > 0 && bare_table[stage]) {
		u.rule = find_rule(span_cstr(bare_table[stage]));
		u.arg = word;
	} else if (u.rule == NULL || (u.rule->argument != ARG_NONE && !map_list_word(rest, &u.arg))) {
		return (struct use){ .rule = &broken_rule, .arg = word };
	}
	if ((u.rule->argument == ARG_TABLE && span_chr(u.arg, ':') <= 0) ||
	    (u.rule->argument == ARG_NUMBER && !span_u64(u.arg, 600, &n)))
		return (struct use){ .rule = &broken_rule, .arg = u.arg };
	u.arg = arena_span(a, u.arg);
	if (u.rule->argument == ARG_TABLE)
		u.table = map_open(u.arg.ptr);
	return u;
}

static struct rule_list read_list(struct arena *a, struct span text, enum access_stage stage)
{
	struct rule_list l = { 0 };
	struct use uses[USES_MAX];
	struct span word;

	while (l.n < USES_MAX && map_list_word(&text, &word)) {
		uses[l.n] = read_use(a, word, &text, stage);
		if (uses[l.n].rule == &broken_rule)
			uses[l.n].arg = arena_span(a, uses[l.n].arg);
		l.n++;
	}
	if (l.n) {
		l.uses = arena_array(a, l.n, sizeof *l.uses);
		memcpy(l.uses, uses, l.n * sizeof *l.uses);
	}
	return l;
}

static void read_classes(void)
{
	struct span rest = span_cstr(conf->smtpd_restriction_classes), word;

	while (nclasses < CLASSES_MAX && span_word(&rest, ", \t\r\n", &word))
		classes[nclasses++].name = arena_span(&lists_arena, word);
	for (size_t i = 0; i < nclasses; i++) {
		const char *text = conf_value(conf, &lists_arena, classes[i].name.ptr);

		if (text == NULL)
			log_error("restriction class \"" SPAN_FMT "\" needs a definition", SPAN_ARG(classes[i].name));
		classes[i].list = read_list(&lists_arena, span_cstr(text ? text : "undefined-restriction-class"), ACCESS_RECIPIENT);
	}
}

static void warn_of(const char *parameter, const struct rule_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->uses[i].rule == &broken_rule)
			log_error("%s: unknown or incomplete restriction \"" SPAN_FMT
				  "\": whoever gets there is deferred",
				  parameter, SPAN_ARG(l->uses[i].arg));
		else if (l->uses[i].rule->decide == permit_mx_backup && !*conf->permit_mx_backup_networks)
			log_warn("%s: permit_mx_backup trusts other people's DNS records; name the domains in "
				 "relay_domains instead",
				 parameter);
		else if (l->uses[i].rule == &class_rule)
			continue;
	}
}

/* Is there a rule that keeps strangers from sending anywhere through us? A name that is not known keeps everybody. */
static bool has_brake(const struct rule_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct use *u = &l->uses[i];

		if (u->rule->decide == reject_unauth_destination || u->rule->decide == defer_unauth_destination ||
		    u->rule->decide == rule_reject || u->rule->decide == rule_defer || u->rule->decide == rule_defer_if_permit ||
		    u->rule == &broken_rule || (u->rule == &class_rule && u->class != l && has_brake(u->class)))
			return true;
	}
	return false;
}

static void read_stages(const struct conf *c, struct rule_list *out)
{
	static const char *const names[ACCESS_STAGES] = {
		"smtpd_client_restrictions",	"smtpd_helo_restrictions", "smtpd_sender_restrictions",
		"smtpd_relay_restrictions",	"smtpd_recipient_restrictions", "smtpd_data_restrictions",
		"smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions",
	};
	const char *const texts[ACCESS_STAGES] = {
		c->smtpd_client_restrictions, c->smtpd_helo_restrictions, c->smtpd_sender_restrictions,
		c->smtpd_relay_restrictions, c->smtpd_recipient_restrictions, c->smtpd_data_restrictions,
		c->smtpd_end_of_data_restrictions, c->smtpd_etrn_restrictions,
	};

	for (int i = 0; i < ACCESS_STAGES; i++) {
		out[i] = read_list(&lists_arena, span_cstr(texts[i]), (enum access_stage)i);
		if (c == conf)
			warn_of(names[i], &out[i]);
	}
	if (!has_brake(&out[ACCESS_RELAY]) && !has_brake(&out[ACCESS_RECIPIENT])) {
		log_error("in smtpd_relay_restrictions or smtpd_recipient_restrictions, specify reject_unauth_destination, "
			  "defer_unauth_destination, reject, defer or defer_if_permit: until then every recipient is deferred");
		out[ACCESS_RELAY] = read_list(&lists_arena, SPAN("open-relay"), ACCESS_RELAY);
	}
}

void access_init(void)
{
	read_classes();
	read_stages(conf, stages);
	read_stages(conf->stressed, stages_stressed);
}

/* --- running lists ------------------------------------------------------------------------------------------------ */

static enum decision run_list(struct check *c, const struct rule_list *l)
{
	enum decision d = NEXT;

	if (c->depth >= DEPTH_MAX) {
		log_warn("restrictions lead to themselves: \"" SPAN_FMT "\"", SPAN_ARG(c->name));
		return refuse_config(c);
	}
	c->depth++;
	for (size_t i = 0; i < l->n && d == NEXT && !c->s->txn.actions.discard; i++) {
		const struct use *u = &l->uses[i];

		d = u->rule->decide(c, u);
		if (d == PERMIT)
			note_permit(c, u->rule);
		if (u->rule->decide != rule_warn_if_reject && c->warn_depth >= c->depth)
			c->warn_depth = 0;
		if (d == NEXT && c->if_permit && c->if_reject)
			break;
	}
	c->depth--;
	if (c->warn_depth > c->depth) /* at the end of a list there is nothing left to warn of */
		c->warn_depth = 0;
	return d;
}

enum decision run_text(struct check *c, struct span text)
{
	struct rule_list l = read_list(&c->s->cmd, text, c->stage);

	return run_list(c, &l);
}

static enum decision run_stage(struct check *c, enum access_stage stage, struct span name, const char *what)
{
	c->stage = stage;
	c->name = name;
	c->what = what;
	c->warn_depth = 0;
	return run_list(c, conf->stress[0] ? &stages_stressed[stage] : &stages[stage]);
}

static enum decision run_client(struct check *c)
{
	c->if_reject = NULL;
	return run_stage(c, ACCESS_CLIENT, span_cstr(c->s->client), "Client host");
}

static enum decision run_helo(struct check *c)
{
	c->if_reject = NULL;
	return c->s->helo.len ? run_stage(c, ACCESS_HELO, c->s->helo, "Helo command") : NEXT;
}

static enum decision run_sender(struct check *c)
{
	static const struct rule rule = { "", reject_unlisted, ARG_NONE, ABOUT_SENDER };
	static const struct use unlisted = { .rule = &rule };
	enum decision d;

	c->if_reject = NULL;
	d = run_stage(c, ACCESS_SENDER, c->s->txn.sender_given, "Sender address");
	if (d != REFUSE && conf->smtpd_reject_unlisted_sender && !c->sender_listed && !c->s->txn.actions.discard)
		d = reject_unlisted(c, &unlisted);
	return d;
}

/* What was put off becomes a refusal when nothing else was said against the client. */
static enum decision undo_put_off(struct check *c, enum decision d)
{
	return d != REFUSE && c->if_permit ? refuse_anyway(c, c->if_permit) : d;
}

static bool conclude(struct check *c, enum decision d, const char **text_r)
{
	if (d != REFUSE)
		return true;
	*text_r = c->text;
	return false;
}

static bool refused(struct check *c, const char **text_r)
{
	*text_r = c->text;
	log_reject(c->s, c->where, c->text, c->recipient_given);
	return false;
}

static void remember(const char **slot, struct arena *a, const char *text)
{
	*slot = text ? arena_strdup(a, text) : NULL;
}

/* --- the stages --------------------------------------------------------------------------------------------------- */

bool access_connect(struct smtpd_session *s, const char **text_r)
{
	struct check c = { .s = s, .where = "CONNECT" };

	if (s->is_sendmail || conf->smtpd_delay_reject)
		return true;
	if (run_client(&c) == REFUSE)
		return refused(&c, text_r);
	remember(&s->put_off_client, &s->arena, c.if_permit);
	return true;
}

bool access_helo(struct smtpd_session *s, const char *verb, const char **text_r)
{
	struct check c = { .s = s, .where = verb, .if_permit = s->put_off_client };

	if (s->is_sendmail || conf->smtpd_delay_reject)
		return true;
	if (run_helo(&c) == REFUSE)
		return refused(&c, text_r);
	remember(&s->put_off_helo, &s->arena, c.if_permit);
	return true;
}

bool access_mail(struct smtpd_session *s, const char **text_r)
{
	struct check c = { .s = s, .where = "MAIL", .if_permit = s->put_off_helo ? s->put_off_helo : s->put_off_client };

	if (s->is_sendmail || conf->smtpd_delay_reject)
		return true;
	if (run_sender(&c) == REFUSE)
		return refused(&c, text_r);
	remember(&s->txn.put_off_sender, &s->txn.arena, c.if_permit);
	return true;
}

static enum decision run_recipient(struct check *c)
{
	static const struct rule rule = { "", reject_unlisted, ARG_NONE, ABOUT_RECIPIENT };
	static const struct use unlisted = { .rule = &rule };
	enum access_stage first = conf->smtpd_relay_before_recipient_restrictions ? ACCESS_RELAY : ACCESS_RECIPIENT;
	enum access_stage second = first == ACCESS_RELAY ? ACCESS_RECIPIENT : ACCESS_RELAY;

	if (conf->smtpd_delay_reject && (run_client(c) == REFUSE || run_helo(c) == REFUSE || run_sender(c) == REFUSE))
		return REFUSE;
	c->if_reject = NULL;
	if (run_stage(c, first, c->recipient_given, "Recipient address") == REFUSE ||
	    run_stage(c, second, c->recipient_given, "Recipient address") == REFUSE || undo_put_off(c, NEXT) == REFUSE)
		return REFUSE;
	if (conf->smtpd_reject_unlisted_recipient && !c->rcpt_listed && !c->s->txn.actions.discard)
		return reject_unlisted(c, &unlisted);
	return NEXT;
}

/* RFC 5321 4.5.1: this name without a domain is for whoever has to be told that something is wrong here. */
static bool is_postmaster(struct span given)
{
	return span_iis(given, "postmaster");
}

bool access_vrfy(struct smtpd_session *s, struct span address, struct span given, const char **text_r)
{
	struct check c = { .s = s, .where = "VRFY", .recipient = address, .recipient_given = given };

	c.if_permit = s->txn.put_off_sender;
	return is_postmaster(given) || conclude(&c, run_recipient(&c), text_r);
}

bool access_rcpt(struct smtpd_session *s, struct span address, struct span given, const char **text_r)
{
	struct check c = { .s = s, .where = "RCPT", .recipient = address, .recipient_given = given };

	/* What sendmail(1) brings is returned to its user when it cannot be delivered: cron and scripts do not look at replies. */
	if (s->is_sendmail || is_postmaster(given))
		return true;
	c.if_permit = s->txn.put_off_sender;
	return conclude(&c, run_recipient(&c), text_r) || refused(&c, text_r);
}

/* With one recipient the rules about recipients look at it; with several there is none to look at. */
static bool at_data(struct smtpd_session *s, enum access_stage stage, const char *where, const char *what, const char **text_r)
{
	struct check c = { .s = s, .where = where };

	if (s->is_sendmail)
		return true;
	if (s->txn.accepted == 1) {
		c.recipient = s->txn.env.rcpts[0].address;
		c.recipient_given = s->txn.recipient_given;
	}
	return conclude(&c, undo_put_off(&c, run_stage(&c, stage, span_cstr(where), what)), text_r) || refused(&c, text_r);
}

bool access_data(struct smtpd_session *s, const char **text_r)
{
	return at_data(s, ACCESS_DATA, "DATA", "Data command", text_r);
}

bool access_end_of_data(struct smtpd_session *s, const char **text_r)
{
	return at_data(s, ACCESS_END_OF_DATA, "END-OF-MESSAGE", "End-of-data", text_r);
}

bool access_etrn(struct smtpd_session *s, struct span domain, const char **text_r)
{
	struct check c = { .s = s, .where = "ETRN", .etrn = domain };
	enum decision d = NEXT;

	c.if_permit = s->put_off_helo ? s->put_off_helo : s->put_off_client;
	if (conf->smtpd_delay_reject && (run_client(&c) == REFUSE || run_helo(&c) == REFUSE))
		d = REFUSE;
	c.if_reject = NULL;
	if (d != REFUSE)
		d = undo_put_off(&c, run_stage(&c, ACCESS_ETRN, domain, "Etrn command"));
	return conclude(&c, d, text_r) || refused(&c, text_r);
}
