# For people; CI runs scripts/test only.

# list the recipes
default:
    @just --list

# everything that must hold (installs what it needs)
test:
    scripts/test

# only our own tests, once scripts/test has prepared the machine
quick *ARGS:
    cargo test --workspace {{ARGS}}

# compare yrm index with createrepo_c, and print how much was compared
equality:
    scripts/real-packages
    cargo test -p yrm --test it equality -- --nocapture

# every state of the commit protocol's model within larger bounds (an hour of a core, 2 GB of memory)
model *ARGS:
    YRM_MODEL=large cargo test -p yrm --test it model:: -- --nocapture --test-threads 1 {{ARGS}}

# a story over HTTP whose every request fails once, in every way
wire:
    YRM_WIRE=all cargo test -p yrm --test it wire:: -- --nocapture

# kill and stop two services while dnf reads, 200 packages (5 minutes a seed; it ends at the first that fails)
chaos-processes *SEEDS='1 2 3':
    for seed in {{SEEDS}}; do \
        YRM_CHAOS_SEED=$seed YRM_CHAOS_PACKAGES=200 \
        cargo test -p yrm --test it processes:: -- --nocapture --test-threads=1 || exit 1; \
    done

# publish the sample packages into ./yrm-demo and serve them
demo *ARGS:
    cargo run -p yrm --no-default-features -- demo {{ARGS}}

# build the sample packages again (needs rpmbuild)
demo-packages:
    crates/yrm/demo/build

# compare yrm with createrepo_c and write docs/benchmarks.md (20 minutes, 12 GB of disk, a quiet machine;
# less with --sizes 1000,10000 or --phases build|adopt|change|s3|share|latency)
bench *ARGS:
    cargo build --release -p yrm -p bench
    target/release/bench run {{ARGS}}

# what yrm-client costs: its size, start and memory, and the time it adds to a request
client-figures:
    cargo build --release -p yrm-client
    scripts/client-figures

# the long fault campaign (minutes; YRM_CHAOS_SEED says where the seeds begin)
chaos:
    YRM_CHAOS_ALL=1 YRM_CHAOS_SEEDS=${YRM_CHAOS_SEEDS:-10000} YRM_CHAOS_PAIRS=${YRM_CHAOS_PAIRS:-5000} YRM_CHAOS_RACES=${YRM_CHAOS_RACES:-200} \
      cargo test --profile campaign --workspace --test it chaos:: -- --nocapture

# one test of the campaign, with the variables that a failure prints
chaos-one TEST:
    cargo test -p yrm --test it {{TEST}} -- --nocapture

# break the code on purpose, and expect the campaign to notice (10 minutes)
mutants *NAMES:
    scripts/mutants {{NAMES}}

# the service's unit under a real systemd: started, updated, and back from releases that do not work (a minute, as root)
unit *PROGRAM:
    scripts/try-unit {{PROGRAM}}

# fuzz one of header, package, primary, filelists, other, repomd, events, catalog, keys, signatures (needs
# `cargo install cargo-fuzz`)
fuzz TARGET SECONDS="120":
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{TARGET}} fuzz/corpus/{{TARGET}} fuzz/regressions/{{TARGET}} -- \
      -max_total_time={{SECONDS}} -rss_limit_mb=1024 -timeout=10

# fuzz every target (or some) for so many minutes of CPU, from the hostile corpus on, and print what that came to
fuzz-long MINUTES="20" *TARGETS:
    scripts/fuzz {{MINUTES}} {{TARGETS}}

# what each hostile package costs, here and with others' programs, into docs/hostile.md
corpus:
    cargo build --locked --manifest-path fuzz/Cargo.toml --example rpm_crate
    YRM_CORPUS=target/corpus YRM_RPM_CRATE=fuzz/target/debug/examples/rpm_crate YRM_CORPUS_PAGE=docs/hostile.md \
      cargo test --workspace --locked --test it hostile::weighed -- --nocapture
    rm -r target/corpus

# what the gateway costs beside nginx (a minute, two quiet cores; needs Debian's nginx-light and nghttp2-client)
gateway-figures *PROGRAM:
    cargo build --release -p yrm
    scripts/gateway-figures {{PROGRAM}}

# so many changed signature headers, judged by rpm and by yrm (a minute for 4,000)
header-mutants COUNT="20000" SEED="7":
    YRM_MUTANTS={{COUNT}} YRM_MUTANTS_SEED={{SEED}} cargo test -p yrm --test it header_mutants -- --nocapture

# format and lint
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets
