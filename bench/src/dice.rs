//! Chance that is the same everywhere: a seeded generator of our own (splitmix64, public domain),
//! because the libraries' default ones may change with their versions and the data must not.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// The stream number `stream` of `seed`; streams do not depend on one another.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self { state: seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f) };
        // Neighbouring states would give neighbouring first numbers.
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u128::try_from(end).expect("a usize fits");
        usize::try_from((u128::from(self.next()) * end) >> 64).expect("it is below a usize")
    }

    /// One of them.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Whether something happens that happens `percent` times in a hundred.
    pub(crate) fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A lognormal number of that median, cut to `lowest..=highest`. `spread` is the standard
    /// deviation of its logarithm.
    pub(crate) fn lognormal(&mut self, median: f64, spread: f64, lowest: usize, highest: usize) -> usize {
        let drawn = (median * (spread * self.normal()).exp()).round().clamp(0.0, 1e15);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just above")]
        let drawn = drawn as usize;
        drawn.clamp(lowest, highest)
    }

    /// Fills `bytes` with what does not compress.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// From 0 up to, not including, 1.
    fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).expect("32 bits are left");
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}
