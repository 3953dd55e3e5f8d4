//! Uploading a generation: everything that it names is in the store before repomd.xml names it.

use rpmmd::repodata::ReadRange as _;

use super::copies::keep_copy_of_current;
use super::render::{Generation, NewFile};
use crate::bucket::Bucket;
use crate::bucket::state::State;
use crate::error::Result;
use crate::publish::abilities::abilities;
use crate::store::Reused;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle;

/// A file up to this size is sent whole: joining it would take more calls than it saves bytes.
const WORTH_JOINING_BYTES: u64 = 16 << 20;

/// Uploads everything the generation names, its catalog, and the copy of the generation it
/// replaces.
pub async fn upload(bucket: &Bucket, state: &State, generation: &Generation) -> Result<()> {
    let repository = &state.repository;
    let able = abilities(bucket).await?;
    let files =
        generation.catalog.files.iter().flatten().zip(&generation.files).enumerate().map(|(at, (layout, file))| {
            let before = state.catalog.files.as_ref().filter(|_| able.range_copy).map(|files| files[at].href.as_str());
            upload_file(bucket, repository, &layout.href, file, before)
        });
    let catalog = Key::Catalog { repository, repomd: generation.repomd_sha256() };
    let (path, attributes) = (bucket.path(catalog), catalog.attributes());
    let put_catalog = settle::put_fixed(bucket.store.as_ref(), &path, &generation.catalog_bytes, &attributes);
    let mirror = generation.catalog.mirror.as_ref().zip(generation.mirror.as_ref()).map(|(layout, file)| {
        let before = state.catalog.mirror.as_ref().filter(|_| able.range_copy).map(|layout| layout.href.as_str());
        upload_file(bucket, repository, &layout.href, file, before)
    });
    let files = futures::future::try_join_all(files.chain(mirror));
    futures::future::try_join3(files, put_catalog, keep_copy_of_current(bucket, state)).await?;
    Ok(())
}

/// Uploads one metadata file, as little of it as the store needs.
async fn upload_file(
    bucket: &Bucket,
    repository: &RepositoryDir,
    href: &str,
    file: &NewFile,
    before: Option<&str>,
) -> Result<()> {
    let key = Key::Metadata { repository, href };
    let seen = match before.filter(|_| !file.reused.is_empty() && file.body.length_bytes() > WORTH_JOINING_BYTES) {
        Some(href) => bucket.store.head(&bucket.path(Key::Metadata { repository, href })).await?,
        None => None,
    };
    let reused: Vec<Reused<'_>> = seen
        .iter()
        .flat_map(|object| {
            file.reused.iter().map(move |(at, from)| Reused { at: at.clone(), object, from: from.start })
        })
        .collect();
    settle::assemble_fixed(bucket.store.as_ref(), &bucket.path(key), &file.body, &reused, &key.attributes()).await?;
    Ok(())
}
