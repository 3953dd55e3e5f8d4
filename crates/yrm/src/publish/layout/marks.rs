//! What operators have put on packages and revisions, when other folders become repositories: packages stay held, and a
//! revision that has a tag does not go.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Found, Layouts, Plan};
use crate::bucket::Bucket;
use crate::bucket::holds::{Hold, Holds};
use crate::bucket::tags::Tags;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::operations::hold;

/// Refuses a change by which a repository with tags goes: nobody would keep what they name.
pub(super) async fn refuse_tagged(bucket: &Bucket, found: &Found, layouts: &Layouts, to: &str) -> Result<()> {
    let goes = found.givers.iter().map(|giver| &giver.repository).filter(|repository| !layouts.to.names(repository));
    for repository in goes {
        let tags = Tags::of(bucket, repository).await?;
        let names: Vec<&str> = tags.live().map(|tag| tag.name.as_str()).collect();
        if let Some(name) = names.first() {
            return Err(Error::new(ErrorKind::Conflict, format!("changing the layout to {to:?}"))
                .because(format!("{repository} would go, and revisions of it have tags: {}", names.join(", ")))
                .hint(format!("nothing was changed; take them away first: yrm repo untag {name} --in {repository}")));
        }
    }
    Ok(())
}

/// Holds in each repository that comes what is held where its packages come from.
pub(super) async fn carry_holds(bucket: &Bucket, found: &Found, plan: &Plan) -> Result<()> {
    let wanted: BTreeSet<usize> = plan.make.values().flatten().map(|given| given.giver).collect();
    let mut before: BTreeMap<usize, Holds> = BTreeMap::new();
    for number in wanted {
        before.insert(number, Holds::of(bucket, &found.givers[number].repository).await?);
    }
    for (repository, given) in &plan.make {
        let carried = given.iter().filter(|given| found.givers[given.giver].repository != *repository);
        let carried = carried.filter_map(|given| {
            let pkgid = found.givers[given.giver].catalog.entries.get(given.at).pkgid().to_string();
            let hold = before[&given.giver].holds.iter().find(|hold| hold.pkgid == pkgid)?;
            Some(Hold { href: given.href.clone(), ..hold.clone() })
        });
        let carried: Vec<Hold> = carried.collect();
        hold::carry(bucket, repository, &carried).await?;
    }
    Ok(())
}
