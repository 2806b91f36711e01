# The machine that installs may have no compiler.
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
TARGET := $(or $(HOST),$(shell uname -m)-unknown-linux-gnu)
BINARY := $(abspath $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release/rtmp-server)
TABLE := target/interop/table.txt

HTTP_LISTEN ?= 127.0.0.1:8080
METRICS_ADDR ?= 127.0.0.1:9090

PREFIX ?= /usr/local
BIN_DIR = $(PREFIX)/bin
UNIT_DIR = $(PREFIX)/lib/systemd/system

.PHONY: build run test check interop systemd faults bench fuzz soak race tools install uninstall

# The server as one file that needs no other.
build:
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target $(TARGET)
	@ldd $(BINARY) 2>&1 | grep -E 'statically linked|not a dynamic executable'
	@echo $(BINARY)

# Starts the server on port 1935, with streams in browsers and the status page for this machine
# alone; more flags in ARGS.
run:
	cargo run --release -- -http-listen $(HTTP_LISTEN) -metrics-addr $(METRICS_ADDR) $(ARGS)

# Puts the server and its units below PREFIX, or below DESTDIR/PREFIX for a package. It is built
# before, unless this machine has no compiler: then run `build` on one that has.
install: $(if $(HOST),build)
	install -D -m 755 $(BINARY) $(DESTDIR)$(BIN_DIR)/rtmp-server
	install -d $(DESTDIR)$(UNIT_DIR)
	sed 's|@BINDIR@|$(BIN_DIR)|' src/systemd/rtmp-server.service.in >$(DESTDIR)$(UNIT_DIR)/rtmp-server.service
	install -m 644 src/systemd/rtmp-server.socket src/systemd/rtmp-server-tls.socket $(DESTDIR)$(UNIT_DIR)
	chmod 644 $(DESTDIR)$(UNIT_DIR)/rtmp-server.service

uninstall:
	rm -f $(DESTDIR)$(BIN_DIR)/rtmp-server
	rm -f $(addprefix $(DESTDIR)$(UNIT_DIR)/,rtmp-server.service rtmp-server.socket rtmp-server-tls.socket)

# All tests. Those end to end run against what `build` makes. Most of them wait, so more run at a
# time than there are processors; but browsers, of which it is measured how far they are behind, run
# when the others are done.
test: tools build
	@rm -f $(TABLE)
	INTEROP_SERVER=$(BINARY) RUST_TEST_THREADS=8 cargo test -- --skip browser::
	INTEROP_SERVER=$(BINARY) RUST_TEST_THREADS=8 cargo test --test programs browser::
	@sort $(TABLE)

# What must hold before a commit, besides the tests.
check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

# Only the tests with other programs, and a table of all pairs: row, publisher, player, codecs,
# packets compared in the played file, messages compared on the wire, seconds, result.
interop: tools build
	@rm -f $(TABLE)
	@status=0; \
	INTEROP_SERVER=$(BINARY) cargo test --test programs interop:: -- --test-threads 3 || status=$$?; \
	test ! -e $(TABLE) || sort $(TABLE); \
	exit $$status

# What `install` puts in place, run by a real systemd in namespaces of its own. As root.
systemd: build
	@tests/programs/systemd/boot.sh

# What the server costs: CPU time, latency, memory, losses; PEER=nginx runs nginx-rtmp beside it.
# ROUNDS and SECONDS are environment variables too; ARGS picks some of: chunks amf0 idle fan-out
# still wide streams high-rate slow ingest recordings-flv recordings-mp4 relays http-flv http-mp4
# http-hls series.
bench:
	cargo bench --bench bench -- $(ARGS)

# Feeds the readers of everything that comes from outside with what coverage finds interesting, each for
# FUZZ_SECONDS; ARGS picks some of them. Needs a nightly toolchain with cargo-fuzz, and says so.
fuzz:
	@tests/fuzz/run.sh $(ARGS)

# Random sequences of clients against a reference, with fresh seeds, for SOAK_SECONDS (an hour); a
# failure prints what replays it. Then clients of every protocol that come and go for half an hour,
# recordings of 60 days, and more bytes of a connection than 32 bits count.
soak:
	SOAK_SECONDS=$${SOAK_SECONDS:-3600} cargo test --test model -- --nocapture
	CHURN_SECONDS=1800 CHURN_PAUSE_MS=150 cargo test --test server churn -- --nocapture
	SOAK_DAYS=60 cargo test --test media days
	MANY_PICTURES=4200 cargo test --test server many_bytes

# The library's tests and those over sockets under ThreadSanitizer, but for those that measure time,
# memory or threads; ARGS picks some of them. Needs a nightly toolchain with its sources, and says so.
race:
	@tests/race.sh $(ARGS)

# What fails around the server, in the long forms too: minutes of standing still, networks that are cut
# for minutes. As root it shows more.
faults: tools
	FAULTS=long cargo test --test programs programs::faults::

# The programs that the tests run, if they are missing.
tools:
	@tests/tools.sh
