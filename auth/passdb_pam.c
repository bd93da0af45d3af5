/* SPDX-License-Identifier: BSD-2-Clause */
/* PAM: whatever the administrator put behind pam_service_name. */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

/* Every question without echo is answered by the password, every other one by the user name. */
static int converse(int n, const struct pam_message **messages, struct pam_response **out, void *arg)
{
	const struct attempt *at = arg;
	struct pam_response *answers;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	answers = calloc((size_t)n, sizeof *answers); /* PAM frees it */
	if (answers == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			answers[i].resp = mem_strdup(at->password);
		else if (messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			answers[i].resp = mem_strdup(at->name);
	}
	*out = answers;
	return PAM_SUCCESS;
}

/* login makes every refusal late; a module that sleeps here would only keep others waiting. */
static void no_delay(int status, unsigned usec, void *arg)
{
	(void)status;
	(void)usec;
	(void)arg;
}

static enum passdb_status of_pam(int err)
{
	switch (err) {
	case PAM_SUCCESS:
		return PASSDB_OK;
	case PAM_USER_UNKNOWN:
		return PASSDB_UNKNOWN;
	case PAM_AUTH_ERR:
	case PAM_PERM_DENIED:
	case PAM_MAXTRIES:
	case PAM_CRED_INSUFFICIENT:
		return PASSDB_MISMATCH;
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_CRED_EXPIRED:
		return PASSDB_DISABLED;
	default:
		return PASSDB_TEMP;
	}
}

static void log_failure(const struct attempt *at, pam_handle_t *pamh, const char *step, int err)
{
	char text[256];

	snprintf(text, sizeof text, "%s() failed: %s%s", step, pam_strerror(pamh, err),
		 err == PAM_AUTH_ERR ? " (Password mismatch?)" : "");
	passdb_log(at, "pam", text);
}

static int run(const struct attempt *at, pam_handle_t *pamh)
{
	int err;

	pam_set_item(pamh, PAM_RHOST, at->ip);
	pam_set_item(pamh, PAM_TTY, "dovecot");
	pam_set_item(pamh, PAM_FAIL_DELAY, (const void *)no_delay);
	err = pam_authenticate(pamh, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (err != PAM_SUCCESS) {
		log_failure(at, pamh, "pam_authenticate", err);
		return err;
	}
	err = pam_acct_mgmt(pamh, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (err != PAM_SUCCESS)
		log_failure(at, pamh, "pam_acct_mgmt", err);
	return err;
}

enum passdb_status passdb_pam(struct attempt *at, const char *arg)
{
	struct pam_conv conv = { converse, at };
	pam_handle_t *pamh = NULL;
	int err;

	(void)arg;
	err = pam_start(conf->pam_service_name, at->name, &conv, &pamh);
	if (err != PAM_SUCCESS) {
		log_error("pam: pam_start(%s): error %d", conf->pam_service_name, err);
		return PASSDB_TEMP;
	}
	err = run(at, pamh);
	pam_end(pamh, err);
	return of_pam(err);
}
