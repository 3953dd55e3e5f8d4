//! Changing the layout: which folders are repositories. Packages stay where they are; repositories are made of what others
//! hold.
//!
//! 1. A mark in the bucket's settings: whoever looks at them from now on publishes nothing.
//! 2. Each repository that goes gets a seal: a revision with the same packages. Whoever looked before the mark loses the
//!    switch against it, or has won and is part of what follows; whoever finds a seal looks at the settings anew.
//! 3. Each repository that comes is made of what the sealed ones hold.
//! 4. The settings say the new layout, and the mark is gone.
//!
//! Whatever ends it half-way, the same command goes on, and so may somebody else at the same time. Going back before step 4
//! is a change to the old layout. The sealed repositories stay readable until the clean-up takes them (`upkeep::retired`).

mod finish;
mod marks;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::SignedDuration;
use rpmmd::repomd::Record;
use tokio::time::Instant;
use ulid::Ulid;

use self::plan::{Found, Giver, Layouts, Plan};
use super::abilities::abilities;
use super::adopt::moved::{self, Given};
use super::commit::render::is_others;
use super::observe::state_of;
use super::operations::errand::{Errand, Made};
use super::pass::{Pass, Unwatched};
use super::settlement::Settlement;
use super::{Publisher, RunId, commit};
use crate::bucket::generations;
use crate::bucket::locate::Locator;
use crate::bucket::observe::{Observed, observe};
use crate::bucket::report::{LayoutChange, Operation, PackagesOf, Report};
use crate::bucket::settings::load;
use crate::bucket::state::{State, is_sealed};
use crate::config::Repositories;
use crate::config::shape::{layout_of, layout_text};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, RepositoryDir, is_own_folder};
use crate::store::settle;

/// Times that repositories are sealed before others are made of them. Once is enough, but for others at the same change.
const ROUNDS: usize = 5;
/// Whoever changes the layout is done by then, or gone. Two at the same change do no harm.
const ABANDONED: SignedDuration = SignedDuration::from_mins(15);

impl Publisher {
    /// Makes `to` the bucket's layout: the repositories that it names, of what those are published hold that it does not
    /// name. Goes on where an earlier try was interrupted, and takes it back where it was to another layout.
    pub async fn lay_out(&self, to: &Repositories, run: RunId) -> Result<Report> {
        abilities(&self.bucket).await?;
        let (began, used) = (Instant::now(), self.usage());
        let mut report = Report::new(run.id, run.started).of(Operation::Settings);
        let outcome = Box::pin(self.change_layout(to, (run, began), &mut report)).await;
        self.bucket.settings.forget();
        report.finish(began.elapsed(), self.usage() - used);
        if report.changed() {
            report.errors.extend(outcome.as_ref().err().map(Error::chain));
            Box::pin(self.keep_in_history(&mut report)).await;
        }
        outcome.map(|()| report)
    }

    /// Finishes a change of the layout that somebody began some time ago and that is going on still: what was uploaded
    /// waits for its end. Answers whether there was one.
    pub async fn finish_layout(&self, run: RunId) -> Result<bool> {
        let stored = load(self.bucket.store.as_ref()).await?;
        let Some(going_on) = stored.and_then(|stored| stored.shape.migration) else { return Ok(false) };
        if run.started.duration_since(going_on.since).abs() < ABANDONED {
            return Ok(false);
        }
        tracing::warn!("a change of the layout to {:?} goes on since {}: finishing it", going_on.to, going_on.since);
        let to = layout_of(&going_on.to).map_err(|complaint| {
            Error::new(ErrorKind::Corrupt, "finishing a change of the layout").because(complaint.message)
        })?;
        Box::pin(self.lay_out(&to, run)).await.map(|_| true)
    }

    async fn change_layout(
        &self,
        to: &Repositories,
        (run, began): (RunId, Instant),
        report: &mut Report,
    ) -> Result<()> {
        let text = layout_text(to);
        let stored = finish::stored(&self.bucket, run).await?;
        let shape = &stored.shape;
        if shape.migration.is_none() && shape.layout() == text {
            return Ok(());
        }
        let layouts = Layouts {
            from: self.locator(shape.layout())?,
            to: Locator::new(to)?.within(&self.bucket.policy.folders),
            given_up: finish::given_up(shape, &text).iter().map(|text| self.locator(text)).collect::<Result<_>>()?,
        };
        let found = self.look_around(&layouts, run).await?;
        let plan = Plan::of(&found, &layouts);
        refuse(&plan, &text)?;
        marks::refuse_tagged(&self.bucket, &found, &layouts, &text).await?;
        let change = change(&found, &plan, &layouts, (shape.layout(), &text));
        if let Some(expected) = &self.expected {
            expected.hold_layout(&change)?;
        }
        report.layout = Some(change);
        let id = finish::mark(&self.bucket, stored, &text, (run, &self.who)).await?;
        let at_work = Laying { run, began, id };
        let mut seal = plan.seal;
        seal.extend(found.sealed_before(&layouts));
        let (found, plan) = self.seal_all(seal, &layouts, at_work, report).await?;
        refuse(&plan, &text)?;
        marks::carry_holds(&self.bucket, &found, &plan).await?;
        self.make_all(&found, plan, at_work, report).await?;
        finish::switch(&self.bucket, &text, id, (run, &self.who)).await
    }

    /// Seals what goes. Answers what holds then, which changes no more.
    async fn seal_all(
        &self,
        mut seal: BTreeSet<RepositoryDir>,
        layouts: &Layouts,
        at_work: Laying,
        report: &mut Report,
    ) -> Result<(Found, Plan)> {
        for _ in 0..ROUNDS {
            let errand = Errand::Seal(at_work.id);
            for repository in &seal {
                self.lay(repository, &errand, at_work, report).await?;
            }
            // After the mark, and after the seals.
            let found = self.look_around(layouts, at_work.run).await?;
            let plan = Plan::of(&found, layouts);
            if plan.seal.is_empty() {
                return Ok((found, plan));
            }
            seal = plan.seal;
        }
        Err(Error::new(ErrorKind::Conflict, "changing the layout of the bucket")
            .because("others keep publishing meanwhile")
            .hint("nothing is lost: run the same command again"))
    }

    /// Makes what comes.
    async fn make_all(&self, found: &Found, plan: Plan, at_work: Laying, report: &mut Report) -> Result<()> {
        let mut todo: BTreeMap<RepositoryDir, Vec<Given>> = BTreeMap::new();
        for (repository, given) in plan.make {
            if self.is_made(found, &repository, &given).await? {
                self.lay(&repository, &Errand::Finish(at_work.id), at_work, report).await?;
            } else {
                todo.insert(repository, given);
            }
        }
        let wanted: BTreeSet<usize> = todo.values().flatten().map(|given| given.giver).collect();
        let mut givers = Vec::with_capacity(found.givers.len());
        for (number, giver) in found.givers.iter().enumerate() {
            givers.push(if wanted.contains(&number) {
                moved::giver(&self.bucket, &state_of(&self.bucket, &self.memory, &giver.repository, at_work.run).await?)
                    .await?
            } else {
                moved::Giver::of_nothing()
            });
        }
        let givers = Arc::new(givers);
        for (repository, given) in todo {
            let others = self.bring_records(found, &repository, &given).await?;
            let (catalog, files) = moved::make(&self.bucket, &givers, &repository, given).await?;
            let made = Made { change: at_work.id, catalog, files: Arc::new(files), others };
            self.lay(&repository, &Errand::Become(Arc::new(made)), at_work, report).await?;
        }
        Ok(())
    }

    /// One commit of the change.
    async fn lay(
        &self,
        repository: &RepositoryDir,
        errand: &Errand,
        Laying { run, began, .. }: Laying,
        report: &mut Report,
    ) -> Result<()> {
        let pass = Pass { run, progress: &Unwatched, listed: began, expected: self.expected.as_ref() };
        let mut settlement = Settlement::default();
        let done = Box::pin(commit(self.work(repository, errand, pass), Vec::new(), &mut settlement)).await;
        self.tell(settlement, report);
        done
    }

    /// Whether a repository holds already what it is to hold.
    async fn is_made(&self, found: &Found, repository: &RepositoryDir, given: &[Given]) -> Result<bool> {
        let Observed::Known(state) = observe(&self.bucket, repository, None).await? else { return Ok(false) };
        let entries = &state.catalog.entries;
        let is_it = |(at, given): (usize, &Given)| {
            let wanted = found.givers[given.giver].catalog.entries.get(given.at);
            entries.href(at) == given.href && entries.get(at).pkgid == wanted.pkgid
        };
        Ok(!state.is_sealed() && entries.len() == given.len() && given.iter().enumerate().all(is_it))
    }

    /// What is published, by which layout, and what lies there.
    async fn look_around(&self, layouts: &Layouts, run: RunId) -> Result<Found> {
        let bucket = &self.bucket;
        let root = bucket.policy.folders.repo_prefix();
        let mut found = Found::default();
        let mut with_repomd = BTreeSet::new();
        for object in bucket.list_repo(&root).await? {
            let Some(path) = object.key.strip_prefix(&root) else { continue };
            if let Some(dir) = path.strip_suffix("repodata/repomd.xml") {
                with_repomd.extend((!is_own_folder(dir)).then(|| RepositoryDir::new(dir)));
            } else if path.to_ascii_lowercase().ends_with(".rpm") {
                found.files.push(path.to_owned());
            }
        }
        found.known = generations::all(bucket).await?.into_iter().collect();
        found.known.extend(with_repomd.iter().cloned());
        let givers: Vec<_> = found.known.iter().filter(|known| layouts.from.names(known)).cloned().collect();
        let looks = givers.into_iter().map(|repository| async move {
            state_of(bucket, &self.memory, &repository, run).await.map(|state| giver(&state))
        });
        // Collected first: a stream over borrowing closures is not Send.
        let looks: Vec<_> = looks.collect();
        found.givers = futures::stream::iter(looks).buffered(bucket.policy.concurrency).try_collect().await?;
        with_repomd.retain(|repository| !layouts.from.names(repository));
        for repository in with_repomd {
            let read = bucket.store.get(&bucket.path(Key::Repomd { repository: &repository }), None).await?;
            let Some(read) = read else { continue };
            let place = if is_sealed(&read.bytes) { &mut found.sealed } else { &mut found.others };
            place.insert(repository);
        }
        Ok(found)
    }

    /// A layout, as it is written in the settings.
    fn locator(&self, text: &str) -> Result<Locator> {
        let layout = layout_of(text).map_err(|complaint| {
            Error::new(ErrorKind::Corrupt, format!("reading the layout {text:?}")).because(complaint.message)
        })?;
        Ok(Locator::new(&layout)?.within(&self.bucket.policy.folders))
    }

    /// The records of other files (groups, advisories, modules) that come with packages; the files are copied.
    async fn bring_records(&self, found: &Found, repository: &RepositoryDir, given: &[Given]) -> Result<Vec<Record>> {
        let bucket = &self.bucket;
        let givers: BTreeSet<usize> = given.iter().map(|given| given.giver).collect();
        let mut records: Vec<Record> = Vec::new();
        for giver in givers.into_iter().map(|number| &found.givers[number]) {
            for record in &giver.others {
                if records.iter().any(|known| known.kind == record.kind) {
                    continue;
                }
                let mut record = record.clone();
                if giver.repository != *repository {
                    let from = bucket.path(Key::Metadata { repository: &giver.repository, href: &record.href });
                    let Some(read) = bucket.store.get(&from, None).await? else { continue };
                    record.href = plan::own_name(&record);
                    let key = Key::Metadata { repository, href: &record.href };
                    let (path, attributes) = (bucket.path(key), key.attributes());
                    settle::put_fixed(bucket.store.as_ref(), &path, &read.bytes, &attributes).await?;
                }
                records.push(record);
            }
        }
        Ok(records)
    }
}

/// A change that is at work.
#[derive(Debug, Clone, Copy)]
struct Laying {
    run: RunId,
    began: Instant,
    id: Ulid,
}

fn giver(state: &State) -> Giver {
    let records = state.current.iter().flat_map(|current| &current.repomd.records);
    Giver {
        repository: state.repository.clone(),
        catalog: Arc::clone(&state.catalog),
        is_sealed: state.is_sealed(),
        others: records.filter(|record| is_others(&record.kind)).cloned().collect(),
    }
}

/// What comes and goes, for people.
fn change(found: &Found, plan: &Plan, layouts: &Layouts, (from, to): (&str, &str)) -> LayoutChange {
    let packages_of = |repository: &RepositoryDir, packages: usize| PackagesOf {
        repository: repository.as_str().to_owned(),
        packages: packages as u64,
    };
    let goes = found.givers.iter().filter(|giver| !layouts.to.names(&giver.repository));
    LayoutChange {
        from: from.to_owned(),
        to: to.to_owned(),
        comes: plan.make.iter().map(|(repository, given)| packages_of(repository, given.len())).collect(),
        goes: goes.map(|giver| packages_of(&giver.repository, giver.catalog.entries.len())).collect(),
    }
}

/// A change by which a package would be lost, or two would be mixed up, is not made.
fn refuse(plan: &Plan, to: &str) -> Result<()> {
    let doing = || format!("changing the layout to {to:?}");
    let nothing = "nothing is lost; `yrm settings show` shows the layout that holds";
    if !plan.loose.is_empty() {
        return Err(Error::new(ErrorKind::Conflict, doing())
            .because(format!("{} packages would be in no repository: {}", plan.loose.count, plan.loose))
            .hint(format!("{nothing}. Promote them into a folder that is one, and remove them where they are, or choose another layout")));
    }
    if !plan.clashes.is_empty() {
        return Err(Error::new(ErrorKind::Conflict, doing())
            .because(format!("packages of one name with other bytes would be in one repository: {}", plan.clashes))
            .hint(format!("{nothing}. Remove one of each, or choose another layout")));
    }
    if !plan.records.is_empty() {
        return Err(Error::new(ErrorKind::Conflict, doing())
            .because(format!("repositories that become one have other metadata of one kind: {}", plan.records))
            .hint(format!("{nothing}. Make one of them (modifyrepo_c), or choose another layout")));
    }
    Ok(())
}
