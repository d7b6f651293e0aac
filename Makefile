# SPDX-License-Identifier: MIT
# rustybt: one self-contained SQLite extension.
#
#   make            build/rustybt.so
#   make deps       installs the Debian packages that the build needs and that are missing
#   make demo       deps, build, and a worked session (sql/demo.sh; DATA=file.csv for your own trades)
#   make test       all tests, on the installed SQLite and on the newest release (NEWEST=no: without)
#   make check      format, static analysis, layering, a build without a warning
#   make bench      measurements (ROWS=n in the logs; INSTRUCTIONS=1 counts those too, by valgrind)
#   make install    into LIBDIR, where `.load rustybt` finds it; DESTDIR and PREFIX as usual
#   make uninstall, make clean
#
# V=1 shows the commands. LINK=shared uses the system's shared libraries. SANITIZE=1 builds into
# build/sanitize with AddressSanitizer and UndefinedBehaviorSanitizer. WERROR=1: warnings are errors.
# TESTS='system/sql/x.sql newest/unit/y_test' chooses tests, JOBS=n how many run at a time.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

CC := $(if $(filter default,$(origin CC)),cc,$(CC))
PREFIX ?= /usr
CFLAGS ?= -O2 -g
OS := $(shell uname -s)
LINK ?= $(if $(filter Darwin,$(OS)),shared,static)
JOBS ?= 2
NEWEST ?= yes
LIBDIR ?= $(PREFIX)/lib$(addprefix /,$(shell $(CC) -print-multiarch 2>/dev/null))

B := build$(if $(SANITIZE),/sanitize)
Q := $(if $(filter 1,$(V)),,@)
say = @printf '  %-5s %s\n' $(1) $(2)

# ---------------------------------------------------------------------------------------- flags

accepts = $(shell printf 'int x;' | $(CC) -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo '$(1)')

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion \
    -Wno-sign-conversion $(if $(WERROR),-Werror)
HARDENING := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 \
    $(call accepts,-fstack-clash-protection) $(call accepts,-fcf-protection)
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifdef SANITIZE
    override CFLAGS := -O1 -g $(SANITIZERS)
    HARDENING :=
    override LDFLAGS += $(SANITIZERS)
endif
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -pthread \
    $(HARDENING) $(WARNINGS)

ifeq ($(OS),Darwin)
    SO := dylib
    LINK_SO := -dynamiclib -Wl,-exported_symbol,_sqlite3_rustybt_init
else
    SO := so
    LINK_SO := -shared -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs -Wl,-Bsymbolic -Wl,--exclude-libs,ALL
endif
CRYPTO_LIBS := -lsodium -lnettle -lzstd
SO_LIBS := $(if $(filter shared,$(LINK)),$(CRYPTO_LIBS) -lm,-Wl,-Bstatic $(CRYPTO_LIBS) -Wl,-Bdynamic \
    -Wl,--as-needed -lm -lc)

# ---------------------------------------------------------------------------------------- files

SOURCES := $(sort $(wildcard ext/*.c ext/*/*.c))
UNIT_TESTS := $(filter-out $(if $(filter Linux,$(OS)),,kill_test io_error_test power_loss_test),\
    $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/*_test.c))))
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(sort $(wildcard bench/*_bench.c)))
LOADABLE_OBJECTS := $(SOURCES:ext/%.c=$(B)/loadable/%.o)
CORE_OBJECTS := $(SOURCES:ext/%.c=$(B)/core/%.o)
FORMATTED := $(sort $(wildcard ext/*.[ch] ext/*/*.[ch] tests/*.[ch] tests/*/*.[ch] bench/*.[ch]))
EXTENSION := $(B)/rustybt.$(SO)
LIBRARY := $(B)/librustybt.a

.PHONY: all deps deps-test demo test run-tests bench run-benches check warnings install uninstall \
    clean FORCE
all: $(EXTENSION)

# What was built with other flags is built again.
$(B)/compile.flags $(B)/link.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(if $(findstring compile,$@),$(COMPILE),$(LINK_SO) $(LDFLAGS) $(SO_LIBS))' \
	    | cmp -s - $@ || printf '%s\n' \
	    '$(if $(findstring compile,$@),$(COMPILE),$(LINK_SO) $(LDFLAGS) $(SO_LIBS))' > $@

$(B)/loadable/%.o: ext/%.c $(B)/compile.flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# The same for linking into a program: sqlite3_* are the linked library's functions.
$(B)/core/%.o: ext/%.c $(B)/compile.flags
	$(call say,CC,"$< (core)")
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DSQLITE_CORE -MMD -MP -c -o $@ $<

$(EXTENSION): $(LOADABLE_OBJECTS) $(B)/link.flags
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LINK_SO) $(LDFLAGS) -pthread -o $@ $(LOADABLE_OBJECTS) $(SO_LIBS)

$(LIBRARY): $(CORE_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(CORE_OBJECTS)

-include $(LOADABLE_OBJECTS:.o=.d) $(CORE_OBJECTS:.o=.d)
-include $(UNIT_TESTS:%=$(B)/unit/%.d) $(BENCHES:%=%.d) $(B)/sql_runner.d

# ---------------------------------------------------------------------------------------- tools

BUILD_PACKAGES := gcc libc6-dev make pkg-config libsqlite3-dev sqlite3 libsodium-dev nettle-dev \
    libzstd-dev libxxhash-dev zstd
TEST_PACKAGES := perl python3 python3-argon2 python3-cryptography python3-dotenv \
    python3-zstandard python3-fastapi python3-uvicorn python3-websockets par2 \
    binutils softhsm2 opensc openssl valgrind golang-go golang-golang-x-mod-dev
CHECK_PACKAGES := clang-format clang-tidy cppcheck
BENCH_PACKAGES := python3 python3-cryptography postgresql redis-server $(if $(INSTRUCTIONS),valgrind)

# Installs the packages of $(1) that are missing, and the package of each command of $(2) that is.
define install_packages
@if ! command -v dpkg-query >/dev/null; then \
    echo "No dpkg here: rustybt needs what Debian calls $(strip $(1) $(2))"; exit 0; \
fi; \
missing=; \
for package in $(1); do \
    dpkg-query -W -f='$${db:Status-Status}\n' $$package 2>/dev/null | grep -qx installed \
        || missing="$$missing $$package"; \
done; \
for command in $(2); do command -v $$command >/dev/null || missing="$$missing $$command"; done; \
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" = 0 ]; then as_root=; \
elif sudo -n true 2>/dev/null; then as_root="sudo -n"; \
else \
    echo "Missing packages; please run: sudo apt-get install --no-install-recommends$$missing" >&2; \
    exit 1; \
fi; \
echo "Installing$$missing"; \
$$as_root env DEBIAN_FRONTEND=noninteractive sh -ec 'apt-get -q update && \
    apt-get -qy install --no-install-recommends "$$@"' sh $$missing >$${TMPDIR:-/tmp}/rustybt-apt.$$$$ 2>&1 \
    || { cat $${TMPDIR:-/tmp}/rustybt-apt.$$$$ >&2; rm -f $${TMPDIR:-/tmp}/rustybt-apt.$$$$; exit 1; }; \
rm -f $${TMPDIR:-/tmp}/rustybt-apt.$$$$
endef

deps:
	$(call install_packages,$(BUILD_PACKAGES))

deps-test:
	$(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES),$(if $(filter no,$(NEWEST)),,npm))

demo: deps
	@$(MAKE) all
	@DATA='$(DATA)' sh sql/demo.sh

# ---------------------------------------------------------------------------------------- tests

# The newest SQLite, pinned: better-sqlite3's package carries its amalgamation. Built as a shared
# library of the usual name, so that the same programs and Python run on it by LD_LIBRARY_PATH.
NEWEST_VERSION := 3.53.2
NEWEST_PACKAGE := better-sqlite3-12.11.1
NEWEST_SHA256 := ebf0ed75a7a59dbcb3b24bbd014ef49d9f15bc328e4adcbf516f2a8fadfa2835
NEWEST_FLAGS := -DSQLITE_ENABLE_DBPAGE_VTAB -DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK \
    -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_DBSTAT_VTAB \
    -DSQLITE_ENABLE_UNLOCK_NOTIFY -DSQLITE_USE_URI
NEWEST_LIBRARY := build/newest/libsqlite3.so.0

build/newest/sqlite3.c:
	$(call say,FETCH,"SQLite $(NEWEST_VERSION) ($(NEWEST_PACKAGE) from npm)")
	@mkdir -p $(@D)
	$(Q)npm pack --loglevel=error --pack-destination $(@D) \
	    $(subst better-sqlite3-,better-sqlite3@,$(NEWEST_PACKAGE)) >/dev/null || { \
	    echo "SQLite $(NEWEST_VERSION) cannot be fetched; make test NEWEST=no runs without it" >&2; \
	    exit 1; }
	$(Q)echo '$(NEWEST_SHA256)  $(@D)/$(NEWEST_PACKAGE).tgz' | sha256sum --check --quiet
	$(Q)tar -xzf $(@D)/$(NEWEST_PACKAGE).tgz -C $(@D) --strip-components=3 --touch \
	    package/deps/sqlite3

$(NEWEST_LIBRARY): build/newest/sqlite3.c
	$(call say,CC,"$@ ($(NEWEST_VERSION))")
	$(Q)$(CC) -O1 -g -w -fPIC -shared -pthread -Wl,-soname,$(@F) $(NEWEST_FLAGS) -o $@ $< -lm
	@echo $(NEWEST_VERSION) > build/newest/version

$(B)/unit/%: tests/unit/%.c $(LIBRARY) $(B)/compile.flags
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DSQLITE_CORE -Iext -Itests/unit -MMD -MP $(LDFLAGS) -o $@ $< $(LIBRARY) \
	    $(CRYPTO_LIBS) -lsqlite3 -lm

# With the sanitizers the extension is linked in: their reports can then name its functions.
$(B)/sql_runner: tests/sql_runner.c $(if $(SANITIZE),$(LIBRARY)) $(B)/compile.flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(SANITIZE),-DSQLITE_CORE) -Iext -MMD -MP $(LDFLAGS) -o $@ $< \
	    $(if $(SANITIZE),$(LIBRARY) $(CRYPTO_LIBS)) -lsqlite3 -lm

# A test's name is <SQLite>/<kind>/<name>; tests/run knows how to run each.
ON_BOTH := $(UNIT_TESTS:%=unit/%) $(patsubst tests/%,%,$(sort $(wildcard tests/sql/*.sql \
    tests/python/*_test.py)))
ON_ONE := $(patsubst tests/%,%,$(sort $(wildcard tests/shell/*_test.sh)))
TESTS ?= $(ON_ONE:%=system/%) $(ON_BOTH:%=system/%) $(if $(filter no,$(NEWEST)),,$(ON_BOTH:%=newest/%))

test: deps-test
	@$(MAKE) run-tests

# DuckDB, ClickHouse and Litestream (tests/readers/packages), for the tests that run them; 600 MB.
.PHONY: readers
readers:
	$(Q)sh tests/readers/fetch.sh build/readers

run-tests: $(EXTENSION) $(UNIT_TESTS:%=$(B)/unit/%) $(B)/sql_runner \
    $(if $(filter %/readers_test.sh %/replication_test.sh,$(TESTS)),readers) \
    $(if $(filter no,$(NEWEST)),,$(NEWEST_LIBRARY))
	$(if $(filter no,$(NEWEST)),@echo "NEWEST=no: on the installed SQLite alone")
	$(Q)TEST_BUILD=$(B) TEST_LINK=$(LINK) \
	    TEST_PRELOAD='$(if $(SANITIZE),$(shell $(CC) -print-file-name=libasan.so):$(shell \
	    $(CC) -print-file-name=libubsan.so))' prove -j$(JOBS) --exec tests/run $(TESTS)

$(B)/bench/%: bench/%.c $(LIBRARY) $(B)/compile.flags
	$(call say,BENCH,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DSQLITE_CORE -Iext -Ibench -MMD -MP $(LDFLAGS) -o $@ $< $(LIBRARY) \
	    $(CRYPTO_LIBS) -lsqlite3 -lm

bench:
	$(call install_packages,$(BUILD_PACKAGES) $(BENCH_PACKAGES))
	@$(MAKE) run-benches

# Without installing anything: what is missing is skipped.
run-benches: $(EXTENSION) $(BENCHES)
	$(Q)BENCH_BUILD=$(B) RUSTYBT_SO=$(EXTENSION) INSTRUCTIONS=$(INSTRUCTIONS) \
	    /usr/bin/python3 bench/ratios.py $(ROWS)

# ---------------------------------------------------------------------------------------- checks

check:
	$(call install_packages,$(BUILD_PACKAGES) $(CHECK_PACKAGES))
	$(call say,CHECK,layering)
	$(Q)sh tests/check_layers.sh ext
	$(call say,CHECK,format)
	$(Q)clang-format --dry-run -Werror $(FORMATTED)
	$(call say,CHECK,warnings)
	$(Q)$(MAKE) -j$(JOBS) WERROR=1 B=build/check warnings
	$(call say,CHECK,cppcheck)
	$(Q)cppcheck --quiet --std=c11 --platform=unix64 --enable=warning,performance,portability \
	    --inline-suppr --suppress=missingInclude --suppress=unknownMacro -D_GNU_SOURCE \
	    -DSQLITE_CORE --error-exitcode=1 -j $(JOBS) ext tests/sql_runner.c
	$(call say,CHECK,clang-tidy)
	$(Q)printf '%s\n' $(SOURCES) | xargs -P $(JOBS) -n 1 sh -c 'clang-tidy --quiet "$$@" -- \
	    -std=c11 -D_GNU_SOURCE -DSQLITE_CORE 2>/dev/null' clang-tidy
	@echo "All checks passed"

warnings: $(LOADABLE_OBJECTS) $(CORE_OBJECTS) $(UNIT_TESTS:%=$(B)/unit/%) $(BENCHES) $(B)/sql_runner

# --------------------------------------------------------------------------------------- install

install: all
	$(call say,INST,$(DESTDIR)$(LIBDIR)/rustybt.$(SO))
	$(Q)install -d $(DESTDIR)$(LIBDIR)
	$(Q)install -m 644 $(EXTENSION) $(DESTDIR)$(LIBDIR)/rustybt.$(SO)
	@echo "In sqlite3, from any folder, type: .load rustybt"

uninstall:
	$(call say,RM,$(DESTDIR)$(LIBDIR)/rustybt.$(SO))
	$(Q)rm -f $(DESTDIR)$(LIBDIR)/rustybt.$(SO)

clean:
	$(Q)rm -rf build
