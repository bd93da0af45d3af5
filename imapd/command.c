/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of verbs, and what is the same for all of them. */
#include "imapd/imapd.h"

#include <string.h>

static const struct command commands[] = {
	{ "APPEND", cmd_append, CMD_SYNC },
	{ "CAPABILITY", cmd_capability, CMD_SYNC },
	{ "CHECK", cmd_check, CMD_SELECTED | CMD_SYNC },
	{ "CLOSE", cmd_close, CMD_SELECTED },
	{ "COPY", cmd_copy, CMD_SELECTED | CMD_UID | CMD_SYNC },
	{ "CREATE", cmd_create, CMD_SYNC },
	{ "DELETE", cmd_delete, CMD_SYNC },
	{ "ENABLE", cmd_enable, CMD_SYNC },
	{ "EXAMINE", cmd_examine, 0 },
	{ "EXPUNGE", cmd_expunge, CMD_SELECTED | CMD_WRITE | CMD_UID | CMD_SYNC },
	{ "FETCH", cmd_fetch, CMD_SELECTED | CMD_UID | CMD_SYNC | CMD_KEEP },
	{ "ID", cmd_id, CMD_SYNC },
	{ "IDLE", cmd_idle, CMD_SYNC },
	{ "LIST", cmd_list, CMD_SYNC },
	{ "LOGOUT", cmd_logout, 0 },
	{ "LSUB", cmd_lsub, CMD_SYNC },
	{ "MOVE", cmd_move, CMD_SELECTED | CMD_WRITE | CMD_UID | CMD_SYNC },
	{ "NAMESPACE", cmd_namespace, CMD_SYNC },
	{ "NOOP", cmd_noop, CMD_SYNC },
	{ "RENAME", cmd_rename, CMD_SYNC },
	{ "SEARCH", cmd_search, CMD_SELECTED | CMD_UID | CMD_SYNC | CMD_KEEP },
	{ "SELECT", cmd_select, 0 },
	{ "SORT", cmd_sort, CMD_SELECTED | CMD_UID | CMD_SYNC | CMD_KEEP },
	{ "STATUS", cmd_status, CMD_SYNC },
	{ "STORE", cmd_store, CMD_SELECTED | CMD_WRITE | CMD_UID | CMD_SYNC | CMD_KEEP },
	{ "SUBSCRIBE", cmd_subscribe, CMD_SYNC },
	{ "THREAD", cmd_thread, CMD_SELECTED | CMD_UID | CMD_SYNC | CMD_KEEP },
	{ "UNSELECT", cmd_unselect, CMD_SELECTED },
	{ "UNSUBSCRIBE", cmd_unsubscribe, CMD_SYNC },
};

static const struct command *find(struct span verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (span_iis(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

void command_finish(struct session *s, unsigned flags)
{
	if ((flags & CMD_SYNC) != 0 && s->box != NULL && !s->no_sync && !s->over)
		view_sync(s, (flags & CMD_KEEP) == 0 || s->by_uid);
	if (!s->over || s->final.len > 0)
		stream_write(s->io, buf_span(&s->final));
	buf_reset(&s->final);
}

static const struct command *find_uid(struct session *s, struct imap_command *cmd)
{
	const struct command *c;
	struct span rest = cmd->args, verb = span_cut(&rest, ' ');

	c = find(verb);
	if (c == NULL || (c->flags & CMD_UID) == 0)
		return NULL;
	s->by_uid = true;
	cmd->args = rest;
	return c;
}

static void set_verb(struct session *s, const struct command *c)
{
	s->verb = c->verb;
	if (s->by_uid)
		s->verb = arena_printf(&s->arena, "UID %s", c->verb);
}

void command_run(struct session *s, struct span text)
{
	struct imap_command cmd;
	const struct command *c;
	struct imap_scan args;
	bool ok = imap_command_split(text, &cmd);
	unsigned bad = s->bad;

	s->tag = cmd.tag;
	s->by_uid = s->no_sync = false;
	if (!ok) {
		reply(s, "BAD Error in IMAP command received by server.");
		s->bad++;
		command_finish(s, 0);
		return;
	}
	c = span_iis(cmd.verb, "UID") ? find_uid(s, &cmd) : find(cmd.verb);
	if (c == NULL) {
		s->verb = arena_cstr(&s->arena, cmd.verb);
		reply_bad(s, "Unknown command.");
		command_finish(s, 0);
		return;
	}
	set_verb(s, c);
	while (cmd.args.len > 0 && cmd.args.ptr[0] == ' ')
		cmd.args = span_skip(cmd.args, 1);
	args = imap_scan_init(&s->arena, cmd.args);
	if ((c->flags & CMD_SELECTED) != 0 && s->box == NULL)
		reply(s, "BAD No mailbox selected."), s->bad++;
	else if ((c->flags & CMD_WRITE) != 0 && s->read_only)
		reply(s, "NO [CANNOT] Mailbox is read-only");
	else
		c->run(s, &args);
	if (s->bad == bad)
		s->bad = 0;
	if (!s->parked)
		command_finish(s, c->flags);
}
