# SPDX-License-Identifier: BSD-2-Clause
# make deps          installs the packages that building needs (apt or dnf), or says which
# make run           a private instance in var/run-test: sends a letter, reads it back, runs until Ctrl-C
# make demo          the same, then ends it
# make install       programs, commands, man pages, settings (never overwritten) and the systemd unit, below DESTDIR
# make users         the system users of the mail system
.PHONY: deps run demo install users
deps:
	@conf/deps

# Asked once per tree: better one clear line than a page of the compiler's.
$(B)/.deps: conf/deps
	@conf/deps -n
	@mkdir -p $(@D) && touch $@
$(ALL_OBJ): | $(B)/.deps

run: all
	@BIN=$(CURDIR)/$(B)/bin conf/try var/run-test --stay

demo: all
	@BIN=$(CURDIR)/$(B)/bin conf/try var/run-test

bindir = $(prefix)/bin
sysusersdir = $(prefix)/lib/sysusers.d
confdir = $(DESTDIR)$(sysconfdir)/posthouse
fail2bandir = $(DESTDIR)$(sysconfdir)/fail2ban
install: all
	install -d $(addprefix $(DESTDIR),$(daemondir) $(sbindir) $(bindir) $(mandir)/man1 $(mandir)/man5 $(mandir)/man7 $(mandir)/man8 \
		$(unitdir) $(sysusersdir) $(sysconfdir)/posthouse)
	install -m 755 $(BUILT_PROGRAMS:%=$(B)/bin/%) $(DESTDIR)$(daemondir)
	ln -sf smtp $(DESTDIR)$(daemondir)/lmtp
	install -m 755 $(BUILT_TOOLS:%=$(B)/bin/%) $(DESTDIR)$(sbindir)
	for l in mailq newaliases; do ln -sf ../sbin/sendmail $(DESTDIR)$(bindir)/$$l; done
	for s in 1 5 7 8; do for m in man/*.$$s; do [ ! -f $$m ] || install -m 644 $$m $(DESTDIR)$(mandir)/man$$s || exit 1; done; done
	for f in main.cf master.cf; do [ -f $(confdir)/$$f ] || install -m 644 conf/$$f $(confdir)/$$f || exit 1; \
		install -m 644 conf/$$f $(confdir)/$$f.dist; done
	[ -f $(DESTDIR)$(sysconfdir)/aliases ] || install -m 644 conf/aliases $(DESTDIR)$(sysconfdir)/aliases
	sed 's|@sbindir@|$(sbindir)|' conf/posthouse.service >$(DESTDIR)$(unitdir)/posthouse.service
	chmod 644 $(DESTDIR)$(unitdir)/posthouse.service
	install -d $(fail2bandir)/filter.d $(fail2bandir)/jail.d
	install -m 644 conf/fail2ban/filter.conf $(fail2bandir)/filter.d/posthouse.conf
	[ -f $(fail2bandir)/jail.d/posthouse.conf ] || install -m 644 conf/fail2ban/jail.conf $(fail2bandir)/jail.d/posthouse.conf
	install -m 644 conf/posthouse.sysusers $(DESTDIR)$(sysusersdir)/posthouse.conf
	@echo 'Next: make users; edit $(sysconfdir)/posthouse/main.cf; posthouse check; systemctl enable --now posthouse'

users:
	getent group postdrop >/dev/null || groupadd --system postdrop
	for u in posthouse postlogin; do id $$u >/dev/null 2>&1 || \
		useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin $$u || exit 1; done
