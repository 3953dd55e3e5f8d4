//! What a step costs: wall time, CPU time, peak memory.
//!
//! A command is measured by a process of its own (`bench measure`) that waits for nothing else:
//! then what the kernel says of "all children" is that one command, and the peak is not the
//! peak of some earlier command or of this program's own memory, which a child starts with.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::fault::{Doing as _, Result};

/// The cost of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Seconds by the clock.
    pub(crate) wall: f64,
    /// Seconds of all cores, in the program and in the kernel for it.
    pub(crate) cpu: f64,
    /// Peak resident memory in bytes; 0 when it was not looked at.
    pub(crate) peak_bytes: u64,
}

/// Runs a command and says what it cost. It must succeed; its standard output is answered.
pub(crate) fn command(command: &Command) -> Result<(Cost, Vec<u8>)> {
    let this = std::env::current_exe().doing(|| "finding this program".to_owned())?;
    let shown = format!("{command:?}");
    let mut measured = Command::new(this);
    measured.args(["measure", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => measured.env(name, value),
            None => measured.env_remove(name),
        };
    }
    let output = measured.stdin(Stdio::null()).output().doing(|| format!("starting {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        return Err(format!("{shown}: {}: {}", output.status, tail.join(" | ")).into());
    }
    // The last line is ours; the command's own come before it.
    let cost = said.lines().next_back().unwrap_or_default();
    let cost = serde_json::from_str(cost).doing(|| format!("reading the cost of {shown}"))?;
    Ok((cost, output.stdout))
}

/// `bench measure`: runs the command and prints its cost as the last line of standard error.
pub(crate) fn child(program: &str, args: &[String]) -> Result<()> {
    let began = Instant::now();
    let status = Command::new(program).args(args).status().doing(|| format!("starting {program}"))?;
    let wall = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    let usage = usage(UsageWho::RUSAGE_CHILDREN)?;
    let peak_bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    let cost = Cost { wall, cpu: cpu_of(&usage), peak_bytes };
    crate::say::report(&serde_json::to_string(&cost).expect("a cost is plain data"));
    Ok(())
}

/// Measures a step of this process.
#[derive(Debug)]
pub(crate) struct Watch {
    began: Instant,
    cpu: f64,
}

impl Watch {
    /// Starts now, with the peak of memory at what is in use now.
    pub(crate) fn start() -> Result<Self> {
        // "5" resets VmHWM (proc(5)). Where the kernel cannot, the peak is the whole process's.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Ok(Self { began: Instant::now(), cpu: cpu_of(&usage(UsageWho::RUSAGE_SELF)?) })
    }

    /// What was used since the start.
    pub(crate) fn stop(&self) -> Result<Cost> {
        let wall = self.began.elapsed().as_secs_f64();
        let cpu = cpu_of(&usage(UsageWho::RUSAGE_SELF)?) - self.cpu;
        Ok(Cost { wall, cpu, peak_bytes: peak_bytes().unwrap_or(0) })
    }
}

fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

fn usage(who: UsageWho) -> Result<Usage> {
    getrusage(who).doing(|| "asking for the time used".to_owned())
}

fn cpu_of(usage: &Usage) -> f64 {
    [usage.user_time(), usage.system_time()]
        .map(|time| {
            let seconds = i32::try_from(time.tv_sec()).expect("a benchmark ends");
            let micros = i32::try_from(time.tv_usec()).expect("less than a second");
            f64::from(seconds) + f64::from(micros) / 1e6
        })
        .iter()
        .sum()
}

/// Bytes of the files in a folder, folders below it left out.
pub(crate) fn folder_bytes(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).doing(|| format!("listing {}", folder.display()))?;
    let mut bytes = 0;
    for entry in entries {
        let metadata = entry.and_then(|entry| entry.metadata()).doing(|| format!("listing {}", folder.display()))?;
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}
