//! Rendering from what was there before gives what rendering from nothing gives, and costs
//! only the blocks that changed.

use std::io::Read as _;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::packages::numbered;
use crate::block::{Block, MAX_RAW_BYTES, MIN_RAW_BYTES};
use crate::checksum::Sha256;
use crate::compress::Compression;
use crate::repodata::{Document, Fragments, Previous, RenderError, RenderOptions, Rendered, Slot};

fn options(compression: Compression) -> RenderOptions {
    RenderOptions::new(compression)
}

/// A rendered file with its bytes.
#[derive(Debug, Clone, PartialEq)]
struct File {
    bytes: Vec<u8>,
    rendered: Rendered,
}

impl std::ops::Deref for File {
    type Target = Rendered;

    fn deref(&self) -> &Rendered {
        &self.rendered
    }
}

fn render(
    document: Document,
    options: RenderOptions,
    slots: &[Slot<'_>],
    before: Option<Previous<'_>>,
) -> Result<File, RenderError> {
    let mut bytes = Vec::new();
    let rendered = crate::repodata::render(document, options, slots, before, &mut bytes)?;
    Ok(File { bytes, rendered })
}

fn previous(file: &File) -> Previous<'_> {
    Previous {
        layout: &file.layout,
        fragment_bytes: &file.fragment_bytes,
        file: &file.bytes,
        verify: Some(file.sha256),
        href_prefix: "",
    }
}

/// A package with about `kib` KiB in primary and filelists.
fn fragments(number: u32, kib: usize) -> Fragments {
    Fragments::of(&numbered(number, kib * 1024, kib * 25)).unwrap()
}

/// The document, read in all the ways clients do.
fn open(rendered: &File) -> Vec<u8> {
    let file = rendered.bytes.as_slice();
    let text = match rendered.layout.compression {
        Compression::Gz => {
            let mut one_member = Vec::new();
            let mut decoder = flate2::bufread::GzDecoder::new(file);
            decoder.read_to_end(&mut one_member).unwrap();
            assert_eq!(decoder.into_inner(), b"", "the file is one member");
            let mut any_members = Vec::new();
            flate2::bufread::MultiGzDecoder::new(file).read_to_end(&mut any_members).unwrap();
            assert_eq!(one_member, any_members);
            one_member
        }
        Compression::Zstd => zstd::decode_all(file).unwrap(),
    };
    assert_eq!(rendered.open_bytes, text.len() as u64);
    assert_eq!(rendered.sha256, Sha256::of(file));
    assert_eq!(rendered.file_bytes, file.len() as u64);
    text
}

/// Each block with its compressed bytes.
fn blocks(rendered: &File) -> Vec<(Block, &[u8])> {
    let layout = &rendered.layout;
    let mut at = layout.compression.prefix().len() + layout.head.compressed_bytes as usize;
    let mut blocks = Vec::new();
    for block in &layout.blocks {
        let end = at + block.compressed_bytes as usize;
        blocks.push((*block, &rendered.bytes[at..end]));
        at = end;
    }
    blocks
}

fn within_bounds(rendered: &Rendered) {
    let blocks = &rendered.layout.blocks;
    for block in blocks {
        assert!(u64::from(block.raw_bytes) <= MAX_RAW_BYTES || block.packages == 1, "{block:?} is too long");
    }
    for pair in blocks.windows(2) {
        let [a, b] = [u64::from(pair[0].raw_bytes), u64::from(pair[1].raw_bytes)];
        assert!(a.min(b) >= MIN_RAW_BYTES || a + b > MAX_RAW_BYTES, "{pair:?} are too short");
    }
}

/// One package that stays.
fn kept<'a>(package: usize) -> Slot<'a> {
    Slot::Kept(package..package + 1)
}

/// The same slots, kept neighbours as one.
fn joined<'a>(slots: &[Slot<'a>]) -> Vec<Slot<'a>> {
    let mut joined: Vec<Slot<'a>> = Vec::new();
    for slot in slots {
        match (joined.last_mut(), slot) {
            (Some(Slot::Kept(before)), Slot::Kept(kept)) if before.end == kept.start => before.end = kept.end,
            _ => joined.push(slot.clone()),
        }
    }
    joined
}

#[derive(Debug, Clone)]
enum Change {
    Insert(Index, usize),
    Remove(Index),
    RemoveMany(Index, usize),
    Replace(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let kib = prop_oneof![8 => 1..60usize, 1 => 500..700usize];
    prop_oneof![
        4 => (any::<Index>(), kib.clone()).prop_map(|(at, kib)| Change::Insert(at, kib)),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), 1..30usize).prop_map(|(at, count)| Change::RemoveMany(at, count)),
        2 => (any::<Index>(), kib).prop_map(|(at, kib)| Change::Replace(at, kib)),
    ]
}

/// A document that goes through changes, beside what it should be.
struct Model {
    document: Document,
    compression: Compression,
    packages: Vec<Fragments>,
    rendered: File,
    next: u32,
}

impl Model {
    fn new(document: Document, compression: Compression, packages: Vec<Fragments>) -> Self {
        let slots: Vec<_> = packages.iter().map(Slot::Fresh).collect();
        let rendered = render(document, options(compression), &slots, None).unwrap();
        let next = u32::try_from(packages.len()).unwrap();
        Self { document, compression, packages, rendered, next }
    }

    /// Applies some changes at once.
    fn step(&mut self, changes: &[Change]) {
        let mut next: Vec<(Option<usize>, Fragments)> =
            self.packages.drain(..).enumerate().map(|(at, package)| (Some(at), package)).collect();
        let mut fresh = |kib| {
            self.next += 1;
            (None, fragments(self.next, kib))
        };
        for change in changes {
            match change {
                Change::Insert(at, kib) => next.insert(at.index(next.len() + 1), fresh(*kib)),
                _ if next.is_empty() => {}
                Change::Remove(at) => drop(next.remove(at.index(next.len()))),
                Change::RemoveMany(at, count) => {
                    let at = at.index(next.len());
                    next.drain(at..next.len().min(at + count));
                }
                Change::Replace(at, kib) => {
                    let at = at.index(next.len());
                    next[at] = fresh(*kib);
                }
            }
        }
        let slots: Vec<_> = next.iter().map(|(from, package)| from.map_or(Slot::Fresh(package), kept)).collect();
        let rendered =
            render(self.document, options(self.compression), &slots, Some(previous(&self.rendered))).unwrap();
        self.assert_reuse(&slots, &rendered);
        let at_once = render(self.document, options(self.compression), &joined(&slots), Some(previous(&self.rendered)));
        assert!(at_once.unwrap() == rendered, "packages kept side by side are as each by itself");
        self.rendered = rendered;
        self.packages = next.into_iter().map(|(_, package)| package).collect();
        let fresh: Vec<_> = self.packages.iter().map(Slot::Fresh).collect();
        let from_nothing = render(self.document, options(self.compression), &fresh, None).unwrap();
        assert!(open(&self.rendered) == open(&from_nothing), "the documents differ");
        assert_eq!(self.rendered.fragment_bytes, from_nothing.fragment_bytes);
        within_bounds(&self.rendered);
        within_bounds(&from_nothing);
    }

    /// Every change costs its block, and at most one neighbour more.
    fn assert_reuse(&self, slots: &[Slot<'_>], rendered: &File) {
        let old = blocks(&self.rendered);
        let mut end = 0;
        for (to, from) in &rendered.reused {
            let place = |range: &Range<u64>| usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert!(rendered.bytes[place(to)] == self.rendered.bytes[place(from)], "{to:?} is not {from:?}");
            assert!(to.start >= end, "ranges in order");
            end = to.end;
        }
        let copied: u64 = rendered.reused.iter().map(|(to, _)| to.end - to.start).sum();
        let kept_bytes: usize =
            blocks(rendered).iter().filter(|one| old.contains(one)).map(|(_, bytes)| bytes.len()).sum();
        assert!(copied <= kept_bytes as u64);
        let kept = blocks(rendered).iter().filter(|block| old.contains(block)).count();
        let mut first = 0;
        let mut touched = 0;
        for (block, _) in &old {
            let range = first..first + block.packages as usize;
            first = range.end;
            let within = |slot: &Slot<'_>| matches!(slot, Slot::Kept(kept) if range.contains(&kept.start));
            let start = slots.iter().position(within);
            let whole = start
                .is_some_and(|start| slots.get(start..start + range.len()).is_some_and(|run| run.iter().all(within)));
            touched += usize::from(!whole);
        }
        // Insertions between two blocks touch the one before.
        let inserted = slots.iter().filter(|slot| matches!(slot, Slot::Fresh(_))).count();
        assert!(kept + 3 * (touched + inserted) >= old.len(), "{kept} of {} kept, {touched} touched", old.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_changes_give_what_a_full_render_gives(
        document in proptest::sample::select(Document::ALL.to_vec()),
        zstd in proptest::bool::weighted(0.3),
        kib in vec(1..40usize, 0..80),
        steps in vec(vec(change(), 0..4), 1..6),
    ) {
        let compression = if zstd { Compression::Zstd } else { Compression::Gz };
        let packages = (0..).zip(&kib).map(|(number, kib)| fragments(number, *kib)).collect();
        let mut model = Model::new(document, compression, packages);
        for changes in &steps {
            model.step(changes);
        }
    }
}

/// 2 MiB of packages in a few blocks.
fn sample(compression: Compression) -> (Vec<Fragments>, File) {
    let packages: Vec<_> = (0..64).map(|number| fragments(number, 32)).collect();
    let slots: Vec<_> = packages.iter().map(Slot::Fresh).collect();
    let rendered = render(Document::Primary, options(compression), &slots, None).unwrap();
    (packages, rendered)
}

#[test]
fn nothing_changed_gives_the_same_bytes() {
    for compression in [Compression::Gz, Compression::Zstd] {
        let (packages, rendered) = sample(compression);
        let slots: Vec<_> = (0..packages.len()).map(kept).collect();
        let again = render(Document::Primary, options(compression), &slots, Some(previous(&rendered))).unwrap();
        assert!(again.bytes == rendered.bytes);
        let [(to, from)] = again.reused.as_slice() else { panic!("{:?}", again.reused) };
        assert_eq!((to, to.end - to.start), (from, blocks(&again).iter().map(|(_, bytes)| bytes.len() as u64).sum()));
    }
}

#[test]
fn one_package_more_costs_one_block() {
    let (packages, rendered) = sample(Compression::Gz);
    let added = fragments(1000, 10);
    for at in 0..=packages.len() {
        let mut slots: Vec<_> = (0..packages.len()).map(kept).collect();
        slots.insert(at, Slot::Fresh(&added));
        let next = render(Document::Primary, options(Compression::Gz), &slots, Some(previous(&rendered))).unwrap();
        let old = blocks(&rendered);
        let made = blocks(&next).iter().filter(|block| !old.contains(block)).count();
        assert_eq!((made, blocks(&next).len()), (1, old.len()), "inserted at {at}");
    }
}

#[test]
fn another_compression_makes_every_block_anew() {
    let (packages, gz) = sample(Compression::Gz);
    let (_, zstd) = sample(Compression::Zstd);
    let slots: Vec<_> = (0..packages.len()).map(kept).collect();
    let changed = render(Document::Primary, options(Compression::Zstd), &slots, Some(previous(&gz))).unwrap();
    assert!(changed == zstd);
}

#[test]
fn the_open_checksum_is_that_of_the_document() {
    let (packages, rendered) = sample(Compression::Gz);
    let slots: Vec<_> = (0..packages.len() - 1).map(kept).collect();
    let options = RenderOptions { open_checksum: true, ..options(Compression::Gz) };
    let next = render(Document::Primary, options, &slots, Some(previous(&rendered))).unwrap();
    assert_eq!(next.open_sha256, Some(Sha256::of(&open(&next))));
    assert_eq!(rendered.open_sha256, None);
}

#[test]
fn an_empty_repository_is_a_document_too() {
    for compression in [Compression::Gz, Compression::Zstd] {
        let (_, rendered) = sample(compression);
        let emptied = render(Document::Primary, options(compression), &[], Some(previous(&rendered))).unwrap();
        let text = String::from_utf8(open(&emptied)).unwrap();
        assert!(text.ends_with("packages=\"0\">\n</metadata>\n"), "{text}");
        assert!(emptied.layout.blocks.is_empty());
        let package = fragments(1, 1);
        let first = render(Document::Primary, options(compression), &[Slot::Fresh(&package)], Some(previous(&emptied)));
        assert_eq!(first.unwrap().layout.blocks.len(), 1);
    }
}

#[test]
fn a_damaged_previous_file_is_refused() {
    let (packages, rendered) = sample(Compression::Gz);
    let slots: Vec<_> = (0..packages.len()).map(kept).collect();
    let with = |previous| render(Document::Primary, options(Compression::Gz), &slots, Some(previous)).unwrap_err();
    let mut damaged = rendered.clone();
    let middle = damaged.bytes.len() / 2;
    damaged.bytes[middle] ^= 1;
    assert!(matches!(with(previous(&damaged)), RenderError::PreviousDamaged));
    let short = &rendered.bytes[..middle];
    let short = Previous { file: &short, ..previous(&rendered) };
    assert!(matches!(with(short), RenderError::PreviousMismatch));
    let fewer = Previous { fragment_bytes: &rendered.fragment_bytes[1..], ..previous(&rendered) };
    assert!(matches!(with(fewer), RenderError::PreviousMismatch));
    let mut layout = rendered.layout.clone();
    layout.blocks[1].crc32 ^= 1;
    let wrong = Previous { layout: &layout, ..previous(&rendered) };
    let spliced = &slots[..40];
    assert!(render(Document::Primary, options(Compression::Gz), &slots[1..], Some(wrong)).is_ok());
    let result = render(Document::Primary, options(Compression::Zstd), spliced, Some(wrong));
    assert!(matches!(result, Err(RenderError::PreviousDamaged)));
}

#[test]
fn slots_that_keep_nothing_are_refused() {
    let (_, rendered) = sample(Compression::Gz);
    for (slots, slot) in [
        (vec![kept(3), kept(3)], 1),
        (vec![kept(64)], 0),
        (vec![Slot::Kept(0..65)], 0),
        (vec![kept(9), Slot::Kept(9..12)], 1),
    ] {
        let result = render(Document::Primary, options(Compression::Gz), &slots, Some(previous(&rendered)));
        assert!(matches!(result, Err(RenderError::BadSlot { slot: bad }) if bad == slot));
    }
    let result = render(Document::Primary, options(Compression::Gz), &[kept(0)], None);
    assert!(matches!(result, Err(RenderError::BadSlot { slot: 0 })));
}
