//! The documents say what the code does, as far as a test can see: links lead somewhere, commands do what
//! they say ([`commands`]), the reference is what the program says ([`reference`]), and its JSON is what the schemas say
//! ([`schemas`]).

mod commands;
mod reference;
mod schemas;
mod types;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every document of the repository: at its root, and below `docs/` and `crates/`.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name());
            let is_ours = folder != root() || ["docs", "crates"].map(Some).contains(&name.to_str());
            if entry.file_type().unwrap().is_dir() && is_ours && name != "target" {
                folders.push(path);
            } else if entry.file_type().unwrap().is_symlink() {
                // A page's earlier place, which the program still names.
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}

/// `text` without its fenced blocks: what stands in them is no markdown.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        if !inside && !is_fence {
            prose.push_str(line);
            prose.push('\n');
        }
        inside ^= is_fence;
    }
    prose
}

/// The targets of `[…](target)`.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// A heading's anchor, as the sites that show markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn history_keeps_500_and_receipts_30_days_undocumented() {
    let (bucket, audit) = (read("docs/reference/bucket.md"), read("docs/tasks/audit.md"));
    assert!(audit.contains("history-days") && bucket.contains("30 days"));
}

#[test]
fn sync_delete_is_recommended_for_private_clients() {
    // Its listing copies repomd.xml before packages that sort later, and takes away what clients still read.
    for page in documents() {
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.contains("s3 sync --delete"), "{}", page.display());
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let leads = target.exists()
                && (fragment.is_empty()
                    || prose(&fs::read_to_string(&target).unwrap())
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == fragment));
            if !leads {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn the_readme_stays_short() {
    assert!(read("README.md").lines().count() <= 120);
}
