//! Everything below a prefix, or an error: never a part of it for all.

use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Object, Page, Store, Unreadable};

/// Pages of 1,000 keys one run reads at most; what lies behind waits for the next run.
pub(crate) const MAX_PAGES: usize = 1_000;

/// All objects under `prefix`; an error rather than a partial answer.
pub async fn list_all(store: &dyn Store, prefix: &str) -> Result<Vec<Object>> {
    let (mut objects, mut after) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = list_page(store, prefix, after.as_deref()).await?;
        objects.extend(page.objects);
        after = page.next;
        if after.is_none() {
            return Ok(objects);
        }
    }
    Err(too_long(prefix))
}

/// One page of them.
async fn list_page(store: &dyn Store, prefix: &str, after: Option<&str>) -> Result<Page> {
    whole(prefix, store.list(prefix, after).await?)
}

/// The page, unless something in it could not be read.
fn whole(prefix: &str, page: Page) -> Result<Page> {
    if let Some(Unreadable { key, why }) = page.unreadable.first() {
        let doing = format!("listing {prefix}: {key} cannot be read");
        return Err(Error::new(ErrorKind::Denied, doing).because(why.clone()));
    }
    Ok(page)
}

/// A page of what is a part of the repositories. Where they are the bucket's root, a listing comes by the inbox and by
/// what yrm keeps too: that is left out, also where it cannot be read, and not listed to its end.
pub(crate) async fn repo_page(store: &dyn Store, folders: &Folders, prefix: &str, after: Option<&str>) -> Result<Page> {
    let mut page = store.list(prefix, after).await?;
    if !prefix.is_empty() {
        return whole(prefix, page);
    }
    if page.next.is_some() && page.objects.is_sorted_by(|one, next| one.key < next.key) {
        let last = page.objects.last().and_then(|last| folders.apart(&last.key));
        // Behind every key of that folder that there is in practice: others are left out one by one.
        page.next = last.map(|folder| format!("{folder}/\u{10ffff}")).or(page.next);
    }
    page.objects.retain(|object| folders.apart(&object.key).is_none());
    page.unreadable.retain(|unreadable| folders.apart(&unreadable.key).is_none());
    whole(prefix, page)
}

/// Gives `take` one object of the repositories after the other, so that a long listing need not be kept as it comes.
pub(crate) async fn each_of_repo(
    store: &dyn Store,
    folders: &Folders,
    (prefix, mut after): (&str, Option<String>),
    mut take: impl FnMut(Object),
) -> Result<()> {
    for _ in 0..MAX_PAGES {
        let page = repo_page(store, folders, prefix, after.as_deref()).await?;
        page.objects.into_iter().for_each(&mut take);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
    Err(too_long(prefix))
}

fn too_long(prefix: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("listing {prefix}: more than {MAX_PAGES} pages"))
        .hint("split the repository: see `repositories` in the configuration")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::{Attributes, PAGE_OBJECTS, PutIf};

    #[tokio::test]
    async fn a_listing_of_the_root_is_complete_and_does_not_list_what_is_apart_to_its_end() {
        let store = MemoryStore::new();
        let mut wanted = Vec::new();
        for folder in [".yrm", "quarantine", "inbox", "a", "j", "z", ".a"] {
            let is_apart = matches!(folder, ".yrm" | "quarantine" | "inbox");
            let count = if is_apart { 5 * PAGE_OBJECTS } else { PAGE_OBJECTS / 2 + 7 };
            for number in 0..count {
                let key = format!("{folder}/{number:05}");
                store.put(&key, "x".into(), &Attributes::default(), PutIf::Always).await.unwrap();
                wanted.extend((!is_apart).then_some(key));
            }
        }
        wanted.sort();
        let folders = Folders { repo: String::new(), ..Folders::default() };
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let page = repo_page(&store, &folders, "", after.as_deref()).await.unwrap();
            found.extend(page.objects.into_iter().map(|object| object.key));
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted);
        assert!(pages <= 8, "{pages}");
    }
}
