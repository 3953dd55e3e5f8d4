//! A repository that has gone through hundreds of publishes is the one that is built afresh.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::packages::numbered;
use super::repodata::Repodata;
use crate::compress::Compression;
use crate::package::Package;
use crate::repodata::{Document, Fragments, Previous, RenderOptions, Slot, read, render};

const CHANGES: usize = 500;

/// What one publish does to one package.
#[derive(Debug, Clone)]
enum Change {
    Add(u32),
    Remove(Index),
    Replace(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any::<u32>().prop_map(Change::Add),
        3 => any::<Index>().prop_map(Change::Remove),
        3 => any::<Index>().prop_map(Change::Replace),
    ]
}

/// Packages by href, each with a number that says what is in it.
type Packages = BTreeMap<String, (u32, Package<'static>)>;

fn package(name: u32, contents: u32) -> (String, Package<'static>) {
    let mut package = numbered(name, 200 + contents as usize % 9000, contents as usize % 400);
    package.summary = format!("contents {contents}").into();
    (package.href.to_string(), package)
}

fn fragments(package: &Package<'_>) -> Fragments {
    Fragments::of(package).unwrap()
}

/// The repository as a publish would make it from the one before.
struct Repository {
    packages: Packages,
    files: Repodata,
}

impl Repository {
    fn new(options: RenderOptions, count: u32) -> Self {
        let packages: Packages = (0..count)
            .map(|name| package(name.wrapping_mul(2_654_435_761), name * 37))
            .map(|(href, package)| (href, (0, package)))
            .collect();
        let fresh: Vec<_> = packages.values().map(|(_, package)| fragments(package)).collect();
        Self { packages, files: Repodata::build(options, &fresh) }
    }

    fn publish(&mut self, options: RenderOptions, change: &Change, number: u32) {
        let before: Vec<String> = self.packages.keys().cloned().collect();
        let existing = |at: &Index| (!before.is_empty()).then(|| at.get(&before).clone());
        let fresh = match change {
            Change::Add(name) => {
                let (href, package) = package(*name, number);
                self.packages.insert(href.clone(), (number, package));
                Some(href)
            }
            Change::Remove(at) => {
                existing(at).map(|href| self.packages.remove(&href));
                None
            }
            Change::Replace(at) => existing(at).inspect(|href| {
                let (_, package) = self.packages.get_mut(href).unwrap();
                package.summary = format!("replaced {number}").into();
                package.description = "again ".repeat(number as usize % 3000).into();
            }),
        };
        let made: Vec<_> = fresh.iter().map(|href| fragments(&self.packages[href].1)).collect();
        let kept = |href: &String| before.binary_search(href).unwrap();
        let one = |at: usize| at..at + 1;
        let slot =
            |href| if Some(href) == fresh.as_ref() { Slot::Fresh(&made[0]) } else { Slot::Kept(one(kept(href))) };
        let slots: Vec<_> = self.packages.keys().map(slot).collect();
        let spliced = Document::ALL.map(|document| {
            let rendered = self.files.get(document);
            let file = self.files.bytes(document);
            let (layout, fragment_bytes) = (&rendered.layout, rendered.fragment_bytes.as_slice());
            let previous =
                Previous { layout, fragment_bytes, file: &file, verify: Some(rendered.sha256), href_prefix: "" };
            let mut bytes = Vec::new();
            let rendered = render(document, options, &slots, Some(previous), &mut bytes).unwrap();
            (rendered, bytes)
        });
        self.files = Repodata::of(spliced);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]

    #[test]
    fn after_500_changes_the_repository_is_that_of_a_full_build(
        changes in vec(change(), CHANGES),
        zstd in any::<bool>(),
    ) {
        let options = RenderOptions::new(if zstd { Compression::Zstd } else { Compression::Gz });
        let mut repository = Repository::new(options, 300);
        for (number, change) in (1..).zip(&changes) {
            repository.publish(options, change, number);
        }
        let packages: Vec<_> = repository.packages.into_values().map(|(_, package)| package).collect();
        let fresh: Vec<_> = packages.iter().map(fragments).collect();
        let built = Repodata::build(options, &fresh);
        let open = |files: &Repodata, document| {
            crate::compress::decompress(files.bytes(document), 1 << 30).unwrap().into_owned()
        };
        for document in Document::ALL {
            let (spliced, whole) = (open(&repository.files, document), open(&built, document));
            prop_assert!(spliced == whole, "{} differs", document.name());
            let lengths = |files: &Repodata| files.get(document).fragment_bytes.clone();
            prop_assert_eq!(lengths(&repository.files), lengths(&built));
        }
        let [primary, filelists, other] = Document::ALL.map(|document| repository.files.bytes(document));
        let read = read(primary, filelists, other).unwrap();
        prop_assert_eq!(read.len(), packages.len());
        for (read, package) in read.iter().zip(&packages) {
            prop_assert_eq!(read, package);
        }
    }
}
