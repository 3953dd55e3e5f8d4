//! What the figures were measured on.

use std::fs;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::Result;
use crate::measure::Watch;
use crate::tools::{Tool, Tools};

/// The machine's facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) when: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    /// Of one core, in bytes a second.
    pub(crate) sha256_speed: f64,
    /// The load of the last minute when the campaign began: more than a little is somebody else.
    pub(crate) load: f64,
    /// yrm's, the newest createrepo_c's and Debian's.
    pub(crate) versions: [String; 3],
}

impl Machine {
    pub(crate) fn look(tools: &Tools) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: String, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line[name.len().min(line.len())..].trim_matches([' ', '\t', ':', '=', '"']).to_owned()
        };
        let memory = after(read("/proc/meminfo"), "MemTotal");
        let memory = memory.split_ascii_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        let first = |text: String| text.split_ascii_whitespace().next().unwrap_or_default().to_owned();
        let kernel = read("/proc/sys/kernel/osrelease");
        Ok(Self {
            when: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            processor: after(read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.unwrap_or(0) * 1024,
            kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
            system: after(read("/etc/os-release"), "PRETTY_NAME"),
            sha256_speed: sha256_speed()?,
            load: first(read("/proc/loadavg")).parse().unwrap_or(0.0),
            versions: [tools.version(Tool::Yrm)?, tools.version(Tool::Newest)?, tools.version(Tool::Debian)?],
        })
    }
}

fn sha256_speed() -> Result<f64> {
    const PIECE: u32 = 64 << 20;
    let bytes = vec![0xa5; PIECE as usize];
    let watch = Watch::start()?;
    for _ in 0..8 {
        std::hint::black_box(Sha256::digest(std::hint::black_box(&bytes)));
    }
    Ok(8.0 * f64::from(PIECE) / watch.stop()?.cpu.max(1e-6))
}
