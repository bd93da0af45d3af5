/* SPDX-License-Identifier: BSD-2-Clause */
/* What the IMAP service can do, in one place: login says it before, imapd after the user is known. */
#pragma once

/* Before login; login appends AUTH=PLAIN AUTH=LOGIN or LOGINDISABLED. */
#define IMAP_CAPABILITIES_BASE "IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE LITERAL+"
/* After login: all of it. imapd sends this in the OK of the login command and for CAPABILITY. */
#define IMAP_CAPABILITIES_USER                                                                                         \
	IMAP_CAPABILITIES_BASE                                                                                         \
	" NAMESPACE CHILDREN UNSELECT UIDPLUS MULTIAPPEND MOVE SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE"       \
	" ESEARCH SEARCHRES WITHIN PARTIAL SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS" \
	" CONDSTORE QRESYNC BINARY APPENDLIMIT CREATE-SPECIAL-USE UTF8=ACCEPT OBJECTID SAVEDATE"
