//! Everything below a prefix, or an error: never a part of it for all.

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Object, Page, Store, Unreadable};

/// Pages of 1,000 keys one run reads at most; what lies behind waits for the next run.
pub(crate) const MAX_PAGES: usize = 1_000;

/// All objects under `prefix`; an error rather than a partial answer.
pub async fn list_all(store: &dyn Store, prefix: &str) -> Result<Vec<Object>> {
    list_from(store, prefix, None).await
}

/// One page of them.
pub(crate) async fn list_page(store: &dyn Store, prefix: &str, after: Option<&str>) -> Result<Page> {
    let page = store.list(prefix, after).await?;
    if let Some(Unreadable { key, why }) = page.unreadable.first() {
        let doing = format!("listing {prefix}: {key} cannot be read");
        return Err(Error::new(ErrorKind::Denied, doing).because(why.clone()));
    }
    Ok(page)
}

/// The same from a later page on.
pub(crate) async fn list_from(store: &dyn Store, prefix: &str, after: Option<String>) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    each_from(store, prefix, after, |object| objects.push(object)).await?;
    Ok(objects)
}

/// Gives `take` one object after the other, so that a long listing need not be kept as it comes.
pub(crate) async fn each_from(
    store: &dyn Store,
    prefix: &str,
    mut after: Option<String>,
    mut take: impl FnMut(Object),
) -> Result<()> {
    for _ in 0..MAX_PAGES {
        let page = list_page(store, prefix, after.as_deref()).await?;
        page.objects.into_iter().for_each(&mut take);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Internal, format!("listing {prefix}: more than {MAX_PAGES} pages"))
        .hint("split the repository: see `repositories` in the configuration"))
}
