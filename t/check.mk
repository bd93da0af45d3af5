# SPDX-License-Identifier: BSD-2-Clause
# make check         every test (check-unit, check-fuzz, check-e2e, check-fault, lint of the man pages); prove's summary last
# make check-unit    cmocka tests of lib/ and the pure parts of the programs
# make check-fuzz    replays the corpora of t/fuzz
# make check-e2e     real servers, real clients (t/e2e/*.t)
JOBS ?= $(shell nproc)
PROVE := prove -j$(JOBS) --timer --failures

.PHONY: check check-unit check-fuzz check-e2e check-fault
check-unit: $(UNIT)
	CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) -e '' $(UNIT)

check-fuzz: $(FUZZERS)
	@for f in $(FUZZERS); do n=$$(basename $$f); d=t/fuzz/corpus/$${n#fuzz_}; [ ! -d $$d ] || $$f $$d/* || exit 1; done; echo "fuzz corpora replayed"

check-e2e: all $(HELPERS)
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t $(PROVE) -I t/lib t/e2e/*.t

check: all $(UNIT) $(FUZZERS) $(HELPERS)
	$(MAKE) check-fuzz
	BIN=$(CURDIR)/$(B)/bin TBIN=$(CURDIR)/$(B)/t CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) -I t/lib --exec t/lib/run-test $(UNIT) $(wildcard t/e2e/*.t) $(wildcard t/fault/*.t)
