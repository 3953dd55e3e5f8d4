//! How many packages go through together.

/// Packages that one thread works on while others are read: enough for some blocks.
const BATCH_PER_THREAD: usize = 96;

/// Packages that go through together.
pub(super) fn batch_packages() -> usize {
    BATCH_PER_THREAD * rayon::current_num_threads()
}
