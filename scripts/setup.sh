# Sourced by scripts/test and scripts/demo: what a fresh machine lacks.
# Everything but a C compiler, PostgreSQL and MariaDB goes below target/.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$root/target/test-tools"
# What cargo builds goes where the README looks for it.
export CARGO_TARGET_DIR="$root/target"
cd "$root"

say() { printf '\n==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# need_rust: cargo and Python have to be there; the toolchain is the user's own.
need_rust() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        die "Python 3.11 or newer is missing: on Debian, apt-get install python3"
}

# need_compiler: some crates build C code.
need_compiler() {
    if command -v cc >/dev/null; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "a C compiler is missing: install one, on Debian with: apt-get install build-essential"
    fi
    say "installing build-essential: some crates build C code"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq build-essential
}

# need_postgres: the server that the tests ask; Debian keeps it out of PATH.
need_postgres() {
    local program
    for program in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"; do
        if [ -x "$program" ]; then
            return
        fi
    done
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "PostgreSQL is missing: install its server, on Debian with: apt-get install postgresql"
    fi
    say "installing postgresql: the tests start servers of their own"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql
}

# need_mariadb: the server that the tests ask; Debian keeps it out of a user's PATH.
need_mariadb() {
    if [ -x /usr/sbin/mariadbd ] || command -v mariadbd >/dev/null; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "MariaDB is missing: install its server, on Debian with: apt-get install mariadb-server"
    fi
    say "installing mariadb-server: the tests start servers of their own"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mariadb-server
}

# need_components: rustfmt and clippy, where rustup can add them.
need_components() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then
        return
    fi
    command -v rustup >/dev/null || die "rustfmt and clippy are missing"
    say "installing rustfmt and clippy"
    rustup component add rustfmt clippy
}

# need_python_tools: the packages of requirements.txt in a virtual environment.
need_python_tools() {
    local wanted="$root/scripts/requirements.txt" venv="$tools/venv"
    # An environment of a Python that has gone since doesn't run.
    if cmp -s "$wanted" "$venv/installed.txt" && "$venv/bin/python" -c 'import grpc' 2>/dev/null; then
        return
    fi
    say "installing into $venv: $(grep -v '^#' "$wanted" | tr '\n' ' ')"
    mkdir -p "$tools"
    rm -rf "$venv"
    if ! python3 -m venv "$venv"; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            die "Python can't make virtual environments: on Debian, apt-get install python3-venv"
        fi
        say "installing python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
        rm -rf "$venv"
        python3 -m venv "$venv"
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/installed.txt"
}

# need_cargo_deny: one pinned version, built once.
need_cargo_deny() {
    local version="0.20.2"
    if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $version" ]; then
        return
    fi
    say "installing cargo-deny $version into $tools (about 3 minutes)"
    CARGO_TARGET_DIR="$tools/build" cargo install cargo-deny --version "$version" --locked --force --quiet --root "$tools"
    rm -rf "$tools/build"
}

# need_debian COMMAND PACKAGE WHY: a program that Debian has.
need_debian() {
    if command -v "$1" >/dev/null; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "$1 is missing ($3): on Debian, apt-get install $2"
    fi
    say "installing $2: $3"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2"
}

# need_clients: what the programs of docs/clients.md are built and run with.
need_clients() {
    local version="v1.9.4"
    need_debian jq jq "the shell client of docs/clients.md reads JSON"
    need_debian openssl openssl "docs/getting-started.md makes a certificate"
    go version 2>/dev/null | grep -qE 'go1\.(2[4-9]|[3-9][0-9])' ||
        die "Go 1.24 or newer is missing (the Go client of docs/clients.md): install it from https://go.dev/dl"
    if [ -x "$tools/bin/grpcurl" ] && cmp -s <(echo "$version") "$tools/bin/grpcurl.version"; then
        return
    fi
    say "installing grpcurl $version into $tools"
    GOBIN="$tools/bin" go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version"
    echo "$version" >"$tools/bin/grpcurl.version"
}
