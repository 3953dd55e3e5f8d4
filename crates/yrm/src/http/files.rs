//! A directory bucket's repository over HTTP, so that `dnf` can install from the service itself.
//!
//! Only regular files below the repository's folder: no listings, no dotfiles, nothing that a
//! symbolic link leads out to, nothing of the inbox, the quarantine or `.yrm`.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use tower_http::services::ServeDir;

use super::answers::{not_found, problem};
use crate::config::Folders;
use crate::config::parse::percent_decoded;
use crate::store::key::{CLIENT_FILE_SUFFIX, MIRRORLIST, MirrorFolder, PUBLIC_KEYS_PREFIX};

/// A directory bucket's repository folder.
#[derive(Debug, Clone)]
pub struct RepoFiles {
    /// The bucket's directory.
    pub bucket: PathBuf,
    /// Its folders: that of the repositories is also the first part of the URL.
    pub folders: Folders,
}

/// A path below `repo/` that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below<'a> {
    /// As the URL has it.
    encoded: &'a str,
    /// As it is. A plus is a plus, however it was written.
    pub(super) path: String,
}

/// What a URL's path names below `repo/`; nothing where that is not plain, or not a part of the repositories.
pub(super) fn below<'a>(path: &'a str, folders: &Folders) -> Option<Below<'a>> {
    let encoded = path.strip_prefix('/')?.strip_prefix(&folders.repo_prefix())?;
    let path = percent_decoded(encoded).filter(|path| is_public(path, folders))?;
    Some(Below { encoded, path })
}

/// Answers `request` from the files, or 404.
pub(super) async fn serve(files: &RepoFiles, request: Request) -> Response {
    let uri = request.uri().clone();
    let Some(Below { encoded, path }) = below(uri.path(), &files.folders) else { return not_found() };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "files only answer GET and HEAD");
    }
    let folder = files.bucket.join(&files.folders.repo);
    let (looked_at, wanted) = (folder.clone(), path.clone());
    // Blocking calls: a slow disk must not hold up other requests.
    let inside = tokio::task::spawn_blocking(move || is_file_inside(&looked_at, &looked_at.join(wanted))).await;
    if !inside.unwrap_or(false) {
        return not_found();
    }
    let Ok(uri) = format!("/{encoded}").parse::<Uri>() else { return not_found() };
    let (mut head, _) = request.into_parts();
    head.uri = uri;
    let served = ServeDir::new(folder)
        .append_index_html_on_directories(false)
        .try_call(Request::from_parts(head, Body::empty()))
        .await;
    match served {
        Ok(response) => {
            let mut response = response.map(Body::new);
            if response.status() == StatusCode::NOT_FOUND {
                return not_found();
            }
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(&path)));
            if let Some(content_type) = content_type(&path) {
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            response
        }
        Err(error) => {
            tracing::warn!(%error, ?path, "reading a repository file failed");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be read")
        }
    }
}

/// Whether `path` has ordinary segments only, none of them hidden, and is a part of the repositories.
fn is_public(path: &str, folders: &Folders) -> bool {
    folders.apart(path).is_none()
        && !path.chars().any(char::is_control)
        && path.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.') && !segment.contains('\\'))
}

/// Whether `path` is a regular file that really lies below `folder`.
fn is_file_inside(folder: &Path, path: &Path) -> bool {
    let real = |path: &Path| -> Option<PathBuf> { std::fs::canonicalize(path).ok() };
    match (real(folder), real(path)) {
        (Some(folder), Some(path)) => path.starts_with(folder) && path.is_file(),
        (None, _) | (_, None) => false,
    }
}

/// As the same object would have in S3: what is swapped is asked for again, the rest never changes.
fn cache_control(path: &str) -> &'static str {
    if is_swapped(path) { "no-cache" } else { "public, max-age=31536000, immutable" }
}

/// Whether other bytes may be there some day.
pub(super) fn is_swapped(path: &str) -> bool {
    let repomd = ["repodata/repomd.xml", "repodata/repomd.xml.asc"].iter().any(|name| path.ends_with(name));
    repomd && !is_in_a_generations_folder(path) || is_mirrorlist(path) || is_public_key(path) || is_client_file(path)
}

/// Whether public keys lie there: right below `repo/`. A folder of such a name is like any other.
pub(super) fn is_public_key(path: &str) -> bool {
    path.starts_with(PUBLIC_KEYS_PREFIX) && !path.contains('/')
}

/// Whether what clients may write into their configuration lies there.
fn is_client_file(path: &str) -> bool {
    path.ends_with(CLIENT_FILE_SUFFIX)
}

/// As the same object would have in S3; `None` for what yrm puts into no bucket.
pub(super) fn content_type(path: &str) -> Option<&'static str> {
    if is_mirrorlist(path) || is_client_file(path) {
        return Some("text/plain; charset=utf-8");
    }
    if is_public_key(path) {
        return Some("application/pgp-keys");
    }
    let (_, suffix) = path.rsplit_once('.')?;
    match suffix.to_ascii_lowercase().as_str() {
        "rpm" => Some("application/x-rpm"),
        "xml" => Some("text/xml"),
        "gz" => Some("application/gzip"),
        "zst" => Some("application/zstd"),
        "asc" => Some("application/pgp-signature"),
        _ => None,
    }
}

fn is_in_a_generations_folder(path: &str) -> bool {
    let starts = path.match_indices("repodata/").map(|(at, _)| at);
    starts.into_iter().any(|at| MirrorFolder::of_href(&path[at..]).is_some())
}

fn is_mirrorlist(path: &str) -> bool {
    path.rsplit('/').next() == Some(MIRRORLIST)
}
