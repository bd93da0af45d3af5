/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse mailbox, posthouse index: one user's mail, with his rights. */
#pragma once
#include "lib/proto/imap_seq.h"
#include "lib/store/store.h"

/* Become the user for good and open his mail; ends the program with a status of sysexits.h when that cannot be. */
struct store *mailbox_open_store(const char *user);
/* 0 for STORE_OK; else says what is wrong with name on standard error. */
int mailbox_status(enum store_status st, const char *name);

/* Which messages: a table of words, all of which have to be true. */
struct mailbox_query;
/* words: argc of them. NULL: they make no sense, and that has been said. In a. */
struct mailbox_query *mailbox_query_parse(struct arena *a, int argc, char **words);
bool mailbox_query_matches(struct mailbox_query *q, struct mailbox *mb, uint32_t seq);

/* As an mbox on standard output, or from one on standard input. Status as in sysexits.h. */
int mailbox_export(struct mailbox *mb, struct mailbox_query *q);
int mailbox_import(struct store *s, const char *name);

int mailbox_command(int argc, char **argv); /* argv[0] is "mailbox" */
int index_command(int argc, char **argv);   /* argv[0] is "index" */
