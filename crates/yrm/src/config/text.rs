//! Values as they are written: one text for each. A leaf: it knows the values, and nobody else.

use std::time::Duration;

use rpmmd::compress::Compression;

use super::trust::KeyringPlace;
use super::values::Repositories;

const DAY: u64 = 24 * 60 * 60;

/// The folder that clients read; the bucket's root has no name of its own.
pub(super) fn repo(folder: &str) -> String {
    if folder.is_empty() { ".".to_owned() } else { folder.to_owned() }
}

pub(super) fn repositories(repositories: &Repositories) -> String {
    match repositories {
        Repositories::Single => "single".to_owned(),
        Repositories::Depth(1) => "per-folder".to_owned(),
        Repositories::Depth(levels) => format!("depth={levels}"),
        Repositories::Globs(globs) => globs.join(","),
    }
}

pub(super) fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::Gz => "gz",
        Compression::Zstd => "zstd",
    }
}

/// In the largest unit below days that says it.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Whole days as a bare number.
pub(super) fn days(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds.is_multiple_of(DAY) => (seconds / DAY).to_string(),
        _ => duration(age),
    }
}

/// The places that are the bucket's.
pub(super) fn keyrings(places: &[KeyringPlace]) -> String {
    let folder = |place: &KeyringPlace| match place {
        KeyringPlace::Bucket(folder) => Some(format!("bucket:{folder}")),
        KeyringPlace::Path(_) => None,
    };
    places.iter().filter_map(folder).collect::<Vec<_>>().join(",")
}

/// A TOML value as it would be typed on a command line.
pub(super) fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
