/* SPDX-License-Identifier: BSD-2-Clause */
/* Under the name lmtp, what main.cf says of lmtp_ counts where the code asks for smtp_. */
#include "lib/conf/conf.h"
#include "smtp/site.h"

enum { CONNECT_MS = 120 * 1000 };

void lmtp_take_settings(void)
{
	struct conf *c = (struct conf *)(uintptr_t)conf; /* ours, and no thread reads it yet */

	c->smtp_connect_timeout_ms = c->lmtp_connect_timeout_ms;
	c->smtp_helo_timeout_ms = c->lmtp_lhlo_timeout_ms;
	c->smtp_mail_timeout_ms = c->lmtp_mail_timeout_ms;
	c->smtp_rcpt_timeout_ms = c->lmtp_rcpt_timeout_ms;
	c->smtp_data_init_timeout_ms = c->lmtp_data_init_timeout_ms;
	c->smtp_data_xfer_timeout_ms = c->lmtp_data_xfer_timeout_ms;
	c->smtp_data_done_timeout_ms = c->lmtp_data_done_timeout_ms;
	c->smtp_skip_5xx_greeting = c->lmtp_skip_5xx_greeting;
	c->smtp_connection_cache_time_limit_ms = c->lmtp_connection_cache_time_limit_ms;
	c->smtp_connection_reuse_time_limit_ms = c->lmtp_connection_reuse_time_limit_ms;
	c->smtp_mx_address_limit = c->lmtp_mx_address_limit;
	c->smtp_mx_session_limit = c->lmtp_mx_session_limit;
	c->smtp_line_length_limit = c->lmtp_line_length_limit;
	c->smtp_address_preference = c->lmtp_address_preference;
	c->smtp_bind_address = c->lmtp_bind_address;
	c->smtp_bind_address6 = c->lmtp_bind_address6;
	c->smtp_helo_name = c->lmtp_lhlo_name;
	c->smtp_tls_security_level = c->lmtp_tls_security_level;
	c->smtp_tls_policy_maps = c->lmtp_tls_policy_maps;
	c->smtp_enforce_tls = c->lmtp_enforce_tls;
	c->smtp_host_lookup = c->lmtp_host_lookup;
	if (c->smtp_connect_timeout_ms == 0)
		c->smtp_connect_timeout_ms = CONNECT_MS;
}
