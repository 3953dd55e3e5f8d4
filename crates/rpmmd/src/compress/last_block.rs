//! Finds the last block of a deflate stream (RFC 1951) by walking over its symbols without
//! expanding them, which costs a twentieth of what compressing did.
//!
//! The fastest deflate library makes whole streams only: whoever wants to join streams must
//! know where the bit stands that says "this is the last block".

/// Codes up to this long are looked up; longer ones are rare.
const LOOKUP_BITS: u32 = 11;
const LOOKUP_ENTRIES: usize = 1 << LOOKUP_BITS;
/// Longest code of deflate.
const MAX_CODE_BITS: usize = 15;

const END_OF_BLOCK: usize = 256;
const FIRST_LENGTH: usize = 257;
/// Extra bits that follow the length symbols from [`FIRST_LENGTH`] on.
const LENGTH_EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/// Extra bits that follow the distance symbols.
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// The order in which the lengths of the code length code are written.
const CODE_LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Where the last block is, counted in bits from the stream's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastBlock {
    /// The bit that says that it is the last one.
    pub(super) start: usize,
    /// The first bit after its end.
    pub(super) end: usize,
}

/// The last block of a whole stream; `None` when it is not one.
pub(super) fn last_block(stream: &[u8]) -> Option<LastBlock> {
    let mut bits = Bits { rest: stream, buffer: 0, filled: 0, length: stream.len() * 8 };
    let mut codes = Codes::default();
    loop {
        let start = bits.position();
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => {
                codes.fix()?;
                codes.walk(&mut bits)?;
            }
            2 => {
                codes.read(&mut bits)?;
                codes.walk(&mut bits)?;
            }
            _ => return None,
        }
        if is_last {
            return Some(LastBlock { start, end: bits.position() });
        }
    }
}

/// A stream read bit by bit, the lowest of a byte first. Beyond its end stand zeros, which
/// [`Bits::skip`] does not let pass.
struct Bits<'a> {
    rest: &'a [u8],
    buffer: u64,
    filled: u32,
    length: usize,
}

impl Bits<'_> {
    fn position(&self) -> usize {
        self.length - self.rest.len() * 8 - self.filled as usize
    }

    /// Fills the buffer up to 56 bits or more, if there are so many.
    fn fill(&mut self) {
        if let Some((word, _)) = self.rest.split_first_chunk::<8>() {
            let bytes = (63 - self.filled) / 8;
            self.buffer |= u64::from_le_bytes(*word) << self.filled;
            self.rest = &self.rest[bytes as usize..];
            self.filled += bytes * 8;
            // What of the word was not counted must not be there twice.
            self.buffer &= u64::MAX >> (64 - self.filled);
            return;
        }
        while self.filled < 56
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.buffer |= u64::from(*byte) << self.filled;
            self.filled += 8;
            self.rest = rest;
        }
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.filled = self.filled.checked_sub(bits)?;
        self.buffer >>= bits;
        Some(())
    }

    fn take(&mut self, bits: u32) -> Option<usize> {
        if self.filled < bits {
            self.fill();
        }
        let value = self.buffer & ((1 << bits) - 1);
        self.skip(bits)?;
        usize::try_from(value).ok()
    }

    fn skip_stored(&mut self) -> Option<()> {
        self.skip(self.filled % 8)?;
        let length = self.take(16)?;
        let complement = self.take(16)?;
        if length ^ complement != 0xffff {
            return None;
        }
        let buffered = length.min(self.filled as usize / 8);
        self.skip(u32::try_from(buffered).ok()? * 8)?;
        self.rest = self.rest.get(length - buffered..)?;
        Some(())
    }
}

/// What a symbol means to the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Literal,
    /// A length, which a distance follows.
    Length,
    Distance,
    End,
    /// No code is so.
    Unused,
    /// A code longer than [`LOOKUP_BITS`] begins so.
    Long,
}

/// A symbol, and how many bits it takes with its extra bits.
#[derive(Debug, Clone, Copy)]
struct Step {
    symbol: Symbol,
    bits: u8,
}

const UNUSED: Step = Step { symbol: Symbol::Unused, bits: 0 };

/// A canonical Huffman code.
struct Code {
    lookup: Box<[Step; LOOKUP_ENTRIES]>,
    /// Longer codes, reversed as they are read: bits, length, step.
    long: Vec<(u32, u32, Step)>,
}

impl Default for Code {
    fn default() -> Self {
        Self { lookup: Box::new([UNUSED; LOOKUP_ENTRIES]), long: Vec::new() }
    }
}

impl Code {
    /// Builds the code from the lengths of its symbols' codes; 0 means that there is none.
    fn build(&mut self, lengths: &[u8], step: impl Fn(usize) -> Option<(Symbol, u8)>) -> Option<()> {
        let mut counts = [0u32; MAX_CODE_BITS + 1];
        for length in lengths.iter().filter(|length| **length > 0) {
            counts[usize::from(*length)] += 1;
        }
        let mut next = [0u32; MAX_CODE_BITS + 2];
        for length in 1..=MAX_CODE_BITS {
            next[length + 1] = (next[length] + counts[length]) << 1;
            if next[length] + counts[length] > 1 << length {
                return None;
            }
        }
        self.lookup.fill(UNUSED);
        self.long.clear();
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let code = next[usize::from(*length)];
            next[usize::from(*length)] += 1;
            let width = u32::from(*length);
            let reversed = code.reverse_bits() >> (32 - width);
            let (symbol, extra) = step(symbol)?;
            let step = Step { symbol, bits: length + extra };
            if width <= LOOKUP_BITS {
                let entries = self.lookup[reversed as usize..].iter_mut().step_by(1 << width);
                entries.for_each(|entry| *entry = step);
            } else {
                let prefix = reversed as usize & (LOOKUP_ENTRIES - 1);
                self.lookup[prefix] = Step { symbol: Symbol::Long, bits: 0 };
                self.long.push((reversed, width, step));
            }
        }
        Some(())
    }

    /// The step that the next bits say.
    fn step(&self, buffer: u64) -> Step {
        let low = u32::try_from(buffer & 0xffff).expect("16 bits fit 32");
        let step = self.lookup[low as usize & (LOOKUP_ENTRIES - 1)];
        if step.symbol != Symbol::Long {
            return step;
        }
        let found = self.long.iter().find(|(code, width, _)| low & ((1 << width) - 1) == *code);
        found.map_or(UNUSED, |(_, _, step)| *step)
    }
}

/// The two codes of a block.
#[derive(Default)]
struct Codes {
    literals: Code,
    distances: Code,
}

impl Codes {
    fn build(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literals.build(literals, |symbol| match symbol {
            0..END_OF_BLOCK => Some((Symbol::Literal, 0)),
            END_OF_BLOCK => Some((Symbol::End, 0)),
            // The fixed code has two symbols that never occur.
            _ => Some(
                LENGTH_EXTRA.get(symbol - FIRST_LENGTH).map_or((Symbol::Unused, 0), |extra| (Symbol::Length, *extra)),
            ),
        })?;
        self.distances.build(distances, |symbol| {
            Some(DISTANCE_EXTRA.get(symbol).map_or((Symbol::Unused, 0), |extra| (Symbol::Distance, *extra)))
        })
    }

    /// The code of blocks without one of their own.
    fn fix(&mut self) -> Option<()> {
        let mut literals = [8; 288];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        self.build(&literals, &[5; 32])
    }

    /// Reads the code of a block.
    fn read(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (literals, distances) = (257 + bits.take(5)?, 1 + bits.take(5)?);
        let written = 4 + bits.take(4)?;
        let mut lengths = [0u8; 19];
        for place in &CODE_LENGTH_ORDER[..written] {
            lengths[*place] = u8::try_from(bits.take(3)?).ok()?;
        }
        let mut all = [0u8; 288 + 32];
        let all = all.get_mut(..literals + distances)?;
        let mut at = 0;
        while at < all.len() {
            let symbol = symbol_of(&lengths, bits)?;
            let (value, times) = match symbol {
                16 => (*all.get(at.checked_sub(1)?)?, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length, 1),
            };
            all.get_mut(at..at + times)?.fill(value);
            at += times;
        }
        let (literals, distances) = all.split_at(literals);
        self.build(literals, distances)
    }

    /// Walks to the end of the block.
    fn walk(&self, bits: &mut Bits<'_>) -> Option<()> {
        loop {
            // A length and a distance take 48 bits at most.
            if bits.filled < 48 {
                bits.fill();
            }
            let step = self.literals.step(bits.buffer);
            bits.skip(u32::from(step.bits))?;
            match step.symbol {
                Symbol::Literal => {}
                Symbol::Length => {
                    let step = self.distances.step(bits.buffer);
                    if step.symbol != Symbol::Distance {
                        return None;
                    }
                    bits.skip(u32::from(step.bits))?;
                }
                Symbol::End => return Some(()),
                Symbol::Distance | Symbol::Unused | Symbol::Long => return None,
            }
        }
    }
}

/// The next symbol of the code length code, whose few codes are looked for one bit at a time.
fn symbol_of(lengths: &[u8; 19], bits: &mut Bits<'_>) -> Option<u8> {
    let (mut code, mut first) = (0, 0);
    for width in 1..=7 {
        code = code << 1 | bits.take(1)?;
        let of_width = || (0..).zip(lengths).filter(|(_, length)| **length == width).map(|(symbol, _)| symbol);
        let count = of_width().count();
        if let Some(index) = code.checked_sub(first).filter(|index| *index < count) {
            return of_width().nth(index);
        }
        first = (first + count) << 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, FlushCompress};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Text with repetitions near and far, and noise between.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            vec(any::<u8>(), 0..300),
            (vec(97..=105u8, 1..40), 1..400usize).prop_map(|(word, times)| word.repeat(times)),
            (any::<u8>(), 1..70_000usize).prop_map(|(byte, times)| vec![byte; times]),
        ];
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// The stream, and where its last block has to be: what is before it is flushed, so that it
    /// begins at a byte.
    fn stream(before: &[u8], last: &[u8], level: u32) -> (Vec<u8>, usize) {
        let mut deflate = Compress::new(flate2::Compression::new(level), false);
        let mut stream = Vec::with_capacity(before.len() + last.len() + 10_000);
        if !before.is_empty() {
            deflate.compress_vec(before, &mut stream, FlushCompress::Full).unwrap();
        }
        let start = stream.len() * 8;
        deflate.compress_vec(last, &mut stream, FlushCompress::Finish).unwrap();
        (stream, start)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn the_last_block_is_found(before in text(), last in vec(97..=120u8, 0..2000), level in 0..10u32) {
            let (stream, start) = stream(&before, &last, level);
            let found = last_block(&stream).unwrap();
            prop_assert_eq!(found.start, start);
            prop_assert_eq!(found.end.div_ceil(8), stream.len());
        }

        #[test]
        fn a_stream_of_any_bytes_is_walked_without_panic(mut stream in vec(any::<u8>(), 0..400), kind in 0..8u8) {
            last_block(&stream);
            if let Some(first) = stream.first_mut() {
                *first = (*first & !7) | kind;
            }
            last_block(&stream);
        }

        #[test]
        fn a_cut_stream_has_no_last_block(text in text(), level in 1..10u32, at in any::<proptest::sample::Index>()) {
            let (stream, _) = stream(b"", &text, level);
            prop_assert_eq!(last_block(&stream[..at.index(stream.len())]), None);
        }
    }
}
