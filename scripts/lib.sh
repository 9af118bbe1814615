# Shared by the scripts in this folder: paths, toolchain choice, timed steps. Source it, don't run it.
# shellcheck shell=bash

ARIA_ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"

# Where things that outlive a checkout go: tools, Python and npm packages.
if [[ -z "${ARIA_CACHE:-}" ]]; then
	ARIA_CACHE="${HOME:-/nonexistent}/.cache/aria"
	mkdir -p "$ARIA_CACHE" 2>/dev/null && [[ -w "$ARIA_CACHE" ]] || ARIA_CACHE="$ARIA_ROOT/.cache"
fi
mkdir -p "$ARIA_CACHE"
export ARIA_ROOT ARIA_CACHE
export PATH="$ARIA_CACHE/bin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"

# The system's OpenSSL: vendoring it costs minutes.
export OPENSSL_NO_VENDOR=1

readonly ARIA_MIN_RUST=95 # Minor version: 1.95, as in Cargo.toml.
readonly ARIA_WASM_TARGET=wasm32v1-none # The runtime.
readonly ARIA_BROWSER_TARGET=wasm32-unknown-unknown # What web pages run.
readonly ARIA_DEBIAN_TOOLCHAIN=aria-debian

if [[ -t 1 && -z "${NO_COLOR:-}" ]]; then
	BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' RESET=$'\e[0m'
else
	BOLD='' RED='' GREEN='' YELLOW='' RESET=''
fi

say() { printf '%s==> %s%s\n' "$BOLD" "$*" "$RESET"; }
warn() { printf '%swarning: %s%s\n' "$YELLOW" "$*" "$RESET" >&2; }
die() {
	printf '%serror: %s%s\n' "$RED" "$*" "$RESET" >&2
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Prints a script's help: its leading comment, without the interpreter's line.
help_of() { sed -n '2,/^[^#]/{/^#/!q;s/^# \{0,1\}//;p}' "$1"; }

# Runs a command as root: as it is, or through sudo.
as_root() {
	if [[ "$(id -u)" == 0 ]]; then
		"$@"
	elif has sudo; then
		sudo "$@"
	else
		die "this needs root, and there is no sudo: $*"
	fi
}

duration() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

# Whether the active Rust can build everything: version, Wasm targets and linker, clippy, rustfmt.
rust_is_ready() {
	has cargo && has rustc || return 1
	local minor sysroot
	minor="$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')"
	[[ -n "$minor" && "$minor" -ge "$ARIA_MIN_RUST" ]] || return 1
	sysroot="$(rustc --print sysroot 2>/dev/null)" || return 1
	compgen -G "$sysroot/lib/rustlib/$ARIA_WASM_TARGET/lib/libcore*.rlib" >/dev/null || return 1
	compgen -G "$sysroot/lib/rustlib/$ARIA_BROWSER_TARGET/lib/libstd*.rlib" >/dev/null || return 1
	compgen -G "$sysroot/lib/rustlib/*/bin/rust-lld" >/dev/null || has rust-lld || return 1
	cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1
}

# Picks a toolchain that is ready: the active one, else Debian's under rustup, else Debian's alone. False when none is.
choose_toolchain() {
	rust_is_ready && return 0
	if [[ -z "${RUSTUP_TOOLCHAIN:-}" ]] && has rustup; then
		export RUSTUP_TOOLCHAIN="$ARIA_DEBIAN_TOOLCHAIN"
		rust_is_ready && return 0
		unset RUSTUP_TOOLCHAIN
	fi
	if [[ -x /usr/bin/cargo && "$(command -v cargo)" != /usr/bin/cargo ]] && ! has rustup; then
		export PATH="/usr/bin:$PATH"
		rust_is_ready && return 0
	fi
	return 1
}

# Where cargo puts things.
target_dir() { printf '%s\n' "${CARGO_TARGET_DIR:-$ARIA_ROOT/target}"; }

# Python packages of the end-to-end tests, in a virtual environment under the cache; renewed when the list changes.
python_env() {
	local list="$ARIA_ROOT/tests/e2e/requirements.txt" venv="$ARIA_CACHE/python"
	if ! cmp -s "$list" "$venv/installed.txt"; then
		python3 -m venv "$venv" >&2
		# llama.cpp comes as source: it need not be fast, nor see pictures.
		CMAKE_ARGS='-DLLAVA_BUILD=OFF -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1' \
			CMAKE_BUILD_PARALLEL_LEVEL="$(nproc)" \
			"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2
		cp "$list" "$venv/installed.txt"
	fi
	printf '%s\n' "$venv"
}

# npm packages of the end-to-end tests, under the cache; renewed when the lock file changes.
node_env() {
	local from="$ARIA_ROOT/tests/e2e/js" into="$ARIA_CACHE/js"
	if ! cmp -s "$from/package-lock.json" "$into/node_modules/.installed"; then
		mkdir -p "$into"
		cp "$from/package.json" "$from/package-lock.json" "$into/"
		(cd "$into" && npm ci --no-audit --no-fund --loglevel=error >&2)
		cp "$from/package-lock.json" "$into/node_modules/.installed"
	fi
	printf '%s\n' "$into"
}
