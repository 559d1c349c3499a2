#!/usr/bin/env bash
# Installs coppice, runs a devnet, or runs all tests. Can be run again at any time.
#
#   ./install.sh                  build and install to $PREFIX (default: ~/.local)
#   ./install.sh devnet [options] build, then run a devnet with an embedded L1 and the console
#   ./install.sh test             everything CI runs
#
# Options of devnet are those of `coppice-agent devnet` (--headless, --slots N, --json, --keep, --chaos EVENT).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
ROOT=$PWD
PREFIX=${PREFIX:-$HOME/.local}
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
CONTRACTS=$ROOT/assets/contracts
RUST_NEEDED=1.95
NODE_NEEDED=18

say() { printf 'install: %s\n' "$*" >&2; }
# A coded error with its remedy; every message of this script that stops it looks like this.
die() {
    printf 'install: error %s: %s\n         remedy: %s\n' "$1" "$2" "$3" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_rust() {
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
    have cargo || die INS-001 "cargo was not found" \
        "install Rust $RUST_NEEDED or newer (https://rustup.rs), open a new shell, run this again"
    local found
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || true
    [ -n "$found" ] || die INS-002 "rustc does not run" \
        "run 'rustc --version' and repair what it reports (with rustup: 'rustup default stable')"
    at_least "$found" "$RUST_NEEDED" || die INS-003 "Rust $found is older than $RUST_NEEDED" \
        "run 'rustup update stable', then run this again"
}

need_compiler() {
    have cc || have gcc || have clang || die INS-004 "no C compiler was found" \
        "Debian, Ubuntu: 'apt-get install build-essential'; Fedora: 'dnf install gcc'; macOS: 'xcode-select --install'"
}

need_space() {
    local free_kb
    free_kb=$(df -Pk "$1" | awk 'NR==2 {print $4}')
    [ "$free_kb" -ge "$2" ] || die INS-005 "$((free_kb / 1024)) MB are free in $1, $(($2 / 1024)) MB are needed" \
        "free some space, or set CARGO_TARGET_DIR to a folder on a larger disk"
}

need_node() {
    if ! have npm || ! have node; then
        die INS-006 "node and npm were not found; they bring the Ethereum node (anvil) of the devnet" \
            "install Node.js $NODE_NEEDED or newer (Debian: 'apt-get install nodejs npm'), or put a native anvil 1.7 into PATH"
    fi
    local found
    found=$(node --version | tr -d v)
    at_least "$found" "$NODE_NEEDED" || die INS-007 "Node.js $found is older than $NODE_NEEDED" \
        "install Node.js $NODE_NEEDED or newer"
}

# The native anvil binary of the npm package, if it is installed.
packaged_anvil() {
    find "$CONTRACTS/node_modules/@foundry-rs" -path '*/bin/anvil' -type f 2>/dev/null |
        grep -E 'anvil-(linux|darwin)' | head -n 1
}

# A native anvil: from PATH, from the project's tools, or installed with npm. Not the JavaScript
# wrapper that npm puts into .bin: killing that leaves the node running.
find_anvil() {
    local found
    if have anvil && file_is_native "$(command -v anvil)"; then
        command -v anvil
        return
    fi
    found=$(packaged_anvil)
    if [ -z "$found" ]; then
        need_node
        npm_ci --omit=dev
        found=$(packaged_anvil)
    fi
    [ -n "$found" ] || die INS-008 "npm installed no anvil for this system ($(uname -sm))" \
        "put a native anvil 1.7 into PATH and run this again"
    printf '%s\n' "$found"
}

file_is_native() { [ "$(head -c 2 "$1" | tr -d '\0')" != '#!' ]; }

npm_ci() {
    say "installing the Ethereum tools with npm (once)"
    (cd "$CONTRACTS" && npm ci --ignore-scripts --no-audit --no-fund "$@" >&2) ||
        die INS-009 "npm could not install the tools listed in assets/contracts/package.json" \
            "check the connection to the npm registry, then run this again"
}

build() {
    need_rust
    need_compiler
    mkdir -p "$TARGET"
    need_space "$TARGET" $((4 * 1024 * 1024))
    say "building release binaries (the first time takes several minutes)"
    cargo build --release --locked -p coppice-agent -p coppice-console >&2 ||
        die INS-010 "cargo could not build coppice" "read the compiler's message above; without a connection cargo cannot fetch crates"
}

put() { # put MODE SOURCE TARGET: replaces atomically, also while the old file is running
    install -m "$1" "$2" "$3.new" && mv -f "$3.new" "$3"
}

install_all() {
    build
    local anvil
    mkdir -p "$PREFIX/bin" "$PREFIX/lib/coppice" 2>/dev/null || die INS-011 "cannot write to $PREFIX" \
        "set PREFIX to a folder you own, for instance PREFIX=\$HOME/.local ./install.sh"
    put 755 "$TARGET/release/coppice-agent" "$PREFIX/bin/coppice-agent"
    put 755 "$TARGET/release/coppice-console" "$PREFIX/bin/coppice-console"
    anvil=$(find_anvil)
    put 755 "$anvil" "$PREFIX/lib/coppice/anvil"
    say "installed coppice-agent and coppice-console to $PREFIX/bin"
    case ":$PATH:" in *":$PREFIX/bin:"*) ;; *) say "note: $PREFIX/bin is not in PATH" ;; esac
    say "next: coppice-agent devnet   (a whole network on this machine)"
}

devnet() {
    build
    COPPICE_ANVIL=$(find_anvil)
    export COPPICE_ANVIL
    exec "$TARGET/release/coppice-agent" devnet "$@"
}

need_shellcheck() {
    have shellcheck && return
    if have apt-get && [ "$(id -u)" = 0 ]; then
        say "installing shellcheck"
        apt-get install -y -qq shellcheck >/dev/null 2>&1 || (apt-get update -qq && apt-get install -y -qq shellcheck) >/dev/null 2>&1 || true
    fi
    have shellcheck || die INS-012 "shellcheck was not found" "Debian, Ubuntu: 'apt-get install shellcheck'; Fedora: 'dnf install ShellCheck'"
}

step() {
    say "test: $*"
    local started=$SECONDS
    "$@" || die INS-020 "'$*' failed" "read its output above; the same command runs alone from the project's folder"
    say "test: passed in $((SECONDS - started)) s"
}

contracts_test() { (cd "$CONTRACTS" && npx --no-install forge test); }
docs_build() { RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --release --locked --workspace --no-deps --document-private-items; }

test_all() {
    need_rust
    need_compiler
    need_node
    need_shellcheck
    step cargo fmt --all --check
    step shellcheck install.sh .ci/run
    step npm_ci
    step contracts_test
    build
    COPPICE_ANVIL=$(find_anvil)
    export COPPICE_ANVIL
    step cargo clippy --release --locked --workspace --all-targets -- -D warnings
    step docs_build
    step cargo test --release --locked --workspace -- --test-threads 2
    say "all tests passed in $((SECONDS / 60)) minutes"
}

case "${1:-}" in
    '') install_all ;;
    devnet) shift; devnet "$@" ;;
    test) shift; test_all ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    *) die INS-000 "unknown command '$1'" "use ./install.sh, ./install.sh devnet or ./install.sh test" ;;
esac
