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

# publish the sample packages into ./yrm-demo and serve them
demo *ARGS:
    cargo run -p yrm -- demo {{ARGS}}

# build the sample packages again (needs rpmbuild)
demo-packages:
    crates/yrm/demo/build

# compare yrm with createrepo_c and write docs/benchmarks.md (20 minutes, 12 GB of disk, a quiet machine;
# less with --sizes 1000,10000 or --phases build|change|s3)
bench *ARGS:
    cargo build --release -p yrm -p bench
    target/release/bench run {{ARGS}}

# fuzz one of header, package, primary, filelists, other, repomd, catalog, keys (needs `cargo install cargo-fuzz`)
fuzz TARGET SECONDS="120":
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{TARGET}} fuzz/corpus/{{TARGET}} fuzz/regressions/{{TARGET}} -- \
      -max_total_time={{SECONDS}} -rss_limit_mb=1024 -timeout=10

# format and lint
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets
