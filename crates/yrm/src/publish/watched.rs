//! What the watch over every repomd.xml keeps in mind ([`crate::upkeep::watch`]). Pure.
//!
//! Other programs write in steps, and a folder that is being renamed is gone for a moment: what looks strange is believed
//! when it looks the same [`STEADY`] later.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::bucket::report::{Found, Noticed, Outcome};
use crate::store::ETag;
use crate::store::key::RepositoryDir;

/// How long what looks strange has to look the same.
const STEADY: SignedDuration = SignedDuration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// When every repository was last looked at.
    pub(crate) looked: Option<Timestamp>,
    /// The repomd.xml that were found to be ours.
    pub(crate) ours: BTreeMap<RepositoryDir, ETag>,
    /// What looked strange, and since when.
    strange: BTreeMap<RepositoryDir, (Strange, Timestamp)>,
    /// What could not be mended, and what there is to say of it.
    left: BTreeMap<RepositoryDir, (Strange, String)>,
}

/// What there was in the place of a repomd.xml of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strange {
    pub(crate) found: Found,
    pub(crate) etag: Option<ETag>,
}

impl Watched {
    /// Takes in what was seen; gives it where it has been so for a while.
    pub(crate) fn believe(
        &mut self,
        repository: RepositoryDir,
        seen: Option<Strange>,
        now: Timestamp,
    ) -> Option<(RepositoryDir, Strange)> {
        let Some(sight) = seen else {
            self.strange.remove(&repository);
            self.left.remove(&repository);
            return None;
        };
        let before = self.strange.remove(&repository);
        // What nobody could mend is tried again when every repository is looked at.
        let is_left = self.left.get(&repository).is_some_and(|(left, _)| *left == sight);
        let since = before.filter(|(before, _)| *before == sight).map_or(now, |(_, since)| since);
        if is_left || is_steady(since, now) {
            return Some((repository, sight));
        }
        self.strange.insert(repository, (sight, since));
        None
    }

    /// Whether something strange has been so for a while.
    pub(crate) fn is_anything_steady(&self, now: Timestamp) -> bool {
        self.strange.values().any(|(_, since)| is_steady(*since, now))
    }

    /// The repositories that looked strange.
    pub(crate) fn strange(&self) -> Vec<RepositoryDir> {
        self.strange.keys().cloned().collect()
    }

    /// Notes that a repository could not be mended; what there is to say of it, the first time.
    pub(crate) fn leave(&mut self, repository: RepositoryDir, sight: &Strange, why: String) -> Option<Noticed> {
        let noticed = Noticed {
            repository: repository.as_str().to_owned(),
            found: sight.found,
            outcome: Outcome::Left,
            message: Some(why),
        };
        let told = self.left.insert(repository, (sight.clone(), noticed.to_string()));
        told.is_none_or(|(before, _)| before != *sight).then_some(noticed)
    }

    /// Notes that a repository is as it should be.
    pub(crate) fn mended(&mut self, repository: &RepositoryDir) {
        self.left.remove(repository);
    }

    /// What is not mended yet.
    pub(crate) fn left(&self) -> impl Iterator<Item = &str> {
        self.left.values().map(|(_, why)| why.as_str())
    }
}

fn is_steady(since: Timestamp, now: Timestamp) -> bool {
    // Also when the clock was set back.
    now.duration_since(since).abs() >= STEADY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_377_600 + second).unwrap()
    }

    #[test]
    fn what_is_gone_for_a_moment_is_not_believed() {
        let (mut watched, el9) = (Watched::default(), RepositoryDir::new("el9"));
        let gone = || Some(Strange { found: Found::Gone, etag: None });
        assert_eq!(watched.believe(el9.clone(), gone(), at(0)), None);
        assert!(!watched.is_anything_steady(at(9)));
        assert_eq!(watched.believe(el9.clone(), None, at(9)), None, "it is back");
        assert_eq!(watched.believe(el9.clone(), gone(), at(60)), None);
        assert!(watched.is_anything_steady(at(70)));
        assert!(watched.believe(el9, gone(), at(70)).is_some());
    }

    #[test]
    fn what_is_still_being_written_is_not_believed() {
        let (mut watched, el9) = (Watched::default(), RepositoryDir::new("el9"));
        let damaged = |etag: &str| Some(Strange { found: Found::Damaged, etag: Some(ETag::new(etag)) });
        assert_eq!(watched.believe(el9.clone(), damaged("a"), at(0)), None);
        assert_eq!(watched.believe(el9.clone(), damaged("b"), at(20)), None, "other bytes than before");
        assert!(watched.believe(el9, damaged("b"), at(40)).is_some());
    }

    #[test]
    fn what_cannot_be_mended_is_told_once_and_kept_in_mind() {
        let (mut watched, el9) = (Watched::default(), RepositoryDir::new("el9"));
        let sight = Strange { found: Found::Foreign, etag: Some(ETag::new("a")) };
        let told = watched.leave(el9.clone(), &sight, "7 of its 8 packages would disappear".to_owned()).unwrap();
        let said =
            "repomd.xml of el9 was written by another program: left as it is: 7 of its 8 packages would disappear";
        assert_eq!(told.to_string(), said);
        assert_eq!(watched.leave(el9.clone(), &sight, "the same again".to_owned()), None);
        assert_eq!(watched.left().count(), 1);
        assert!(watched.believe(el9.clone(), Some(sight), at(0)).is_some(), "tried again");
        assert_eq!(watched.believe(el9, None, at(1)), None);
        assert_eq!(watched.left().count(), 0);
    }
}
