# SPDX-License-Identifier: BSD-2-Clause
# make check         every test: unit, fuzz corpora, end to end, faults; prove's summary last
# make check-unit    cmocka tests of lib/ and the pure parts of the programs
# make check-fuzz    replays the corpora of t/fuzz
# make check-e2e     real servers, real clients (t/e2e/*.t)
# make check-asan    what asan is good at: unit tests, corpora, the end-to-end tests of the dialogues (MODE=asan)
# make fuzz          searches with libFuzzer (clang), FUZZ_SECONDS (60) per parser; new inputs go to build/fuzz/corpus
# make bench         letters (also over TLS), handshakes and AUTH per second beside Postfix, logins per second and idle sessions beside
#                    Dovecot, where they are installed
# make bench-mailbox what a reader waits for, beside Dovecot when it is installed
# make lint          the rules of the house: layers, sizes, pages, parameters, cppcheck
JOBS ?= $(shell nproc)
PROVE := prove -j$(JOBS) --timer --failures
TESTENV = BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t CMOCKA_MESSAGE_OUTPUT=TAP
PROVE_ALL = $(TESTENV) $(PROVE) -I t/lib --exec t/lib/run-test
E2E := $(sort $(wildcard t/e2e/*.t))
FAULT := $(sort $(wildcard t/fault/*.t))
# asan slows a server down and finds nothing in a peer: load, log readers and other servers are left out; and it keeps freed memory
# for a while, so a test of growth (0404) fails.
ASAN_E2E ?= $(filter-out t/e2e/0201-% t/e2e/0404-% t/e2e/15% t/e2e/18% t/e2e/19%,$(E2E))

.PHONY: fuzz fuzz-run check check-unit check-fuzz check-e2e check-fault check-asan tests bench bench-mailbox lint
tests: $(UNIT) $(FUZZERS) $(HELPERS)

check-unit: $(UNIT)
	$(PROVE_ALL) $(UNIT)

check-fuzz: $(FUZZERS)
	@for f in $(FUZZERS); do n=$$(basename $$f); d=t/fuzz/corpus/$${n#fuzz_}; \
		[ ! -d $$d ] || $$f $$d/* >/dev/null || exit 1; done; echo "fuzz corpora replayed"

FUZZ_SECONDS ?= 60
fuzz:
	$(MAKE) MODE=fuzz fuzz-run

fuzz-run: $(FUZZERS)
	@for f in $(FUZZERS); do n=$$(basename $$f); d=t/fuzz/corpus/$${n#fuzz_}; new=$(B)/corpus/$${n#fuzz_}; mkdir -p $$new; \
		dict=t/fuzz/$${n#fuzz_}.dict; [ -f $$dict ] && dict=-dict=$$dict || dict=; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -artifact_prefix=$(B)/ $$dict $$new $$d || exit 1; done

check-e2e: all $(HELPERS)
	$(PROVE_ALL) $(E2E)

check-fault: all $(HELPERS)
	$(PROVE_ALL) $(FAULT)

check-asan: all tests check-fuzz
	$(PROVE_ALL) $(UNIT) $(ASAN_E2E)

check: all tests check-fuzz
	$(PROVE_ALL) $(UNIT) $(E2E) $(FAULT)

bench: all $(HELPERS)
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/run local maildir relay tls tls1
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/sessions
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/idle
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/logins
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/idle-imap
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/deferred

bench-mailbox: all $(HELPERS)
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t t/bench/mailbox

lint:
	@t/lint
