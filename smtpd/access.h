/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may do what: the lists smtpd_{client,helo,sender,relay,recipient,data,end_of_data,etrn}_restrictions, and whether the
 * recipient exists. A list is tried rule by rule until one permits or refuses; PERMIT ends that list only. With
 * smtpd_delay_reject the client, HELO and sender lists run at RCPT TO (or ETRN), so that a log line names the recipient.
 */
#pragma once
#include "smtpd/session.h"

enum access_stage {
	ACCESS_CLIENT, ACCESS_HELO, ACCESS_SENDER, ACCESS_RELAY, ACCESS_RECIPIENT, ACCESS_DATA, ACCESS_END_OF_DATA, ACCESS_ETRN,
	ACCESS_STAGES,
};

/* Read the restriction lists of the configuration, before threads start. A name that is not known is logged; where it is
 * reached the client gets "451 4.3.5 Server configuration error". */
void access_init(void);

/*
 * Each at its command. True: go on. False: *text_r is the whole reply, in s->cmd, and the refusal has been logged.
 * Those of client, HELO and sender do nothing when smtpd_delay_reject says that RCPT does it.
 */
bool access_connect(struct smtpd_session *s, const char **text_r);
bool access_helo(struct smtpd_session *s, const char *verb, const char **text_r);
bool access_mail(struct smtpd_session *s, const char **text_r);
/* address: rewritten; given: as the client wrote it, for the texts. Internal forms. */
bool access_rcpt(struct smtpd_session *s, struct span address, struct span given, const char **text_r);
/* The same for VRFY: nothing is logged or remembered. */
bool access_vrfy(struct smtpd_session *s, struct span address, struct span given, const char **text_r);
bool access_data(struct smtpd_session *s, const char **text_r);
bool access_end_of_data(struct smtpd_session *s, const char **text_r);
bool access_etrn(struct smtpd_session *s, struct span domain, const char **text_r);
