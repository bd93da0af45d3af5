# SPDX-License-Identifier: BSD-2-Clause
# Posthouse. `make' builds, `make run' starts a private instance, `make check' runs every test, `make help' lists the rest.

MODE   ?= release
# make V=1 shows the whole commands
Q      := $(if $(V),,@)
B      := build/$(MODE)
DESTDIR ?=
prefix ?= /usr
sbindir     = $(prefix)/sbin
daemondir   = $(prefix)/lib/posthouse
mandir      = $(prefix)/share/man
sysconfdir  ?= /etc
unitdir     ?= /lib/systemd/system

PROGRAMS := master smtpd qmgr smtp local pipe bounce login auth sasl imapd pop3d
TOOLS    := sendmail postqueue postsuper postcat postconf postmap postalias posthouse
LAYERS   := base proto io conf map queue store route service

# --- compiler ---------------------------------------------------------------------------------------------------------
CC      ?= cc
WARN    := -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DDAEMON_DIR='"$(daemondir)"' -DCONFIG_DIR='"$(sysconfdir)/posthouse"'
BASEFLAGS := -std=gnu17 $(WARN) -fno-common -pthread -MMD -MP
ifneq ($(CI),)
BASEFLAGS += -Werror
endif
LDLIBS  := -lssl -lcrypto -lcrypt -ldb -llmdb -lpcre2-8 -lidn2 -lidn -lpam -lz -lresolv -pthread

ifeq ($(MODE),release)
CFLAGS  ?= -O2 -g
BASEFLAGS += -fstack-protector-strong -fPIE -Wp,-U_FORTIFY_SOURCE -Wp,-D_FORTIFY_SOURCE=2
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed
else ifeq ($(MODE),debug)
CFLAGS  ?= -O0 -g3
LDFLAGS += -Wl,--as-needed
else ifeq ($(MODE),asan)
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer
BASEFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(MODE),tsan)
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer
BASEFLAGS += -fsanitize=thread
LDFLAGS += -fsanitize=thread
else ifeq ($(MODE),fuzz)
CC      := clang
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer
BASEFLAGS += -fsanitize=fuzzer-no-link,address,undefined -DFUZZING
LDFLAGS += -fsanitize=fuzzer-no-link,address,undefined
else
$(error MODE is release, debug, asan, tsan or fuzz)
endif

# --- what there is ----------------------------------------------------------------------------------------------------
LIB_SRC  := $(foreach l,$(LAYERS),$(wildcard lib/$(l)/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/obj/%.o)
LIB      := $(B)/libposthouse.a
prog_src  = $(wildcard $(1)/*.c)
# A tool is tools/NAME.c or the directory tools/NAME/.
tool_src  = $(wildcard tools/$(1).c tools/$(1)/*.c)
BUILT_PROGRAMS := $(foreach p,$(PROGRAMS),$(if $(call prog_src,$(p)),$(p)))
BUILT_TOOLS    := $(foreach t,$(TOOLS),$(if $(call tool_src,$(t)),$(t)))
BINS     := $(BUILT_PROGRAMS:%=$(B)/bin/%) $(BUILT_TOOLS:%=$(B)/bin/%)
UNIT     := $(patsubst t/unit/%.c,$(B)/t/unit/%,$(wildcard t/unit/*_test.c))
FUZZERS  := $(patsubst t/fuzz/%.c,$(B)/t/fuzz/%,$(wildcard t/fuzz/fuzz_*.c))
HELPERS  := $(patsubst t/lib/%.c,$(B)/t/lib/%,$(wildcard t/lib/*.c)) $(patsubst t/bench/%.c,$(B)/t/bench/%,$(wildcard t/bench/*.c))
ALL_OBJ  := $(LIB_OBJ)

.PHONY: all
all: $(BINS) links

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CPPFLAGS) $(BASEFLAGS) $(CFLAGS) -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

define program
$(B)/bin/$(1): $(2:%.c=$(B)/obj/%.o) $(LIB)
	@mkdir -p $$(@D)
	@echo "  LD $$@"
	$$(Q)$$(CC) $$(CFLAGS) $$(BASEFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(LIB) $$(LDLIBS)
ALL_OBJ += $(2:%.c=$(B)/obj/%.o)
endef
$(foreach p,$(BUILT_PROGRAMS),$(eval $(call program,$(p),$(call prog_src,$(p)))))
$(foreach t,$(BUILT_TOOLS),$(eval $(call program,$(t),$(call tool_src,$(t)))))

# mailq and newaliases are sendmail under another name, as everywhere; lmtp is smtp.
.PHONY: links
links: $(BINS)
	@for l in mailq newaliases; do [ -e $(B)/bin/sendmail ] && ln -sf sendmail $(B)/bin/$$l; done; [ ! -e $(B)/bin/smtp ] || ln -sf smtp $(B)/bin/lmtp

# --- tests ------------------------------------------------------------------------------------------------------------
$(B)/t/unit/%: $(B)/obj/t/unit/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS) $(BASEFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) -lcmocka $(LDLIBS)

# Part of a program, with the rest of it played by the test.
$(B)/t/unit/qmgr_ready_test: $(B)/obj/qmgr/ready.o $(B)/obj/qmgr/dest.o

# This one plays sessions through a program's own code.
$(B)/t/fuzz/fuzz_smtpd: $(patsubst %.c,$(B)/obj/%.o,$(filter-out %/main.c,$(wildcard smtpd/*.c)))

# A fuzz target outside MODE=fuzz gets a main() that replays the files named on its command line.
$(B)/t/fuzz/%: $(B)/obj/t/fuzz/%.o $(if $(filter fuzz,$(MODE)),,$(B)/obj/t/fuzz/replay.o) $(LIB)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS) $(BASEFLAGS) $(LDFLAGS) $(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS)

$(B)/t/lib/%: $(B)/obj/t/lib/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS) $(BASEFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

$(B)/t/bench/%: $(B)/obj/t/bench/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS) $(BASEFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

include t/check.mk
include conf/install.mk

# --- documents, style -------------------------------------------------------------------------------------------------
.PHONY: format man compile_commands.json clean help
# make man           the list of parameters in main.cf(5) anew from conf/params.def
man:
	conf/mkparams

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

compile_commands.json:
	@bear -- $(MAKE) -B all

clean:
	rm -rf build

help:
	@sed -n 's/^# make /make /p' Makefile t/check.mk conf/install.mk

-include $(patsubst %.o,%.d,$(wildcard $(B)/obj/*/*.o $(B)/obj/*/*/*.o))
.SECONDARY:
.DELETE_ON_ERROR:
