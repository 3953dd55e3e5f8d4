//! What was uploaded, and whether the bucket accounts for all of it at the end.
//!
//! The judgement is a function of what was uploaded and what is there; it reads nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use forge::Rpm;
use rand::Rng as _;
use rand::rngs::StdRng;
use rpmmd::checksum::Sha256;

/// One file to upload, in its turn.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    /// Below the inbox.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    /// Whether it is a package.
    pub(super) sound: bool,
}

/// An upload that was made.
#[derive(Debug, Clone)]
struct Made {
    sha256: Sha256,
    sound: bool,
    /// Whether the inbox still held something at this path just before: only then can this upload
    /// have taken another's place.
    found_another: bool,
}

/// Every upload, in order, by path.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<String, Vec<Made>>);

/// What a bucket holds.
#[derive(Debug, Default, Clone)]
pub(super) struct Holdings {
    /// The pkgid of every package that the metadata names, by href.
    pub(super) named: BTreeMap<String, Vec<Sha256>>,
    /// The same by the path that they were uploaded under.
    pub(super) published: BTreeMap<String, Vec<Sha256>>,
    /// The quarantined files: the path each came from, and what it is.
    pub(super) quarantined: Vec<(String, Sha256)>,
    /// Paths in the inbox.
    pub(super) inbox: BTreeSet<String>,
    /// What the metadata names of the evil uploader's: nobody keeps books of that.
    pub(super) evil: BTreeMap<String, Vec<Sha256>>,
}

impl Holdings {
    /// Only what the metadata names.
    pub(super) fn naming(named: BTreeMap<String, Vec<Sha256>>) -> Self {
        let mut published: BTreeMap<String, Vec<Sha256>> = BTreeMap::new();
        for (href, pkgids) in &named {
            for pkgid in pkgids {
                published.entry(uploaded_as(href, pkgid)).or_default().push(*pkgid);
            }
        }
        Self { named, published, ..Self::default() }
    }
}

/// Where a package was uploaded that is published under `href`: where its path was taken by what an
/// interrupted run left behind, it has another, with digits of a hash of its own in it.
fn uploaded_as(href: &str, pkgid: &Sha256) -> String {
    let parts = href.strip_suffix(".rpm").and_then(|stem| stem.rsplit_once('.'));
    let Some((stem, digits)) = parts.filter(|(_, digits)| digits.len() == 16) else { return href.to_owned() };
    let mut own = (1..16).map(|number| Sha256::of(format!("{pkgid} {number}").as_bytes()));
    let is_own = pkgid.to_string().starts_with(digits) || own.any(|digest| digest.to_string().starts_with(digits));
    if is_own { format!("{stem}.rpm") } else { href.to_owned() }
}

/// What became of the uploads.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    uploads: usize,
    published: usize,
    already_there: usize,
    conflicts: usize,
    no_packages: usize,
    overwritten: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uploads, published, already_there, conflicts, no_packages, overwritten } = self;
        write!(
            f,
            "{uploads} uploads: {published} published, {already_there} already there, {conflicts} conflicts and \
             {no_packages} non-packages in quarantine, {overwritten} overwritten by a later upload"
        )
    }
}

/// A campaign's uploads: `packages` paths in random order. Of twenty, one is no package, two are
/// uploaded again as they are, six with other bytes, and two of those a third time as at first.
pub(super) fn uploads(packages: usize, random: &mut StdRng) -> Vec<Upload> {
    const FOLDERS: [&str; 4] = ["el9/x86_64", "el9/noarch", "tools", ""];
    // Of each path's turn; the next upload of the same path comes up to four paths later.
    const FINENESS: usize = 1_000;
    let mut turns: Vec<(usize, Upload)> = Vec::new();
    for number in 0..packages {
        let folder = FOLDERS[number % FOLDERS.len()];
        let name = format!("package-{number:03}");
        let rpm = |summary: &str| Rpm::new(&name, "1.0~rc1", "1", "noarch").summary(summary);
        let file = rpm("").file_name();
        let path = if folder.is_empty() { file } else { format!("{folder}/{file}") };
        let (first, other) = (rpm("first").build(), rpm("other").build());
        let versions: Vec<Vec<u8>> = match number % 20 {
            3 => vec![format!("no package {number}").into_bytes()],
            5 | 15 => vec![first.clone(), first],
            7 | 9 | 17 | 19 => vec![first, other],
            2 | 12 => vec![first.clone(), other, first],
            _ => vec![first],
        };
        let mut turn = random.random_range(0..packages * FINENESS);
        for bytes in versions {
            let sound = number % 20 != 3;
            turns.push((turn, Upload { path: path.clone(), bytes, sound }));
            turn += random.random_range(0..4 * FINENESS);
        }
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, upload)| upload).collect()
}

impl Ledger {
    /// Notes an upload that was made.
    pub(super) fn note(&mut self, upload: &Upload, found_another: bool) {
        let made = Made { sha256: Sha256::of(&upload.bytes), sound: upload.sound, found_another };
        self.0.entry(upload.path.clone()).or_default().push(made);
    }

    /// How many packages must be published at the end: one for each path that saw any.
    pub(super) fn packages(&self) -> usize {
        self.0.values().filter(|made| made.iter().any(|made| made.sound)).count()
    }

    /// Paths that saw one upload only.
    pub(super) fn uploaded_once(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, made)| made.len() == 1).map(|(path, _)| path.as_str())
    }

    /// What became of every upload, or everything that is wrong.
    pub(super) fn settle(&self, holdings: &Holdings) -> Result<Tally, Vec<String>> {
        let mut wrong = Vec::new();
        let mut tally = Tally::default();
        wrong.extend(holdings.inbox.iter().map(|path| format!("{path}: still in the inbox")));
        for (href, pkgids) in &holdings.published {
            if pkgids.len() != 1 {
                wrong.push(format!("{href}: named {} times", pkgids.len()));
            }
            if !self.0.contains_key(href) {
                wrong.push(format!("{href}: published, and nobody uploaded it"));
            }
        }
        let mut quarantined: BTreeMap<(&str, &Sha256), usize> = BTreeMap::new();
        for (path, sha256) in &holdings.quarantined {
            *quarantined.entry((path, sha256)).or_default() += 1;
        }
        for ((path, sha256), times) in &quarantined {
            let same = self.0.get(*path).map_or(0, |made| made.iter().filter(|made| made.sha256 == **sha256).count());
            if *times > same {
                wrong.push(format!("{path}: uploaded {same} times as {sha256}, quarantined {times} times"));
            }
        }
        for (path, made) in &self.0 {
            let published = holdings.published.get(path).and_then(|pkgids| pkgids.first());
            let mut is_there = false;
            for (at, upload) in made.iter().enumerate() {
                tally.uploads += 1;
                let aside = quarantined.contains_key(&(path.as_str(), &upload.sha256));
                let replaced = made.get(at + 1).is_some_and(|next| next.found_another);
                match (published == Some(&upload.sha256), aside) {
                    (true, true) => {
                        wrong.push(format!("{path}: upload {at} is published and in quarantine"));
                        is_there = true;
                    }
                    (true, false) if is_there => tally.already_there += 1,
                    (true, false) => {
                        tally.published += 1;
                        is_there = true;
                    }
                    (false, true) if !upload.sound => tally.no_packages += 1,
                    (false, true) if published.is_some() => tally.conflicts += 1,
                    (false, true) => {
                        wrong.push(format!("{path}: upload {at} is in quarantine, in conflict with nothing"));
                    }
                    (false, false) if replaced => tally.overwritten += 1,
                    (false, false) => wrong.push(format!("{path}: upload {at} of {} is lost", made.len())),
                }
            }
            if published.is_some() && !is_there {
                wrong.push(format!("{path}: published with bytes that nobody uploaded"));
            }
            if made.iter().all(|made| made.sound) && published.is_none() {
                wrong.push(format!("{path}: packages were uploaded and none is published"));
            }
        }
        if wrong.is_empty() { Ok(tally) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(text: &str) -> Sha256 {
        Sha256::of(text.as_bytes())
    }

    fn made(ledger: &mut Ledger, path: &str, text: &str, found_another: bool) {
        let upload = Upload { path: path.to_owned(), bytes: text.into(), sound: text != "junk" };
        ledger.note(&upload, found_another);
    }

    fn holdings(published: &[(&str, &str)], quarantined: &[(&str, &str)], inbox: &[&str]) -> Holdings {
        let mut named: BTreeMap<String, Vec<Sha256>> = BTreeMap::new();
        for (href, text) in published {
            named.entry((*href).to_owned()).or_default().push(sha256(text));
        }
        let mut holdings = Holdings::naming(named);
        holdings.quarantined = quarantined.iter().map(|(path, text)| ((*path).to_owned(), sha256(text))).collect();
        holdings.inbox = inbox.iter().map(|path| (*path).to_owned()).collect();
        holdings
    }

    /// One path each: alone, junk, same bytes twice, other bytes found taken, other bytes in time.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        made(&mut ledger, "alone", "1", false);
        made(&mut ledger, "junk", "junk", false);
        made(&mut ledger, "same", "1", false);
        made(&mut ledger, "same", "1", false);
        made(&mut ledger, "late", "1", false);
        made(&mut ledger, "late", "2", false);
        made(&mut ledger, "early", "1", false);
        made(&mut ledger, "early", "2", true);
        ledger
    }

    const PUBLISHED: [(&str, &str); 4] = [("alone", "1"), ("same", "1"), ("late", "1"), ("early", "2")];
    const QUARANTINED: [(&str, &str); 2] = [("junk", "junk"), ("late", "2")];

    #[test]
    fn what_is_accounted_for_is_counted() {
        let tally = ledger().settle(&holdings(&PUBLISHED, &QUARANTINED, &[])).unwrap();
        let expected =
            Tally { uploads: 8, published: 4, already_there: 1, conflicts: 1, no_packages: 1, overwritten: 1 };
        assert_eq!(tally, expected);
    }

    #[test]
    fn a_path_of_its_own_is_the_path_it_was_uploaded_under() {
        let pkgid = sha256("2");
        let own = format!("a/late-1.noarch.{}.rpm", &pkgid.to_string()[..16]);
        assert_eq!(uploaded_as(&own, &pkgid), "a/late-1.noarch.rpm");
        assert_eq!(uploaded_as(&own, &sha256("1")), own);
        assert_eq!(uploaded_as("a/late-1.noarch.rpm", &pkgid), "a/late-1.noarch.rpm");
    }

    #[test]
    fn whatever_is_not_accounted_for_is_told() {
        let wrong = |published: &[(&str, &str)], quarantined: &[(&str, &str)], inbox: &[&str]| {
            ledger().settle(&holdings(published, quarantined, inbox)).unwrap_err().join("; ")
        };
        assert_eq!(
            wrong(&PUBLISHED[1..], &QUARANTINED, &[]),
            "alone: upload 0 of 1 is lost; alone: packages were uploaded and none is published"
        );
        assert_eq!(wrong(&PUBLISHED, &QUARANTINED[1..], &[]), "junk: upload 0 of 1 is lost");
        assert_eq!(wrong(&PUBLISHED, &QUARANTINED[..1], &[]), "late: upload 1 of 2 is lost");
        assert_eq!(wrong(&PUBLISHED, &QUARANTINED, &["x"]), "x: still in the inbox");
        let with = |more| [&QUARANTINED[..], &[more]].concat();
        assert_eq!(wrong(&PUBLISHED, &with(("alone", "1")), &[]), "alone: upload 0 is published and in quarantine");
        assert_eq!(
            wrong(&PUBLISHED, &with(("late", "2")), &[]).split(" as ").next().unwrap(),
            "late: uploaded 1 times"
        );
        let twice = [&PUBLISHED[..], &[("alone", "1")]].concat();
        assert_eq!(wrong(&twice, &QUARANTINED, &[]), "alone: named 2 times");
        let another = [&PUBLISHED[1..], &[("alone", "3")]].concat();
        assert!(wrong(&another, &QUARANTINED, &[]).contains("with bytes that nobody uploaded"));
        // The second upload found nothing in its place, so the first cannot have been overwritten.
        let unseen = [("alone", "1"), ("same", "1"), ("late", "2"), ("early", "2")];
        assert_eq!(wrong(&unseen, &QUARANTINED[..1], &[]), "late: upload 0 of 2 is lost");
    }

    #[test]
    fn a_campaign_has_every_kind_of_upload_and_the_same_seed_gives_the_same() {
        let of = |seed| uploads(20, &mut super::super::chance::stream(seed, "uploads"));
        let (one, again) = (of(1), of(1));
        assert_eq!(one.len(), 30);
        assert_eq!(one.iter().filter(|upload| !upload.sound).count(), 1);
        let paths = |uploads: &[Upload]| uploads.iter().map(|upload| upload.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&one), paths(&again));
        assert_ne!(paths(&one), paths(&of(2)));
    }
}
