# `make demo` runs a real JupyterHub on this machine; `make test` runs all tests. Both install what they need on
# Debian 12 with Rust, Go, Node.js and Python, and are quick when run again.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/perijove
TOOLS := $(CACHE)/tools
export PATH := $(TOOLS)/uv/bin:$(TOOLS)/bin:$(HOME)/.cargo/bin:$(PATH)

# Debian packages that the tests run: the peer registry, runtimes, a browser, what makes fixtures, networks and disks
# for the nodes of a real Kubernetes, and what sees system calls.
TEST_PACKAGES := docker-registry jq podman runc buildah busybox-static binutils chromium fonts-dejavu-core gnupg dpkg-dev apache2-utils uidmap faketime strace qemu-user-static containernetworking-plugins iproute2 e2fsprogs
# Linters of the pipelines that `perijove init` writes
ZIZMOR := 1.32.0
ACTIONLINT := 1.7.12
# What `docker buildx` is tested with: the plug-in itself, and a BuildKit of the test's own.
BUILDX := 0.38.2
BUILDKIT := 0.34.2
BUILDERS := $(TOOLS)/buildx-$(BUILDX)-buildkit-$(BUILDKIT).ok
LINTERS := $(TOOLS)/zizmor-$(ZIZMOR)-actionlint-$(ACTIONLINT).ok
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PORT ?= 8000

.PHONY: help demo build dist await-image test lint tools-demo tools-test tools-kube tools-await tools-lint tools-fuzz tools-uv tools-apt bench fuzz clean

help: ## say what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## compile perijove
	cargo build --locked -p perijove

demo: tools-demo build ## build, test, release and run the demo image: JupyterHub on http://127.0.0.1:8000
	@echo "==> perijove demo: Ctrl-C ends it"
	target/debug/perijove demo --port $(PORT)

# One program without shared libraries, and a wheel of it. PROFILE=dev compiles fast.
PROFILE := release
DIST := target/dist
TARGET = $(shell rustc --version --verbose | sed -n 's/^host: //p')
# Random numbers from the kernel's call: a static program finds none in the C library, and would need /dev/urandom.
STATIC_FLAGS = -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom" \
  --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo --remap-path-prefix=$(CURDIR)=/perijove

dist: tools-uv ## a static program and a wheel of it, in target/dist/
	@echo "==> static program and wheel"
	@rm -rf $(DIST) && mkdir -p $(DIST)
	RUSTFLAGS='$(STATIC_FLAGS)' CARGO_TARGET_DIR=$(CURDIR)/target/static \
	  uvx --quiet --from 'maturin>=1.9,<2' maturin build --quiet --profile $(PROFILE) --target $(TARGET) --out $(DIST)
	install --strip target/static/$(TARGET)/$(PROFILE:dev=debug)/perijove $(DIST)/perijove

# The pre-puller's image: a static program of each architecture, and nothing else. SMALL=dev compiles fast.
SMALL := small
AWAIT := target/await-image
AWAIT_TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
# Not relocatable: a `noop` that sleeps on each node would have pages of its own for what is relocated.
# rustc brings its own linker and C library for these targets; ring has some C, so each needs a compiler.
AWAIT_ENV = CARGO_TARGET_DIR=$(CURDIR)/target/static \
  CC_x86_64_unknown_linux_musl=$(if $(filter x86_64,$(shell uname -m)),cc,x86_64-linux-gnu-gcc) \
  CC_aarch64_unknown_linux_musl=$(if $(filter aarch64,$(shell uname -m)),cc,aarch64-linux-gnu-gcc) \
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld \
  RUSTFLAGS='-C relocation-model=static --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo --remap-path-prefix=$(CURDIR)=/perijove'

await-image: tools-await build ## the pre-puller's image for amd64 and arm64, as an OCI layout in target/await-image/oci/
	@echo "==> perijove-awaiter for amd64 and arm64"
	$(AWAIT_ENV) cargo build --locked -p perijove-awaiter --profile $(SMALL) $(AWAIT_TARGETS:%=--target %)
	@rm -rf $(AWAIT)
	@for pair in x86_64:amd64 aarch64:arm64; do \
	  install -D -m 0755 target/static/$${pair%:*}-unknown-linux-musl/$(SMALL:dev=debug)/perijove-awaiter \
	    $(AWAIT)/images/perijove-await/rootfs.$${pair#*:}/perijove-awaiter || exit 1; done
	@cp images/perijove-await/perijove.toml $(AWAIT)/
	target/debug/perijove -C $(AWAIT) build perijove-await --output oci:$(AWAIT)/oci

test: tools-test ## run all tests
	@echo "==> tests"
	.ci/tests

lint: tools-lint ## formatting, clippy, cargo-deny
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo deny --locked --offline check --hide-inclusion-graph bans licenses sources

bench: ## say which benchmarks there are, and how to run them
	@for script in bench/*/bench.py; do sed -n "2s|^\"*|$$script: |p; 4s|^|  |p" $$script; done
	@echo "cargo bench -p perijove-tags: the tag rule"
	@echo "cargo bench -p perijove-prepull: the image set of 500 values files"
	@echo "cargo bench -p perijove --bench prepull: today's pre-pulling hook and ours on one cluster, fault by fault (-- --help)"
	@echo "The scripts measure the release build (cargo build --release); figures so far: docs/benchmarks.md"

# Of cargo-fuzz only the driver is used: with no sanitizer the stable compiler does, told to take unstable flags.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
FUZZ := RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(CURDIR)/target/fuzz cargo fuzz

fuzz: tools-fuzz ## send noise to what reads archives, locks, pages and tags; FUZZ_SECONDS=60 for each
	@cd fuzz && $(FUZZ) build --fuzz-dir . --sanitizer none --dev
	@for target in $(FUZZ_TARGETS); do \
	  echo "==> $$target"; mkdir -p target/fuzz/corpus/$$target && cd fuzz && \
	  $(FUZZ) run --fuzz-dir . --sanitizer none --dev $$target ../target/fuzz/corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 && cd .. || exit 1; \
	done

clean: ## remove what was built and the embedded registry
	rm -rf target .perijove

tools-demo: tools-uv

tools-test: tools-uv tools-apt tools-kube $(LINTERS) $(BUILDERS)

# The standard library for static programs, and a C compiler for the other architecture.
AWAIT_CROSS := $(if $(filter x86_64,$(shell uname -m)),gcc-aarch64-linux-gnu libc6-dev-arm64-cross,gcc-x86-64-linux-gnu libc6-dev-amd64-cross)
tools-await:
	@have=$$(dpkg-query --show --showformat '$${db:Status-Status} $${Package}\n' $(AWAIT_CROSS) 2>/dev/null); \
	missing=$$(for p in $(AWAIT_CROSS); do grep -qxF "installed $$p" <<<"$$have" || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "==> installing Debian packages:" $$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
	@root=$$(rustc --print sysroot); for target in $(AWAIT_TARGETS); do [ -d $$root/lib/rustlib/$$target/lib ] || \
	  rustup target add $$target || { echo "make await-image needs Rust's standard library for $$target: rustup target add $$target" >&2; exit 1; }; done

tools-lint: $(TOOLS)/deny.ok

tools-fuzz: $(TOOLS)/fuzz.ok

# uv resolves Python locks and tells which index is in force. Looked for each time: the one that was found may
# have been in a virtual environment that is not active any more.
tools-uv:
	@command -v uv >/dev/null || { echo "==> installing uv into $(TOOLS)/uv"; mkdir -p $(TOOLS); \
	  python3 -m venv --clear $(TOOLS)/uv 2>/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && python3 -m venv --clear $(TOOLS)/uv; }; \
	  $(TOOLS)/uv/bin/pip install --quiet uv; }

# One question for all: dpkg-query answers in some 20 ms.
tools-apt:
	@have=$$(dpkg-query --show --showformat '$${db:Status-Status} $${Package}\n' $(TEST_PACKAGES) 2>/dev/null); \
	missing=$$(for p in $(TEST_PACKAGES); do grep -qxF "installed $$p" <<<"$$have" || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "==> installing Debian packages:" $$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

# A Kubernetes and what belongs to it, from source: about 15 minutes on two cores, once for a version.
tools-kube:
	@tests/cluster/build

$(LINTERS): | tools-uv
	@mkdir -p $(TOOLS)
	@echo "==> installing zizmor $(ZIZMOR) and actionlint $(ACTIONLINT)"
	@UV_TOOL_DIR=$(TOOLS)/uv-tools UV_TOOL_BIN_DIR=$(TOOLS)/bin uv tool install --quiet --force zizmor==$(ZIZMOR)
	@GOBIN=$(TOOLS)/bin go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT)
	@touch $@

# Compiled in one module: they share most of what they are made of.
$(BUILDERS):
	@mkdir -p $(TOOLS)/bin
	@echo "==> compiling docker buildx $(BUILDX) and BuildKit $(BUILDKIT)"
	@module=$$(mktemp -d) && trap "rm -rf $$module" EXIT && cd $$module && go mod init builders 2>/dev/null && \
	  go get github.com/docker/buildx/cmd/buildx@v$(BUILDX) github.com/moby/buildkit/cmd/buildkitd@v$(BUILDKIT) 2>/dev/null && \
	  CGO_ENABLED=0 GOBIN=$(TOOLS)/bin go install -ldflags='-s -w' github.com/docker/buildx/cmd/buildx github.com/moby/buildkit/cmd/buildkitd
	@touch $@

$(TOOLS)/deny.ok:
	@mkdir -p $(TOOLS)
	@command -v cargo-deny >/dev/null || { echo "==> installing cargo-deny"; cargo install --quiet --locked --debug --root $(TOOLS) cargo-deny; }
	@touch $@

$(TOOLS)/fuzz.ok:
	@mkdir -p $(TOOLS)
	@command -v cargo-fuzz >/dev/null || { echo "==> installing cargo-fuzz"; cargo install --quiet --locked --debug --root $(TOOLS) cargo-fuzz; }
	@touch $@
