# What there is to run: `just` without arguments lists it.

_default:
    @just --list --unsorted

# Everything CI checks, or the named steps of it
check *steps:
    scripts/check {{ steps }}

# The tests; arguments go to cargo
test *args:
    cargo test --workspace {{ args }}

# The tests on a real TUN, a skip being a failure (as root)
e2e *args:
    CI=true cargo test -p brooklet-tun -p brooklet-relay -p brooklet-cli -p brooklet-examples {{ args }}

# The cases on the wire, beside the kernel's (as root); `just wire --backend sim --only T10 -v`
wire *args:
    cargo run -q -p brooklet-wire -- {{ args }}

# Floods and hostile peers in process and over a TUN (as root), as a table; `just attack --list` names them
attack *args:
    cargo run -q --release -p brooklet-attack -- {{ args }}

# The benches; arguments go to criterion, a part of a name for instance
bench *args:
    cargo bench -p brooklet-benches -- {{ args }}

# Fuzzes each target for a minute, or one for as long as its arguments say (nightly, cargo-fuzz)
fuzz target="" *args:
    scripts/fuzz {{ target }} {{ args }}

# Names what `just fuzz` takes
fuzz-list:
    cargo +nightly fuzz list

# Hours of mixed traffic with the real clock, a line each minute and a verdict; `--tun` as root
soak *args:
    cargo run --release -q -p brooklet-soak -- {{ args }}

# Runs stateful scenarios by seed; `just simulate --seeds 100000`
simulate *args:
    cargo run -q --release -p brooklet-fuzz -- {{ args }}

# The documentation, with warnings denied; `just doc --open` shows it
doc *args:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --all-features {{ args }}

# Formats everything
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml
    cargo fmt --manifest-path examples/programs/Cargo.toml
    cargo fmt --manifest-path examples/tokio/Cargo.toml

# Licences, bans, advisories and sources of all dependencies (cargo-deny)
deny *args:
    cargo deny check {{ args }}

# The dependencies that contain unsafe code: `just audit --write` renews docs/unsafe.md
audit *args:
    cargo run -q -p brooklet-audit -- {{ args }}
