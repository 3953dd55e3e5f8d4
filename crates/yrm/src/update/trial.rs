//! A new program is asked for its version before the service is handed over to it: what is no
//! program, is for another machine or dies at once shows here.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// For the answer. It takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of the answer.
const MAX_ANSWER_BYTES: u64 = 256;

/// What `program` says when asked for its version; the error says why it will not do.
pub(super) async fn version_of(program: &Path) -> Result<String, String> {
    // It gets nothing of this process but the right to run: no credentials, no socket of systemd's.
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    if let Ok(answer) = tokio::time::timeout(PATIENCE, answer(&mut child)).await {
        return answer;
    }
    // Killed when dropped, too; waited for here, so that it is gone before its file is.
    drop(child.kill().await);
    Err(format!("it does not say its version within {} seconds", PATIENCE.as_secs()))
}

async fn answer(child: &mut Child) -> Result<String, String> {
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut said).await;
        read.map_err(|error| format!("what it says cannot be read: {error}"))?;
    }
    let status = child.wait().await.map_err(|error| format!("how it ended is unknown: {error}"))?;
    if !status.success() {
        return Err(format!("asked for its version it ends with {status}"));
    }
    let version = std::str::from_utf8(&said).ok().and_then(|said| said.trim_end().strip_prefix("yrm "));
    let is_plain = |version: &&str| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_graphic());
    version.filter(is_plain).map(str::to_owned).ok_or_else(|| "it does not call itself yrm".to_owned())
}
