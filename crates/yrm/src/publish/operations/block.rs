//! Blocking packages, so that they do not come back, and letting them come back.

use super::document::change;
use super::hold::Word;
use crate::bucket::Bucket;
use crate::bucket::blocks::{Block, Blocks};
use crate::bucket::naming::PackageGlob;
use crate::bucket::report::{Mark, Marked, TakenOut};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, RepositoryDir};

/// What is to be blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocking {
    /// A name, NEVRA or path below `repo/`, with * and ? for what may be anything; or a SHA-256.
    pub pattern: String,
    /// Only in this folder below `repo/`.
    pub folder: Option<String>,
    /// Bytes of the file that has that SHA-256, where that is known.
    pub size_bytes: Option<u64>,
}

impl Blocking {
    /// Of a package that is taken out: its NEVRA in its repository, so that a rebuild does not come back either.
    pub(crate) fn of(package: &TakenOut) -> Self {
        let pattern = globset::escape(&package.nevra);
        Self { pattern, folder: Some(package.repository.clone()), size_bytes: None }
    }

    fn is(&self, block: &Block) -> bool {
        self.pattern == block.pattern && self.folder == block.folder
    }
}

/// Blocks. What is blocked already stays blocked as it is.
pub(crate) async fn block(bucket: &Bucket, wanted: &[Blocking], word: &Word) -> Result<Vec<Marked>> {
    change(bucket, Key::Blocks, |blocks: &mut Blocks| {
        let mut marked = Vec::new();
        for one in wanted {
            if blocks.blocks.iter().any(|block| one.is(block)) {
                continue;
            }
            blocks.blocks.push(Block {
                pattern: one.pattern.clone(),
                folder: one.folder.clone(),
                size_bytes: one.size_bytes,
                since: word.at,
                by: word.by.clone(),
                reason: word.reason.clone(),
            });
            marked.push(marking(Mark::Block, one, None));
        }
        marked
    })
    .await
}

/// Lets come back what was blocked by these words. What is blocked by none of them is an error, and then nothing is changed.
pub(crate) async fn unblock(bucket: &Bucket, wanted: &[Blocking]) -> Result<Vec<Marked>> {
    let changed = change(bucket, Key::Blocks, |blocks: &mut Blocks| {
        // Packages that were blocked by `remove --block` are named by the pattern by which they were removed, too.
        let fits = |one: &Blocking, block: &Block| {
            PackageGlob::new(&one.pattern).is_ok_and(|glob| glob.fits(&block.pattern, &block.pattern))
        };
        let is_meant = |one: &Blocking, block: &Block| {
            let is_there = one.folder.is_none() || one.folder == block.folder;
            is_there && (one.pattern == block.pattern || fits(one, block))
        };
        let unknown = wanted.iter().find(|one| !blocks.blocks.iter().any(|block| is_meant(one, block)));
        if let Some(unknown) = unknown {
            return Err(unknown.clone());
        }
        let mut marked = Vec::new();
        blocks.blocks.retain(|block| {
            let Some(_) = wanted.iter().find(|one| is_meant(one, block)) else { return true };
            let Block { pattern, folder, size_bytes, .. } = block.clone();
            marked.push(marking(Mark::Unblock, &Blocking { pattern, folder, size_bytes }, Some(block.told())));
            false
        });
        Ok(marked)
    });
    changed.await?.map_err(|unknown| {
        Error::new(ErrorKind::Conflict, format!("unblocking {:?}", unknown.pattern))
            .because("nothing is blocked by that")
            .hint("nothing was changed; `yrm package block` without arguments lists what is blocked")
    })
}

fn marking(mark: Mark, blocking: &Blocking, why: Option<String>) -> Marked {
    let repository = blocking.folder.as_deref().map(RepositoryDir::new);
    Marked { mark, repository, name: blocking.pattern.clone(), nevra: None, revision: None, why }
}
