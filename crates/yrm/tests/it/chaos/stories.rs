//! The stories that every call of is broken in turn: each is prepared in peace, played by one
//! publisher, and has an end that must be reached whatever happened on the way.

use std::sync::Arc;

use bytes::Bytes;
use rpmmd::checksum::Sha256;
use rpmmd::compress::decompress;
use rpmmd::repomd::{AnyChecksum, Repomd};
use yrm::bucket::tokens::{self, Holder};
use yrm::bucket::{meant, quarantine};
use yrm::config::{Policy, Repositories};
use yrm::error::Result;
use yrm::publish::operations::errand::Promotion;
use yrm::publish::operations::release;
use yrm::publish::operations::token::Granting;
use yrm::publish::operators::Also;
use yrm::publish::{Publisher, RunId};

use yrm::store::fault::{Call, Fate, Turn, Verb};
use yrm::store::key::RepositoryDir;
use yrm::store::{Attributes, PutIf, Store as _};
use yrm::upkeep::sweep;

use super::judge::Who;
use super::world::{
    GRACE, HOUR, MINUTE, Signing, World, modular, policy, retaining, rpm, two_rules_and_all_that_removes,
};

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Story {
    FirstRun,
    PublishOne,
    PublishMany,
    Conflict,
    Replace,
    Prune,
    TakeOver,
    Promote,
    Remove,
    RollBack,
    Sweep,
    /// A package was removed, and then `.yrm/` and a metadata file are lost.
    LoseState,
    /// A package was published and removed again, and its upload could not be taken out of the inbox.
    Leftover,
    /// What stood against a rejected package is gone, and it is given back to the inbox.
    Release,
    /// The first change after mirrorlist mode was turned off.
    MirrorOff,
    /// In one repository a folder for whose packages a rule asks for signatures, and one for which none does.
    TwoRules,
    /// Somebody has written over repomd.xml what is none, and nothing arrives: the watch puts the last revision back.
    ForeignHands,
    /// A package is put into another folder, and taken out of its own.
    Move,
    /// A package that the prune rule takes is held.
    Held,
    /// A package is taken out, does not come back, and its bytes are deleted at once.
    Purge,
    /// What was taken out and blocked is uploaded again.
    Blocked,
    /// A revision is tagged, and its package is taken out and cleaned up.
    Tag,
    /// A tag is taken away.
    Untag,
    /// All packages leave, and the metadata.
    Delete,
    /// They come back.
    Restore,
    /// Metadata is made anew.
    Rebuild,
    /// Somebody is let in through the gateway, and then no more.
    Grant,
    /// Somebody who was let in is let in no more.
    Revoke,
    /// Metadata of others names a package in another folder, which becomes a repository too.
    TakeOverBeside,
    /// One repository becomes one for each folder.
    Split,
    /// Several become one, of which one was that before.
    Join,
    /// The change to one for each folder was interrupted, and is taken back.
    TakeBack,
}

impl Story {
    pub(crate) const ALL: [Self; 27] = [
        Self::FirstRun,
        Self::PublishOne,
        Self::PublishMany,
        Self::Conflict,
        Self::Replace,
        Self::Prune,
        Self::TakeOver,
        Self::Promote,
        Self::Remove,
        Self::RollBack,
        Self::Sweep,
        Self::TwoRules,
        Self::LoseState,
        Self::Leftover,
        Self::Release,
        Self::ForeignHands,
        Self::Move,
        Self::Held,
        Self::Purge,
        Self::Blocked,
        Self::Tag,
        Self::Untag,
        Self::Delete,
        Self::Restore,
        Self::Rebuild,
        Self::Grant,
        Self::Revoke,
    ];

    /// What operators put on packages, revisions and repositories.
    pub(crate) const OF_OPERATORS: [Self; 11] = [
        Self::Move,
        Self::Held,
        Self::Purge,
        Self::Blocked,
        Self::Tag,
        Self::Untag,
        Self::Delete,
        Self::Restore,
        Self::Rebuild,
        Self::Grant,
        Self::Revoke,
    ];

    /// Changes of the layout.
    pub(crate) const LAYOUTS: [Self; 3] = [Self::Split, Self::Join, Self::TakeBack];

    /// Those in which mirrorlist mode does something of its own.
    pub(crate) const MIRRORED: [Self; 5] =
        [Self::PublishOne, Self::TakeOver, Self::RollBack, Self::Sweep, Self::MirrorOff];

    pub(crate) fn policy(self) -> Policy {
        match self {
            Self::Prune | Self::Held => retaining(),
            Self::TwoRules => two_rules_and_all_that_removes(),
            Self::TakeOverBeside => Policy { repositories: Repositories::Depth(1), ..policy() },
            Self::Replace => Policy { on_conflict: yrm::config::OnConflict::Replace, ..policy() },
            Self::Split | Self::TakeBack | Self::Join | Self::Delete | Self::Restore => {
                Policy { allow_shrink: true, ..policy() }
            }
            _ => policy(),
        }
    }

    /// Who plays it: an operator may do what a publisher must not.
    pub(crate) fn player(self, world: &World) -> Who {
        let repository = String::new();
        match self {
            Self::Promote => Who::Promoting,
            Self::Move => Who::Moving { hrefs: vec!["a-1.rpm".to_owned()] },
            Self::Split | Self::Join | Self::TakeBack => Who::LayingOut,
            Self::Release => Who::Releasing,
            Self::Remove | Self::Purge => Who::Removing { repository, hrefs: vec!["a-1.rpm".to_owned()] },
            Self::Delete => Who::Deleting { repository },
            Self::RollBack | Self::Restore => Who::RollingBack { repository, revision: world.judge.revisions("")[0] },
            _ => Who::Manager(0),
        }
    }

    /// What is there before.
    pub(crate) async fn prepare(self, world: &World) {
        Box::pin(self.begin(world)).await;
    }

    async fn begin(self, world: &World) {
        let calm = world.calm(Who::Manager(8));
        match self {
            Self::TakeOver => return foreign(world).await,
            Self::TakeOverBeside => return beside(world).await,
            Self::Split => return folders(world, &calm).await,
            Self::Join => return joined(world, &calm).await,
            Self::TakeBack => return half_split(world, &calm).await,
            _ => {}
        }
        if self == Self::TwoRules {
            return neighbours(world, &calm).await;
        }
        if self != Self::FirstRun {
            for (path, package) in [("a-1.rpm", rpm("a", "1", 0)), ("b-1.rpm", rpm("b", "1", 0))] {
                world.drop_rpm(path, &package).await;
            }
            world.run_by(&calm).await.unwrap();
        }
        match self {
            Self::FirstRun | Self::PublishOne => world.drop_rpm("x/c-1.rpm", &rpm("c", "1", 0)).await,
            Self::MirrorOff => {
                world.turn_mirrors_off().await;
                world.drop_rpm("x/c-1.rpm", &rpm("c", "1", 0)).await;
            }
            Self::PublishMany => {
                for number in 0..many(world.signing) {
                    let name = format!("n{number}");
                    world.drop_rpm(&format!("f{}/{name}.rpm", number % 3), &rpm(&name, "1", 0)).await;
                }
                world.drop_bytes("f1/junk.rpm", "no package, but long enough to be looked at").await;
            }
            Self::Conflict | Self::Replace => {
                world.drop_rpm("a-1.rpm", &rpm("a", "1", 7)).await;
                world.drop_rpm("b-1.rpm", &rpm("b", "1", 0)).await;
            }
            Self::Prune | Self::Held => {
                world.drop_rpm("a-2.rpm", &rpm("a", "2", 0)).await;
                world.run_by(&calm).await.unwrap();
                if self == Self::Held {
                    let run = world.run_id(jiff::SignedDuration::ZERO);
                    let packages = meant::packages(calm.bucket(), &[], &["a-1.rpm".to_owned()]).await.unwrap();
                    calm.hold(&packages, run).await.unwrap();
                    world.drop_rpm("c-1.rpm", &rpm("c", "1", 0)).await;
                }
                tokio::time::sleep(3 * HOUR).await;
            }
            Self::RollBack => {
                world.drop_rpm("c-1.rpm", &rpm("c", "1", 0)).await;
                world.run_by(&calm).await.unwrap();
            }
            Self::Sweep => {
                world.drop_rpm("c-1.rpm", &rpm("c", "1", 0)).await;
                world.run_by(&calm).await.unwrap();
                tokio::time::sleep(GRACE + 2 * HOUR).await;
            }
            Self::LoseState => lost(world).await,
            Self::ForeignHands => put(world, "repo/repodata/repomd.xml", "<repomd><data").await,
            Self::Leftover => leftover(world).await,
            Self::Release => {
                world.drop_rpm("x/a.rpm", &rpm("a", "1", 7)).await;
                world.run_by(&calm).await.unwrap();
                remove_the_first(world).await;
            }
            Self::Untag => {
                let root = RepositoryDir::new("");
                let revision = world.judge.revisions("")[0];
                calm.tag(&root, (revision, "v1"), world.run_id(jiff::SignedDuration::ZERO)).await.unwrap();
                take_out(world, Also::default()).await.unwrap();
            }
            Self::Restore => delete(world).await,
            Self::Revoke => {
                let run = world.run_id(jiff::SignedDuration::ZERO);
                calm.grant(&somebody(run), run).await.unwrap();
            }
            Self::Blocked => {
                take_out(world, Also { block: true, purge: false }).await.unwrap();
                world.drop_rpm("a-1.rpm", &rpm("a", "1", 7)).await;
                world.drop_rpm("c-1.rpm", &rpm("c", "1", 0)).await;
            }
            Self::TakeOver
            | Self::TakeOverBeside
            | Self::TwoRules
            | Self::Promote
            | Self::Remove
            | Self::Move
            | Self::Purge
            | Self::Tag
            | Self::Delete
            | Self::Grant
            | Self::Rebuild => {}
            Self::Split | Self::Join | Self::TakeBack => unreachable!("prepared above"),
        }
    }

    /// What is played, and played again after a crash.
    pub(crate) async fn play(self, world: &World, publisher: &Publisher) -> Result<()> {
        Box::pin(self.act(world, publisher)).await
    }

    async fn act(self, world: &World, publisher: &Publisher) -> Result<()> {
        let (repository, run) = (RepositoryDir::new(""), world.run_id(jiff::SignedDuration::ZERO));
        match self {
            Self::Promote => {
                let promotion = Promotion { from: "a-1.rpm".to_owned(), to: "stable/a-1.rpm".to_owned() };
                publisher.promote(&[promotion], run).await.map(drop)
            }
            Self::Move => {
                if !world.hrefs().contains(&"a-1.rpm".to_owned()) {
                    return Ok(());
                }
                let promotion = Promotion { from: "a-1.rpm".to_owned(), to: "stable/a-1.rpm".to_owned() };
                publisher.relocate(&[promotion], run).await.map(drop)
            }
            Self::Tag => {
                let revision = world.judge.revisions("")[0];
                publisher.tag(&repository, (revision, "v1"), run).await?;
                // Long after the package was taken out the tag is whole.
                if world.hrefs().contains(&"a-1.rpm".to_owned()) {
                    take_out(world, Also::default()).await?;
                }
                tokio::time::sleep(GRACE + 2 * HOUR).await;
                sweep::sweep(publisher.bucket(), &repository).await.map(drop)
            }
            Self::Untag => {
                if world.judge.is_tagged("v1") {
                    publisher.untag(&repository, "v1", run).await?;
                }
                tokio::time::sleep(GRACE + 2 * HOUR).await;
                sweep::sweep(publisher.bucket(), &repository).await.map(drop)
            }
            Self::Delete => publisher.delete(&repository, run).await.map(drop),
            Self::Restore if world.hrefs().is_empty() => publisher.restore(&repository, run).await.map(drop),
            Self::Restore => Ok(()),
            Self::Rebuild => publisher.rebuild(vec![repository], run).await.map(drop),
            Self::Grant => {
                // Left over by a play that was cut short, and nobody knows its text.
                revoke(publisher, run).await?;
                publisher.grant(&somebody(run), run).await?;
                let operator = world.calm(Who::Manager(8));
                revoke(&operator, world.run_id(jiff::SignedDuration::ZERO)).await?;
                // What was under way to the bucket has arrived.
                tokio::time::sleep(MINUTE).await;
                Ok(())
            }
            Self::Revoke => revoke(publisher, run).await,
            Self::Purge => {
                let is_there = world.hrefs().contains(&"a-1.rpm".to_owned());
                let packages = is_there.then(|| (repository, vec!["a-1.rpm".to_owned()]));
                let also = Also { block: true, purge: true };
                publisher.remove_all(packages.into_iter().collect(), also, run).await.map(drop)
            }
            Self::Remove => {
                if !world.hrefs().contains(&"a-1.rpm".to_owned()) {
                    return Ok(());
                }
                publisher.remove(&repository, vec!["a-1.rpm".to_owned()], run).await.map(drop)
            }
            Self::RollBack => {
                let first = world.judge.revisions("")[0];
                publisher.roll_back(&repository, first, run).await.map(drop)
            }
            Self::Sweep => sweep::sweep(publisher.bucket(), &repository).await.map(drop),
            Self::Split => publisher.lay_out(&Repositories::Depth(1), run).await.map(drop),
            Self::Join | Self::TakeBack => publisher.lay_out(&Repositories::Single, run).await.map(drop),
            Self::Release => {
                let bucket = publisher.bucket();
                let kept = quarantine::with_records(bucket, quarantine::list(bucket).await?).await?;
                let kept: Vec<_> = kept.into_iter().filter(|kept| kept.file.is_some()).collect();
                release::release(bucket, &kept, run.started).await.1
            }
            Self::ForeignHands => {
                // The first look is some time after the start, and what looks strange is looked at once more.
                for pause in [world.policy.audit_interval, MINUTE, MINUTE] {
                    world.run_by(publisher).await?;
                    tokio::time::sleep(pause).await;
                }
                world.run_by(publisher).await.map(drop)
            }
            _ => world.run_by(publisher).await.map(drop),
        }
    }

    /// What is published in the end.
    pub(crate) fn end(self, signing: Signing) -> Vec<String> {
        let mut end: Vec<String> = match self {
            Self::FirstRun => vec!["x/c-1.rpm"],
            Self::PublishOne | Self::MirrorOff => vec!["a-1.rpm", "b-1.rpm", "x/c-1.rpm"],
            Self::PublishMany
            | Self::Conflict
            | Self::RollBack
            | Self::Leftover
            | Self::ForeignHands
            | Self::Restore
            | Self::Grant
            | Self::Revoke
            | Self::Rebuild => {
                vec!["a-1.rpm", "b-1.rpm"]
            }
            Self::Prune => vec!["a-2.rpm", "b-1.rpm"],
            Self::Held => vec!["a-1.rpm", "a-2.rpm", "b-1.rpm", "c-1.rpm"],
            Self::Move => vec!["b-1.rpm", "stable/a-1.rpm"],
            Self::LoseState | Self::Blocked => vec!["b-1.rpm", "c-1.rpm"],
            Self::TakeOverBeside => {
                vec!["noarch/n.rpm", "noarch/q.rpm", "x86_64/../noarch/n.rpm", "x86_64/a.rpm", "x86_64/c.rpm"]
            }
            Self::TakeOver => vec!["c-1.rpm", "old/a.rpm", "old/b.rpm"],
            Self::Promote => vec!["a-1.rpm", "b-1.rpm", "stable/a-1.rpm"],
            Self::Replace | Self::Remove | Self::Purge | Self::Tag | Self::Untag => vec!["b-1.rpm"],
            Self::Delete => Vec::new(),
            Self::Release => vec!["b-1.rpm", "x/a.rpm"],
            Self::Split | Self::Join | Self::TakeBack => {
                vec!["x/b-1.rpm", "x/deep/a-1.rpm", "y/c-1.rpm", "z/d-1.rpm"]
            }
            Self::Sweep => vec!["a-1.rpm", "b-1.rpm", "c-1.rpm"],
            Self::TwoRules => {
                vec!["m-10.rpm", "m-12.rpm", "open/a-2.rpm", "open/c-2.rpm", "secure/a-1.rpm", "secure/b-1.rpm"]
            }
        }
        .into_iter()
        .map(str::to_owned)
        .collect();
        if self == Self::PublishMany {
            end.extend((0..many(signing)).map(|number| format!("f{}/n{number}.rpm", number % 3)));
        }
        if self == Self::Replace && signing == Signing::Packages {
            end.push("a-1.rpm".to_owned());
        } else if self == Self::Replace {
            let bytes = Bytes::from(rpm("a", "1", 7).build());
            let digits = rpmmd::checksum::Sha256::of(&bytes).to_string();
            end.push(format!("a-1.{}.rpm", &digits[..16]));
        }
        end.sort();
        end
    }

    /// Whether the end is reached; a path of its own counts for the path.
    pub(crate) fn is_at_its_end(self, world: &World) -> bool {
        // The digits of what was signed are not known here.
        let digits_count = self == Self::Replace && world.signing != Signing::Packages;
        let plain = |href: &String| match href.strip_suffix(".rpm").and_then(|stem| stem.rsplit_once('.')) {
            Some((stem, digits)) if digits.len() == 16 && !digits_count => format!("{stem}.rpm"),
            _ => href.clone(),
        };
        let mut hrefs: Vec<String> = world.hrefs().iter().map(plain).collect();
        hrefs.sort();
        let is_purged = self != Self::Purge || !world.judge.memory.keys().contains(&"repo/a-1.rpm".to_owned());
        let is_out = !matches!(self, Self::Grant | Self::Revoke) || world.judge.nobody_is_let_in();
        hrefs == self.end(world.signing) && is_purged && is_out
    }
}

/// Packages in folders, one that was removed, and an upload that waits.
async fn folders(world: &World, calm: &Publisher) {
    for (path, name) in [("x/deep/a-1.rpm", "a"), ("x/b-1.rpm", "b"), ("x/r-1.rpm", "r"), ("y/c-1.rpm", "c")] {
        world.drop_rpm(path, &rpm(name, "1", 0)).await;
    }
    world.run_by(calm).await.unwrap();
    remove(world, "", "x/r-1.rpm").await;
    world.drop_rpm("z/d-1.rpm", &rpm("d", "1", 0)).await;
}

/// What was one repository is several now, and will be one again: what was removed meanwhile does not come back.
async fn joined(world: &World, calm: &Publisher) {
    folders(world, calm).await;
    world.drop_rpm("x/q-1.rpm", &rpm("q", "1", 0)).await;
    world.run_by(calm).await.unwrap();
    let run = world.run_id(jiff::SignedDuration::ZERO);
    world.calm(Who::LayingOut).lay_out(&Repositories::Depth(1), run).await.unwrap();
    remove(world, "x", "q-1.rpm").await;
}

/// A change that failed when half of it was made.
async fn half_split(world: &World, calm: &Publisher) {
    folders(world, calm).await;
    let script = |call: Call<'_>| match call.verb {
        Verb::Put if call.key == "repo/y/repodata/repomd.xml" => Fate::Refused.into(),
        _ => Turn::default(),
    };
    let (broken, _) = world.publisher(Who::LayingOut, script);
    let run = world.run_id(jiff::SignedDuration::ZERO);
    broken.lay_out(&Repositories::Depth(1), run).await.unwrap_err();
    assert!(world.judge.is_migrating());
}

/// An operator takes a package out.
async fn remove(world: &World, repository: &str, href: &str) {
    let (repository, hrefs) = (repository.to_owned(), vec![href.to_owned()]);
    let run = world.run_id(jiff::SignedDuration::ZERO);
    let dir = RepositoryDir::new(&repository);
    world.calm(Who::Removing { repository, hrefs: hrefs.clone() }).remove(&dir, hrefs, run).await.unwrap();
}

/// Publishes `x/c-1.rpm` while nothing may be deleted in the inbox, and removes it again.
async fn leftover(world: &World) {
    world.drop_rpm("x/c-1.rpm", &rpm("c", "1", 0)).await;
    let script = |call: Call<'_>| match call.verb {
        Verb::Delete if call.key.starts_with("inbox/") => Fate::Refused.into(),
        _ => Turn::default(),
    };
    let (held, _) = world.publisher(Who::Manager(7), script);
    world.run_by(&held).await.unwrap();
    tokio::time::sleep(HOUR).await;
    let (repository, run) = (String::new(), world.run_id(jiff::SignedDuration::ZERO));
    let hrefs: Vec<String> = world.hrefs().into_iter().filter(|href| href.starts_with("x/")).collect();
    assert_eq!(hrefs.len(), 1, "it is published");
    let operator = world.calm(Who::Removing { repository, hrefs: hrefs.clone() });
    operator.remove(&RepositoryDir::new(""), hrefs, run).await.unwrap();
    // Nor does it come back while it may still not be taken out.
    world.run_by(&held).await.unwrap();
    world.run_by(&world.publisher(Who::Manager(6), script).0).await.unwrap();
}

/// How many packages are many. Every call is broken in turn, and to sign one takes some more.
fn many(signing: Signing) -> u32 {
    match signing {
        Signing::Off | Signing::On | Signing::Mirrored => 25,
        Signing::Packages => 6,
    }
}

/// What each folder holds, and uploads by which one could decide for the other: a twin of a signed package, a
/// newer version of it, a signed twin of what is not; and two streams of a module, and what may be pruned.
async fn neighbours(world: &World, calm: &Publisher) {
    world.publish_team_key().await;
    world.drop_signed("secure/a-1.rpm", &rpm("a", "1", 0)).await;
    for (path, package) in [
        ("open/b-1.rpm", rpm("b", "1", 0)),
        ("open/c-1.rpm", rpm("c", "1", 0)),
        ("open/c-2.rpm", rpm("c", "2", 0)),
        ("m-10.rpm", modular("m", "10", "m:10:1:x")),
        ("m-12.rpm", modular("m", "12", "m:12:2:x")),
    ] {
        world.drop_rpm(path, &package).await;
    }
    world.run_by(calm).await.unwrap();
    tokio::time::sleep(3 * HOUR).await;
    world.drop_rpm("open/a-1.rpm", &rpm("a", "1", 7)).await;
    world.drop_rpm("open/a-2.rpm", &rpm("a", "2", 0)).await;
    world.drop_signed("secure/b-1.rpm", &rpm("b", "1", 7)).await;
}

/// A repository that something else made: packages and their metadata, without a catalog. It does not name one of
/// the files in its folder, and below it lies another.
async fn foreign(world: &World) {
    for (name, key) in [("a", "old/a.rpm"), ("b", "old/b.rpm")] {
        world.drop_rpm(key, &rpm(name, "1", 0)).await;
    }
    world.run_by(&world.calm(Who::Manager(8))).await.unwrap();
    lose_state(world).await;
    // What no program of ours wrote has no note of ours at its top.
    let memory = Arc::clone(&world.judge.memory);
    let repomd = memory.get("repo/repodata/repomd.xml", None).await.unwrap().unwrap();
    let text = String::from_utf8(repomd.bytes.to_vec()).unwrap();
    let foreign = text.replace("<revision>", "<!-- by hand --><revision>");
    put(world, "repo/repodata/repomd.xml", foreign).await;
    // Nobody has uploaded these: the judge would see them come.
    put(world, "repo/old/withdrawn.rpm", rpm("withdrawn", "1", 0).build()).await;
    let below = world.made_elsewhere(&[("n.rpm", rpm("n", "1", 0))]).await;
    for key in below.keys().into_iter().filter(|key| key.starts_with("repo/")) {
        let there = below.get(&key, None).await.unwrap().unwrap();
        put(world, &key.replacen("repo/", "repo/below/", 1), there.bytes).await;
    }
    world.drop_rpm("c-1.rpm", &rpm("c", "1", 0)).await;
}

/// Metadata that names a package by `../`, as something else may have made it.
async fn beside(world: &World) {
    let packages = [("a", "x86_64/a.rpm"), ("n", "x86_64/n.rpm")].map(|(name, path)| (path, rpm(name, "1", 0)));
    let made = world.made_elsewhere(&packages).await;
    let bytes = async |key: &str| made.get(key, None).await.unwrap().unwrap().bytes;
    let mut repomd = Repomd::read(&bytes("repo/x86_64/repodata/repomd.xml").await).unwrap();
    for record in &mut repomd.records {
        let file = bytes(&format!("repo/x86_64/{}", record.href)).await;
        let text = String::from_utf8(decompress(&file, 1 << 20).unwrap().into_owned()).unwrap();
        let text = text.replace("href=\"n.rpm\"", "href=\"../noarch/n.rpm\"");
        record.href = format!("repodata/{}.xml", record.kind);
        record.checksum = AnyChecksum::sha256(Sha256::of(text.as_bytes()));
        record.size = Some(text.len() as u64);
        put(world, &format!("repo/x86_64/{}", record.href), text).await;
    }
    put(world, "repo/x86_64/repodata/repomd.xml", repomd.write()).await;
    for ((path, package), key) in packages.iter().zip(["repo/x86_64/a.rpm", "repo/noarch/n.rpm"]) {
        // The judge has seen them, some time ago.
        world.drop_rpm(path, package).await;
        world.judge.withdraw(&format!("inbox/{path}")).await;
        put(world, key, package.build()).await;
    }
    for (name, path) in [("c", "x86_64/c.rpm"), ("q", "noarch/q.rpm")] {
        world.drop_rpm(path, &rpm(name, "1", 0)).await;
    }
}

/// An operator has taken a package out, and then all but the repository's own files is lost, and one of these.
async fn lost(world: &World) {
    remove_the_first(world).await;
    lose_state(world).await;
    let memory = Arc::clone(&world.judge.memory);
    let is_filelists = |key: &String| key.starts_with("repo/repodata/") && key.contains("-filelists.xml");
    for key in memory.keys().into_iter().filter(is_filelists) {
        let object = memory.head(&key).await.unwrap().unwrap();
        memory.delete(&key, &object.etag).await.unwrap();
    }
    world.drop_rpm("c-1.rpm", &rpm("c", "1", 0)).await;
}

/// Whom the stories let in: each time by another token.
fn somebody(run: RunId) -> Granting {
    let holder = Holder::Token { id: run.id.to_string(), sha256: Sha256::of(&run.id.to_bytes()).to_string() };
    Granting { name: "ci".to_owned(), holder, scopes: vec!["read".parse().unwrap()], expires: None }
}

async fn revoke(publisher: &Publisher, run: RunId) -> Result<()> {
    if tokens::named(publisher.bucket(), "ci").await?.is_some() {
        publisher.revoke(&["ci".to_owned()], run).await?;
    }
    Ok(())
}

async fn remove_the_first(world: &World) {
    take_out(world, Also::default()).await.unwrap();
}

async fn delete(world: &World) {
    let operator = world.calm(Who::Deleting { repository: String::new() });
    operator.delete(&RepositoryDir::new(""), world.run_id(jiff::SignedDuration::ZERO)).await.unwrap();
}

async fn take_out(world: &World, also: Also) -> Result<()> {
    let who = Who::Removing { repository: String::new(), hrefs: vec!["a-1.rpm".to_owned()] };
    let run = world.run_id(jiff::SignedDuration::ZERO);
    let packages = vec![(RepositoryDir::new(""), vec!["a-1.rpm".to_owned()])];
    world.calm(who).remove_all(packages, also, run).await.map(drop)
}

async fn lose_state(world: &World) {
    let memory = Arc::clone(&world.judge.memory);
    for key in memory.keys().into_iter().filter(|key| key.starts_with(".yrm/")) {
        let object = memory.head(&key).await.unwrap().unwrap();
        memory.delete(&key, &object.etag).await.unwrap();
    }
}

/// What something else has put there.
async fn put(world: &World, key: &str, bytes: impl Into<Bytes>) {
    let memory = Arc::clone(&world.judge.memory);
    memory.put(key, bytes.into(), &Attributes::default(), PutIf::Always).await.unwrap();
}
