TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := $(abspath $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release/rtmp-server)
TABLE := target/interop/table.txt

.PHONY: build run test check interop bench tools

# The server as one file that needs no other.
build:
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target $(TARGET)
	@ldd $(BINARY) 2>&1 | grep -E 'statically linked|not a dynamic executable'
	@echo $(BINARY)

# Starts the server on port 1935; more flags in ARGS.
run:
	cargo run --release -- $(ARGS)

# All tests. Those end to end run against what `build` makes.
test: tools build
	@rm -f $(TABLE)
	INTEROP_SERVER=$(BINARY) cargo test
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
	INTEROP_SERVER=$(BINARY) cargo test --test interop -- --test-threads 3 || status=$$?; \
	test ! -e $(TABLE) || sort $(TABLE); \
	exit $$status

# What the server costs: CPU time, latency, memory, losses; PEER=nginx runs nginx-rtmp beside it.
# ROUNDS and SECONDS are environment variables too; ARGS picks some of: chunks amf0 fan-out streams
# high-rate slow.
bench:
	cargo bench --bench bench -- $(ARGS)

# The programs that the tests run, if they are missing.
tools:
	@tests/tools.sh
