//! What the phases of `bench run` share, and those that need nothing but a disk: each compares the programs side by side in
//! one go.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;

use crate::fault::{Doing as _, Result};
use crate::floor::Floor;
use crate::measure::{self, folder_bytes};
use crate::results::{FloorRow, Found, Results, Row, State, What};
use crate::say::report;
use crate::tools::{Method, Tool, Tools};
use crate::warm::{Done, Step, Task};
use crate::world::{Packages, Weight, World};

/// From this size on, what takes createrepo_c minutes is done once.
const LARGE: usize = 50_000;

/// What the phases share.
pub(crate) struct Campaign {
    pub(crate) tools: Tools,
    pub(crate) world: World,
    pub(crate) repetitions: usize,
    pub(crate) results: Results,
    pub(crate) file: PathBuf,
}

impl Campaign {
    pub(crate) fn save(&self) -> Result<()> {
        self.results.write(&self.file)
    }

    fn times(&self, tool: Tool, packages: usize) -> usize {
        match tool {
            Tool::Newest | Tool::Debian if packages >= LARGE => 1,
            Tool::Yrm | Tool::Newest | Tool::Debian => self.repetitions,
        }
    }

    /// Full builds by everybody, in turns so that all meet the same weather, and the floor.
    pub(crate) fn build(&mut self, weight: Weight, packages: usize) -> Result<()> {
        report(&format!("full build of {packages} packages of ~{}", weight.name()));
        let made = self.world.packages(weight, packages)?;
        // Once unmeasured, so that the page cache is warm for every program and the floor has its XML.
        let reference = self.world.empty("build-reference")?;
        measure::command(&self.tools.build(Tool::Yrm, Method::Gz, &made.folder, &reference))?;
        for method in Method::ALL {
            let able = [Tool::Yrm, Tool::Newest, Tool::Debian].into_iter().filter(|tool| self.tools.can(*tool, method));
            let mut rows: Vec<Row> = able.map(|tool| empty_row(What::Build, tool, weight, packages, method)).collect();
            for turn in 0..self.repetitions {
                for row in &mut rows {
                    if turn < self.times(row.tool, packages) {
                        let out = self.world.empty("build-out")?;
                        let (cost, _) = measure::command(&self.tools.build(row.tool, method, &made.folder, &out))?;
                        row.costs.push(cost);
                        row.metadata_bytes = folder_bytes(&out.join("repodata"))?;
                    }
                }
            }
            for row in rows {
                self.put(row);
            }
        }
        let floor: Floor = part(Command::new(this()?).arg("floor").arg(&made.folder).arg(reference.join("repodata")))?;
        self.results.put_floor(FloorRow { weight, packages, floor });
        World::discard(&reference)?;
        self.save()
    }

    /// Takes over what createrepo_c made, and packages without metadata.
    pub(crate) fn adopt(&mut self, packages: usize) -> Result<()> {
        report(&format!("taking over {packages} packages"));
        let base = self.world.packages(Weight::Light, packages)?;
        let extras = self.world.extras()?;
        let made = self.world.empty("adopt-metadata")?;
        measure::command(&self.tools.build(Tool::Newest, Method::Gz, &base.folder, &made))?;
        for found in [Found::Metadata, Found::Packages] {
            let mut row = empty_row(What::TakeOver(found), Tool::Yrm, Weight::Light, packages, Method::Gz);
            for _ in 0..self.repetitions {
                let bucket = self.world.empty("adopt-bucket")?;
                base.link_all(&bucket.join("repo"))?;
                if found == Found::Metadata {
                    copy_files(&made.join("repodata"), &bucket.join("repo/repodata"))?;
                }
                extras.link(&extras.set.paths[..1], &bucket.join("inbox"))?;
                let cache = self.world.empty("adopt-cache")?;
                let (cost, said) = measure::command(&self.tools.run(&bucket.display().to_string(), &cache, &[]))?;
                expect_published(&said, 1)?;
                row.costs.push(cost);
                row.metadata_bytes = folder_bytes(&bucket.join("repo/repodata"))?;
                World::discard(&bucket)?;
            }
            self.put(row);
        }
        World::discard(&made)?;
        self.save()
    }

    /// Adds and removes, by everybody.
    pub(crate) fn change(&mut self, packages: usize) -> Result<()> {
        report(&format!("adding to and removing from {packages} packages"));
        let base = self.world.packages(Weight::Light, packages)?;
        let extras = self.world.extras()?;
        for tool in [Tool::Newest, Tool::Debian] {
            self.change_by_createrepo(tool, &base, &extras)?;
        }
        let bucket = self.world.empty("change-bucket")?;
        let repo = bucket.join("repo");
        base.link_all(&repo)?;
        measure::command(&self.tools.build(Tool::Yrm, Method::Gz, &repo, &repo))?;
        let mut supply = Supply { packages: &extras, used: 0 };
        let steps = [1, 10, 100].into_iter().flat_map(|count| std::iter::repeat_n(count, self.repetitions));
        let counts: Vec<usize> = steps.collect();
        // The repository is taken over by a process that ends: what that took is not in the others' figures.
        extras.link(&supply.take(1), &bucket.join("inbox"))?;
        let cache = self.world.empty("change-cache")?;
        let (_, said) = measure::command(&self.tools.run(&bucket.display().to_string(), &cache, &[]))?;
        expect_published(&said, 1)?;
        // The first step reads the catalog.
        let warming = std::iter::once(Step::Add(supply.take(1)));
        let steps = warming.chain(counts.iter().map(|count| Step::Add(supply.take(*count)))).collect();
        let done = self.warm(&bucket, &extras, steps)?;
        for count in [1, 10, 100] {
            let of_it: Vec<Done> =
                done.iter().zip(&counts).filter(|(_, other)| **other == count).map(|(done, _)| done.clone()).collect();
            self.put(Row::warm(What::Add(count), packages, &of_it));
        }
        for count in [1, 10, 100] {
            let mut row = empty_row(What::Add(count), Tool::Yrm, Weight::Light, packages, Method::Gz);
            for _ in 0..self.repetitions {
                extras.link(&supply.take(count), &bucket.join("inbox"))?;
                let cache = self.world.empty("change-cache")?;
                let (cost, said) = measure::command(&self.tools.run(&bucket.display().to_string(), &cache, &[]))?;
                expect_published(&said, count)?;
                row.costs.push(cost);
            }
            row.metadata_bytes = done.last().map_or(0, |done| done.files_bytes);
            self.put(row);
        }
        let retiring = self.world.retiring()?;
        let steps = vec![Step::Add(retiring.set.paths.clone()), Step::Retire];
        let done = self.warm(&bucket, &retiring, steps)?;
        self.put(Row::warm(What::Remove, packages, &done));
        World::discard(&bucket)?;
        self.save()
    }

    fn warm(&self, bucket: &Path, packages: &Packages, steps: Vec<Step>) -> Result<Vec<Done>> {
        let cache = self.world.empty("change-cache")?;
        warm(
            &Task { bucket: bucket.display().to_string(), cache, packages: packages.folder.clone(), steps },
            &self.world,
        )
    }

    /// Debian's takes minutes with 100,000 packages and only adds one there.
    fn change_by_createrepo(&mut self, tool: Tool, base: &Packages, extras: &Packages) -> Result<()> {
        let packages = base.set.paths.len();
        let repo = self.world.empty("change-createrepo")?;
        base.link_all(&repo)?;
        // The newest one's metadata will do for both.
        measure::command(&self.tools.build(Tool::Newest, Method::Gz, &repo, &repo))?;
        let mut supply = Supply { packages: extras, used: 0 };
        let all = [What::Add(1), What::Add(10), What::Add(100), What::Remove];
        let whats = if tool == Tool::Debian && packages >= LARGE { &all[..1] } else { &all[..] };
        for what in whats {
            let mut row = empty_row(*what, tool, Weight::Light, packages, Method::Gz);
            for turn in 0..self.times(tool, packages) {
                match what {
                    What::Add(count) => extras.link(&supply.take(*count), &repo)?,
                    What::Remove => {
                        let gone = repo.join(&base.set.paths[(turn + 1) * packages / 7]);
                        std::fs::remove_file(&gone).doing(|| format!("removing {}", gone.display()))?;
                    }
                    What::Build | What::TakeOver(_) => {}
                }
                row.costs.push(measure::command(&self.tools.update(tool, Method::Gz, &repo))?.0);
            }
            row.metadata_bytes = folder_bytes(&repo.join("repodata"))?;
            self.put(row);
        }
        World::discard(&repo)
    }

    fn put(&mut self, row: Row) {
        let cost = row.typical();
        report(&format!(
            "  {:?} {:?} {:?} {}: {:.2} s wall, {:.3} s CPU, {} MiB, metadata {} bytes",
            row.what,
            row.tool,
            row.state,
            row.method.name(),
            cost.wall,
            cost.cpu,
            cost.peak_bytes >> 20,
            row.metadata_bytes
        ));
        self.results.put(row);
    }
}

fn empty_row(what: What, tool: Tool, weight: Weight, packages: usize, method: Method) -> Row {
    let (state, costs, files) = (State::Fresh, Vec::new(), Vec::new());
    Row { what, tool, state, weight, packages, method, costs, files, metadata_bytes: 0 }
}

/// Packages to add, none of them twice.
pub(crate) struct Supply<'a> {
    pub(crate) packages: &'a Packages,
    pub(crate) used: usize,
}

impl Supply<'_> {
    pub(crate) fn take(&mut self, count: usize) -> Vec<String> {
        let taken = &self.packages.set.paths[self.used..self.used + count];
        self.used += count;
        taken.to_vec()
    }
}

/// Publishes in a process of its own that stays between the steps.
pub(crate) fn warm(task: &Task, world: &World) -> Result<Vec<Done>> {
    warm_with(task, world, &[])
}

/// The same, with more in its environment.
pub(crate) fn warm_with(task: &Task, world: &World, environment: &[(String, String)]) -> Result<Vec<Done>> {
    let file = world.empty("task")?.join("task.json");
    let text = serde_json::to_vec(task).expect("a task is plain data");
    std::fs::write(&file, text).doing(|| format!("writing {}", file.display()))?;
    let mut command = Command::new(this()?);
    command.arg("publish-warm").arg(&file).envs(environment.iter().map(|(name, value)| (name, value)));
    part(&mut command)
}

/// Copies a folder's files, folders below it left out.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).doing(|| format!("creating {}", to.display()))?;
    for entry in std::fs::read_dir(from).doing(|| format!("listing {}", from.display()))? {
        let path = entry.doing(|| format!("listing {}", from.display()))?.path();
        let name = path.file_name().expect("an entry has a name");
        std::fs::copy(&path, to.join(name)).doing(|| format!("copying {}", path.display()))?;
    }
    Ok(())
}

/// A run that did not publish everything is no measurement.
pub(crate) fn expect_published(report: &[u8], count: usize) -> Result<()> {
    let report: yrm::bucket::report::Report =
        serde_json::from_slice(report).doing(|| "reading a run's report".to_owned())?;
    if report.published.len() == count && report.errors.is_empty() {
        return Ok(());
    }
    Err(format!("wanted {count} published, not {}: {:?}", report.published.len(), report.errors).into())
}

fn this() -> Result<PathBuf> {
    std::env::current_exe().doing(|| "finding this program".to_owned())
}

/// Runs a part of this program that answers in JSON.
fn part<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.output().doing(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    serde_json::from_slice(&output.stdout).doing(|| format!("reading the answer of {command:?}"))
}
