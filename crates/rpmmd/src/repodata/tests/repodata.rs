//! The three documents together, in memory.

use crate::repodata::{Build, Document, Fragments, RenderOptions, Rendered};

/// Three files and what is known of them.
#[derive(Debug, Clone)]
pub(super) struct Repodata {
    pub(super) files: [Rendered; 3],
    bytes: [Vec<u8>; 3],
}

impl Repodata {
    /// Built whole, a few packages at a time.
    pub(super) fn build(options: RenderOptions, packages: &[Fragments]) -> Self {
        let mut bytes = [Vec::new(), Vec::new(), Vec::new()];
        let mut build = Build::begin(options, packages.len(), bytes.each_mut()).unwrap();
        for packages in packages.chunks(7) {
            build.append(packages).unwrap();
        }
        let files = build.finish().unwrap();
        Self { files, bytes }
    }

    /// From files made one by one.
    pub(super) fn of(made: [(Rendered, Vec<u8>); 3]) -> Self {
        let [(primary, first), (filelists, second), (other, third)] = made;
        Self { files: [primary, filelists, other], bytes: [first, second, third] }
    }

    pub(super) fn get(&self, document: Document) -> &Rendered {
        &self.files[at(document)]
    }

    pub(super) fn bytes(&self, document: Document) -> &[u8] {
        &self.bytes[at(document)]
    }
}

fn at(document: Document) -> usize {
    Document::ALL.iter().position(|one| *one == document).unwrap()
}
