//! What a dry run showed, and holding the real one to it: a change that would be another than what somebody has seen is
//! not made.

use std::collections::{BTreeMap, BTreeSet};

use rpmmd::checksum::Sha256;

use crate::bucket::inbox::Dropped;
use crate::bucket::report::{LayoutChange, Report, TakenOut};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// Digits of a plan's name: two plans of one bucket are not mixed up, and people can copy it.
const NAME_DIGITS: usize = 16;

/// The name of the plan that a report follows: two reports have the same name when the same packages come, go and are
/// turned down, from the same revisions on. What waits, what it cost and when it was are no part of it.
pub fn plan_name(report: &Report) -> String {
    let mut lines = BTreeSet::new();
    for one in &report.published {
        let there = if one.already_there { "there" } else { "new" };
        lines.insert(["publish", &one.inbox_key, &one.etag, &one.repository, &one.href, there].join("\0"));
    }
    for one in &report.rejected {
        lines.insert(["reject", &one.inbox_key, &one.etag, &one.code].join("\0"));
    }
    for (what, gone) in went(report) {
        lines.extend(gone.iter().map(|gone| [what, &gone.repository, &gone.href, &gone.nevra].join("\0")));
    }
    for one in &report.marked {
        let repository = one.repository.as_ref().map_or("", RepositoryDir::as_str);
        let revision = one.revision.map_or_else(String::new, |revision| revision.to_string());
        lines.insert(["mark", one.mark.name(), repository, &one.name, &revision].join("\0"));
    }
    if let Some(layout) = &report.layout {
        lines.insert(["layout", &layout.from, &layout.to].join("\0"));
        for (what, all) in [("comes", &layout.comes), ("goes", &layout.goes)] {
            lines.extend(all.iter().map(|one| [what, &one.repository, &one.packages.to_string()].join("\0")));
        }
    }
    for one in report.repositories.iter().filter(|one| one.revision_before != one.revision_after) {
        let before = one.revision_before.map_or_else(String::new, |revision| revision.to_string());
        lines.insert(["from", &one.repository, &before].join("\0"));
    }
    name_of(lines.into_iter())
}

/// The name of a plan that these lines say.
pub fn name_of(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    Sha256::of(lines.join("\n").as_bytes()).to_string()[..NAME_DIGITS].to_owned()
}

/// What leaves a repository, or comes back, by this report.
fn went(report: &Report) -> [(&'static str, &[TakenOut]); 4] {
    [
        ("prune", &report.pruned),
        ("remove", &report.removed),
        ("replace", &report.replaced),
        ("restore", &report.restored),
    ]
}

/// What was seen beforehand, and is all that may be done.
#[derive(Debug, Default)]
pub struct Expected {
    repositories: BTreeMap<String, Change>,
    /// Uploads that get their answer, by key and ETag.
    answered: BTreeSet<(String, String)>,
    layout: Option<LayoutChange>,
    /// Whether it is a dry run, which shows whatever it is.
    is_anything: bool,
}

/// What was seen of one repository.
#[derive(Debug, Default)]
struct Change {
    revision_before: Option<u64>,
    /// Paths that come, and that go.
    coming: BTreeSet<String>,
    going: BTreeSet<String>,
}

impl Expected {
    /// Whatever it is: of a dry run, which somebody looks at afterwards.
    pub fn anything() -> Self {
        Self { is_anything: true, ..Self::default() }
    }

    /// What the report of a dry run shows.
    pub fn of(report: &Report) -> Self {
        let mut expected = Self { layout: report.layout.clone(), ..Self::default() };
        for one in &report.repositories {
            expected.change(&one.repository).revision_before = one.revision_before;
        }
        for one in &report.published {
            expected.answered.insert((one.inbox_key.clone(), one.etag.clone()));
            if !one.already_there {
                expected.change(&one.repository).coming.insert(one.href.clone());
            }
        }
        for one in &report.rejected {
            expected.answered.insert((one.inbox_key.clone(), one.etag.clone()));
        }
        for (_, gone) in went(report) {
            for one in gone {
                expected.change(&one.repository).going.insert(one.href.clone());
            }
        }
        expected
    }

    fn change(&mut self, repository: &str) -> &mut Change {
        self.repositories.entry(repository.to_owned()).or_default()
    }

    /// Whether an upload was seen, as it is.
    pub(crate) fn answers(&self, dropped: &Dropped) -> bool {
        self.is_anything || self.answered.contains(&(dropped.key().to_owned(), dropped.etag().to_string()))
    }

    /// Refuses a change of the layout that is not the one that was seen.
    pub(crate) fn hold_layout(&self, change: &LayoutChange) -> Result<()> {
        if self.is_anything || self.layout.as_ref() == Some(change) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "changing the layout as the dry run showed")
            .because("what comes and goes is not what it showed")
            .hint("nothing was changed; look again with --dry-run, and give the new plan's name"))
    }

    /// Refuses what is about to be done to a repository when it is not what was seen. Nothing that clients see was
    /// changed yet.
    pub(crate) fn admit(&self, repository: &RepositoryDir, about_to: &AboutTo) -> Result<()> {
        let AboutTo { revision_before, coming, going, goes_back } = about_to;
        if self.is_anything {
            return Ok(());
        }
        let why = match self.repositories.get(repository.as_str()) {
            None if coming.is_empty() && going.is_empty() => return Ok(()),
            None => "there was nothing to do there".to_owned(),
            Some(seen) if seen.revision_before != *revision_before => {
                let name = |revision: Option<u64>| revision.map_or_else(|| "none".to_owned(), |it| it.to_string());
                format!("its revision was {} and is {} now", name(seen.revision_before), name(*revision_before))
            }
            Some(_) if *goes_back => return Ok(()),
            Some(seen) => {
                let differs = coming.symmetric_difference(&seen.coming).next();
                match differs.or_else(|| going.symmetric_difference(&seen.going).next()) {
                    None => return Ok(()),
                    Some(href) => format!("the plan said something else of {href}"),
                }
            }
        };
        Err(Error::new(ErrorKind::Conflict, format!("changing {repository} as the dry run showed"))
            .because(why)
            .hint("nothing was changed there; look again with --dry-run, and give the new plan's name"))
    }
}

/// What is about to be done to a repository.
#[derive(Debug)]
pub(crate) struct AboutTo {
    pub(crate) revision_before: Option<u64>,
    /// Paths that come, and that go.
    pub(crate) coming: BTreeSet<String>,
    pub(crate) going: BTreeSet<String>,
    /// Whether it goes back to an earlier revision: what comes and goes then follows from the two revisions.
    pub(crate) goes_back: bool,
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::*;

    fn removing(hrefs: &[&str]) -> Report {
        let mut report = Report::new(Ulid::from_parts(1, 1), Timestamp::UNIX_EPOCH);
        report.removed = hrefs
            .iter()
            .map(|href| TakenOut {
                repository: "el9".to_owned(),
                href: (*href).to_owned(),
                nevra: href.trim_end_matches(".rpm").to_owned(),
                why: None,
            })
            .collect();
        report
    }

    #[test]
    fn a_plan_has_a_name_by_what_comes_and_goes_and_by_nothing_else() {
        let plan = removing(&["a.rpm", "b.rpm"]);
        let later = Report { run: Ulid::from_parts(2, 2), duration_ms: 7, ..removing(&["b.rpm", "a.rpm"]) };
        assert_eq!(plan_name(&plan), plan_name(&later));
        assert_eq!(plan_name(&plan).len(), NAME_DIGITS);
        assert_ne!(plan_name(&plan), plan_name(&removing(&["a.rpm"])));
    }
}
