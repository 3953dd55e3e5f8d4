//! The fault campaign: what GUARANTEES promises, while everything goes wrong that can (F1 to F8).
//!
//! One thread, a paused clock and seeded randomness: the same seed gives the same story, write by
//! write. A failure prints the command that plays it again. `cargo test` plays a small set, `just
//! chaos` the long one (docs/guarantees.md).
//!
//! `judge` checks every write; `stories` are broken at every call by `every_call`; in `seeds` several
//! publishers, uploaders and an operator do as they like; in `pairs` they sign and race; in `shapes` one of them has other settings than the bucket; in `layouts` the layout changes among all that; in `rooted` the repository is the bucket's root; `storms` take the store away for a while.

mod every_call;
mod judge;
mod layouts;
mod pairs;
mod rooted;
mod seeds;
mod shapes;
mod stories;
mod storms;
mod world;

/// How much is played: a number from the environment, or the small one.
fn size(variable: &str, small: u64) -> u64 {
    std::env::var(variable).map_or(small, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Seeds that once showed a fault, for a campaign that begins at its beginning.
fn remembered(seeds: &[u64], from: u64) -> impl Iterator<Item = u64> {
    seeds.iter().copied().filter(move |_| from == 0)
}

/// Plays one story in a runtime of its own: one thread, and time that passes only when all wait.
fn play<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(story)
}

/// What the test says of itself at the end, for the record.
#[expect(clippy::print_stdout, reason = "a campaign's figures belong into its record")]
fn tell(text: &str) {
    println!("{text}");
}
