//! docs/benchmarks.md: the tables, put between the markers; what people wrote around them stays.

use std::fmt::Write as _;
use std::path::Path;

use crate::fault::{Doing as _, Result};
use crate::latency;
use crate::measure::Cost;
use crate::plot::{self, Line};
use crate::results::{Found, Results, Row, S3Row, ShareRow, State, What, typical};
use crate::tools::{Method, Tool};
use crate::world::Weight;

const BEGIN: &str = "<!-- figures: begin; `just bench` writes what stands here -->\n";
const END: &str = "<!-- figures: end -->\n";
const PLOT: &str = "benchmarks-add-one.svg";

/// Writes the tables into the page and the plot beside it.
pub(crate) fn write(results: &Results, page: &Path) -> Result<()> {
    let text = std::fs::read_to_string(page).doing(|| format!("reading {}", page.display()))?;
    let spliced = splice(&text, &tables(results)).ok_or_else(|| format!("{} has no markers", page.display()))?;
    std::fs::write(page, spliced).doing(|| format!("writing {}", page.display()))?;
    if let Some(svg) = plot::svg("Adding one package: CPU against repository size", &lines(results)) {
        let file = page.with_file_name(PLOT);
        std::fs::write(&file, svg).doing(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn splice(text: &str, tables: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some(format!("{}\n{tables}\n{}", &text[..begin], &text[end..]))
}

fn tables(results: &Results) -> String {
    let parts = [machine, builds, floors, take_overs, changes, growth, s3, share, latencies];
    parts.map(|part| part(results)).join("\n")
}

/// Rows of cells under a heading.
fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", heading.join(" | "), "---|".repeat(N));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).expect("a String takes any text");
    }
    text
}

fn machine(results: &Results) -> String {
    let machine = &results.machine;
    let [yrm, newest, debian] = &machine.versions;
    format!(
        "Measured {}: {} with {} cores, {}, Linux {}, {}; SHA-256 by one core: {:.2} GB/s; load at the start: {:.1}.\n\
         Programs: {yrm}; {newest} (PyPI) and {debian} (Debian), without SQLite databases. Seconds are medians, memory \
         is the highest.\n",
        machine.when,
        machine.processor,
        machine.cores,
        mib(machine.memory_bytes),
        machine.kernel,
        machine.system,
        machine.sha256_speed / 1e9,
        machine.load,
    )
}

fn ratio(a: f64, b: f64) -> String {
    if b > 0.0 { format!("{:.3}", a / b) } else { "-".to_owned() }
}

fn builds(results: &Results) -> String {
    let mut rows: Vec<&Row> = results.rows.iter().filter(|row| row.what == What::Build).collect();
    rows.sort_by_key(|row| (row.weight as u8, row.packages, row.method as u8, row.tool));
    let rows = rows.into_iter().map(|row| {
        let cost = row.typical();
        // createrepo_c's zstd is level 10 always.
        let method = if row.method == Method::Zstd10 { Method::Zstd } else { row.method };
        let against = results.find(What::Build, Tool::Newest, State::Fresh, (row.weight, row.packages, method));
        let [cpu, wall, size] = against.map_or_else(
            || std::array::from_fn(|_| "-".to_owned()),
            |other| {
                let theirs = other.typical();
                [ratio(cost.cpu, theirs.cpu), ratio(cost.wall, theirs.wall), sizes(row, other)]
            },
        );
        [
            format!("{} × {}", row.packages, row.weight.name()),
            row.method.name().to_owned(),
            name(results, row.tool),
            seconds(cost.cpu),
            cpu,
            seconds(cost.wall),
            wall,
            mib(cost.peak_bytes),
            bytes(row.metadata_bytes),
            size,
        ]
    });
    let heading =
        ["packages", "compression", "program", "CPU s", "ratio", "wall s", "ratio", "memory", "metadata", "ratio"];
    format!(
        "### Full build\n\nRatios are to createrepo_c of PyPI with the same compression.\n\n{}",
        table(heading, rows)
    )
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn sizes(row: &Row, other: &Row) -> String {
    ratio(row.metadata_bytes as f64, other.metadata_bytes as f64)
}

fn floors(results: &Results) -> String {
    let rows = results.floors.iter().map(|row| {
        let floor = &row.floor;
        let deflate = floor.compress.first().map_or(0.0, |first| first.cost.cpu);
        let lowest = floor.read_and_hash.cpu + deflate;
        let built = results.find(What::Build, Tool::Yrm, State::Fresh, (row.weight, row.packages, Method::Gz));
        let yrm = built.map_or(0.0, |row| row.typical().cpu);
        let others = floor.compress.iter().skip(1);
        let others: Vec<String> = others.map(|one| format!("{}: {}", one.library, seconds(one.cost.cpu))).collect();
        [
            format!("{} × {}", row.packages, row.weight.name()),
            format!("{}, {}", bytes(floor.packages_bytes), bytes(floor.xml_bytes)),
            seconds(floor.read.cpu),
            seconds(floor.read_and_hash.cpu),
            seconds(deflate),
            seconds(lowest),
            seconds(yrm),
            ratio(yrm, lowest),
            seconds(floor.hash_xml.cpu),
            others.join(", "),
        ]
    });
    let heading = [
        "packages",
        "packages, XML",
        "read",
        "read and hash",
        "deflate",
        "floor",
        "yrm, gz",
        "ratio",
        "hash XML",
        "other levels",
    ];
    format!(
        "### The physical floor of a full build\n\nCPU seconds of doing only this, over all cores: the packages read \
         and hashed once, the same XML compressed once by libdeflate at level 6. Hashing the XML, which both programs do \
         for `open-checksum`, is not in the floor.\n\n{}",
        table(heading, rows)
    )
}

/// Beside what createrepo_c needs to make the same metadata from nothing.
fn take_overs(results: &Results) -> String {
    let taken = [What::TakeOver(Found::Metadata), What::TakeOver(Found::Packages)];
    let sizes = results.rows.iter().filter(|row| row.what == taken[0]).map(|row| row.packages);
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    let rows = sizes.into_iter().flat_map(|packages| {
        let find = |what, tool| results.find(what, tool, State::Fresh, (Weight::Light, packages, Method::Gz));
        let theirs = find(What::Build, Tool::Newest).map(Row::typical);
        let against = |figure: fn(&Cost) -> f64, ours: &Cost| {
            theirs.map_or_else(|| "-".to_owned(), |theirs| one_in(figure(&theirs), figure(ours)))
        };
        let row = |row: &Row| {
            let cost = row.typical();
            [
                packages.to_string(),
                program(results, row),
                what(row.what),
                seconds(cost.cpu),
                against(|cost| cost.cpu, &cost),
                seconds(cost.wall),
                against(|cost| cost.wall, &cost),
                mib(cost.peak_bytes),
            ]
        };
        let ours = taken.map(|what| find(what, Tool::Yrm));
        let rows = ours.into_iter().chain([find(What::Build, Tool::Newest)]).flatten();
        rows.map(row).collect::<Vec<_>>()
    });
    let heading = ["packages", "program", "what", "CPU s", "ratio", "wall s", "ratio", "memory"];
    format!(
        "### Taking a repository over, in a directory, gz\n\nA fresh process of yrm finds what createrepo_c made, or only \
         the packages, and publishes one more. Ratios: createrepo_c of PyPI takes so many times as long to make the same \
         metadata from nothing.\n\n{}",
        table(heading, rows)
    )
}

fn changes(results: &Results) -> String {
    let changed = |row: &&Row| matches!(row.what, What::Add(_) | What::Remove);
    let mut rows: Vec<&Row> = results.rows.iter().filter(changed).collect();
    rows.sort_by_key(|row| (row.packages, order(row.what), row.tool, row.state as u8));
    let rows = rows.into_iter().map(|row| {
        let cost = row.typical();
        let same = (row.weight, row.packages, row.method);
        let against = results.find(row.what, Tool::Newest, State::Fresh, same).map(Row::typical);
        [
            row.packages.to_string(),
            what(row.what),
            program(results, row),
            seconds(cost.cpu),
            against.map_or_else(|| "-".to_owned(), |theirs| one_in(theirs.cpu, cost.cpu)),
            seconds(cost.wall),
            against.map_or_else(|| "-".to_owned(), |theirs| one_in(theirs.wall, cost.wall)),
            mib(cost.peak_bytes),
        ]
    });
    let heading = ["packages", "change", "program", "CPU s", "ratio", "wall s", "ratio", "memory"];
    format!(
        "### Adding and removing, in a directory, gz\n\ncreaterepo_c with `--update --skip-stat`. yrm *warm* is a process \
         that has published before, *cold* a new one with nothing cached; both also check the package, move it out of \
         the inbox and write receipts and history. Ratios: createrepo_c of PyPI takes so many times as long.\n\n{}",
        table(heading, rows)
    )
}

/// What adding one costs apart from hashing and writing the compressed files.
fn growth(results: &Results) -> String {
    let warm = warm_adds(results);
    let first = warm.first().map(|row| rest(row));
    let rows = warm.iter().map(|row| {
        let (all, files) = (row.typical(), typical(&row.files));
        [
            row.packages.to_string(),
            seconds(all.cpu),
            bytes(row.metadata_bytes),
            seconds(files.cpu),
            seconds(rest(row)),
            first.map_or_else(|| "-".to_owned(), |first| ratio(rest(row), first)),
        ]
    });
    let heading =
        ["packages", "CPU s", "compressed files", "hashing and writing them", "the rest", "growth of the rest"];
    format!(
        "### How adding one package grows\n\nCPU seconds of one added package, yrm warm. Hashing and writing is measured \
         by doing only that with the same bytes into new files.\n\n\
         ![CPU of adding one package against repository size]({PLOT})\n\n{}",
        table(heading, rows)
    )
}

fn warm_adds(results: &Results) -> Vec<&Row> {
    let adds_one = |row: &&Row| row.what == What::Add(1) && row.state == State::Warm;
    let mut rows: Vec<&Row> = results.rows.iter().filter(adds_one).collect();
    rows.sort_by_key(|row| row.packages);
    rows
}

fn rest(row: &Row) -> f64 {
    let apart: Vec<Cost> = row
        .costs
        .iter()
        .zip(&row.files)
        .map(|(all, files)| Cost { cpu: (all.cpu - files.cpu).max(0.0), ..*all })
        .collect();
    typical(&apart).cpu
}

fn s3(results: &Results) -> String {
    let mut rows: Vec<&S3Row> = results.s3.iter().collect();
    rows.sort_by_key(|row| row.packages);
    let rows = rows.into_iter().map(|row| {
        let total = |figure: fn(&crate::results::Requests) -> u64| row.requests.values().map(figure).sum::<u64>();
        let methods: Vec<String> = row.requests.iter().map(|(name, one)| format!("{} {name}", one.count)).collect();
        [
            row.packages.to_string(),
            row.case.clone(),
            total(|one| one.count).to_string(),
            methods.join(", "),
            bytes(total(|one| one.bytes_in)),
            bytes(total(|one| one.bytes_out)),
            seconds(row.cost.cpu),
            mib(row.cost.peak_bytes),
        ]
    });
    let heading = ["packages", "what", "requests", "of them", "sent", "received", "CPU s", "memory"];
    let sizes: Vec<String> = [10_000, 100_000]
        .iter()
        .filter_map(|size| results.s3.iter().find(|row| row.packages == *size))
        .map(|row| format!("{} for {} packages", bytes(row.metadata_bytes), row.packages))
        .collect();
    format!(
        "### Publishing one package on S3\n\nRequests and bytes as the test server counted them, bodies only. The \
         compressed metadata is {}.\n\n{}",
        sizes.join(", "),
        table(heading, rows)
    )
}

fn share(results: &Results) -> String {
    let mut rows: Vec<&ShareRow> = results.share.iter().collect();
    rows.sort_by_key(|row| (row.services, !row.leases));
    let Some(first) = rows.first() else { return String::new() };
    let alone = first.seconds;
    let title = format!(
        "{} packages of 15 KB for {} repositories, dropped before the services start",
        first.packages, first.repositories
    );
    let rows = rows.iter().map(|row| {
        [
            row.services.to_string(),
            if row.leases { "with" } else { "without" }.to_owned(),
            format!("{:.1}", row.seconds),
            ratio(alone, row.seconds),
            row.requests.to_string(),
        ]
    });
    let heading = ["services", "leases", "s until all is published", "times as fast", "requests"];
    format!(
        "### Several services\n\n{title}. Every request takes 0.1 s and a service has eight in flight, in the four \
         repositories it works on at once; the test server itself does one at a time.\n\n{}",
        table(heading, rows)
    )
}

/// Beside what the same took before calls went side by side.
fn latencies(results: &Results) -> String {
    if results.latency.is_empty() {
        return String::new();
    }
    let rows = results.latency.iter().map(|row| {
        let count: u64 = row.calls.values().sum();
        let of_them: Vec<String> = row.calls.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let before = latency::before(&row.case);
        let [calls_before, seconds_before, as_fast] = before.map_or_else(
            || std::array::from_fn(|_| "-".to_owned()),
            |(calls, seconds)| [calls.to_string(), format!("{seconds:.2}"), one_in(seconds, row.seconds)],
        );
        [
            row.case.clone(),
            calls_before,
            count.to_string(),
            of_them.join(", "),
            seconds_before,
            format!("{:.2}", row.seconds),
            as_fast,
        ]
    });
    let heading = ["a run", "calls before", "calls", "of them", "s before", "s", "times as fast"];
    format!(
        "### Where every call takes 30 ms\n\nA store in memory, default settings, a fresh process, and time that passes \
         only while everything waits: these figures are exact, the same on every machine, and computing costs nothing in \
         them. *Before*: four repositories were worked on at once and swept one after the other, each listed what all of \
         them share, and 16 calls were in flight in each.\n\n{}",
        table(heading, rows)
    )
}

fn lines(results: &Results) -> Vec<Line> {
    let of = |tool, state| {
        let mut points: Vec<(usize, f64)> = results
            .rows
            .iter()
            .filter(|row| (row.what, row.tool, row.state) == (What::Add(1), tool, state))
            .map(|row| (row.packages, row.typical().cpu))
            .collect();
        points.sort_unstable_by_key(|point| point.0);
        let float = |packages| f64::from(u32::try_from(packages).unwrap_or(u32::MAX));
        points.into_iter().map(|(packages, cpu)| (float(packages), cpu)).collect::<Vec<_>>()
    };
    [
        (name(results, Tool::Debian), "#b5651d", of(Tool::Debian, State::Fresh)),
        (name(results, Tool::Newest), "#c0392b", of(Tool::Newest, State::Fresh)),
        ("yrm, cold".to_owned(), "#5dade2", of(Tool::Yrm, State::Fresh)),
        ("yrm, warm".to_owned(), "#1f618d", of(Tool::Yrm, State::Warm)),
    ]
    .into_iter()
    .filter(|(_, _, points)| !points.is_empty())
    .map(|(label, colour, points)| Line { label, colour, points })
    .collect()
}

fn order(what: What) -> usize {
    match what {
        What::Build | What::TakeOver(_) => 0,
        What::Add(count) => count,
        What::Remove => usize::MAX,
    }
}

fn what(what: What) -> String {
    match what {
        What::Build => "build".to_owned(),
        What::TakeOver(Found::Metadata) => "take over metadata".to_owned(),
        What::TakeOver(Found::Packages) => "take over packages without metadata".to_owned(),
        What::Add(count) => format!("add {count}"),
        What::Remove => "remove 1".to_owned(),
    }
}

fn name(results: &Results, tool: Tool) -> String {
    let [yrm, newest, debian] = &results.machine.versions;
    match tool {
        Tool::Yrm => yrm,
        Tool::Newest => newest,
        Tool::Debian => debian,
    }
    .clone()
}

fn program(results: &Results, row: &Row) -> String {
    match (row.tool, row.state) {
        (Tool::Yrm, State::Warm) => "yrm, warm".to_owned(),
        (Tool::Yrm, State::Fresh) => "yrm, cold".to_owned(),
        (Tool::Newest | Tool::Debian, State::Fresh | State::Warm) => name(results, row.tool),
    }
}

/// `42×`: how many times as long the other takes.
fn one_in(theirs: f64, ours: f64) -> String {
    if ours > 0.0 { format!("{:.1}×", theirs / ours) } else { "-".to_owned() }
}

fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.3}") } else { format!("{seconds:.1}") }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_around_the_figures_stays() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let written = splice(&page, "new").unwrap();
        assert_eq!(written, format!("before\n{BEGIN}\nnew\n{END}after\n"));
        assert_eq!(splice(&written, "new").unwrap(), written);
        assert_eq!(splice("no markers", "new"), None);
    }

    #[test]
    fn work_apart_from_the_files_is_told_for_each_repetition() {
        let cost = |cpu| Cost { wall: 1.0, cpu, peak_bytes: 0 };
        let done = |all, files| crate::warm::Done {
            cost: cost(all),
            files: Some(cost(files)),
            files_bytes: 1,
            usage: yrm::bucket::report::Usage::default(),
        };
        let row = Row::warm(What::Add(1), 1_000, &[done(0.5, 0.25), done(4.0, 0.25), done(0.75, 0.25)]);
        assert!((rest(&row) - 0.5).abs() < 1e-9);
    }
}
