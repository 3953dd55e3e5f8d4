//! Where a campaign's bucket is, as uploaders and onlookers see it: an S3 server over HTTP, or a
//! directory. Never through `yrm`'s own store.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use axum::Router;
use tokio::process::Command;
use tower_http::services::ServeDir;

use crate::cli::yrm;
use crate::users::{SERVICE, UPLOADER, set_mode};

/// A bucket, and what belongs to it.
#[derive(Debug)]
pub(super) enum Place {
    /// A bucket on a server.
    S3(Box<dyn Server>),
    /// A directory, and the address at which `repo/` is served.
    Directory { root: PathBuf, address: String, among: Among },
}

/// A bucket on a server, as uploaders and onlookers see it.
#[async_trait]
pub(super) trait Server: Debug + Send + Sync {
    /// The bucket's own, over HTTP.
    fn address(&self) -> String;
    /// What a child process needs to find it.
    fn environment(&self) -> Vec<(&'static str, String)>;
    async fn upload(&self, key: &str, bytes: &[u8]);
    async fn keys(&self, prefix: &str) -> BTreeSet<String>;
    async fn read(&self, key: &str) -> Option<Vec<u8>>;
}

/// Whose programs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// Everybody is the user that runs the tests.
    Ourselves,
    /// The service and the uploaders are users of their own.
    Users,
}

impl Place {
    /// A new bucket in `directory`, read by clients from a web server that knows nothing of `yrm`.
    pub(super) async fn directory(directory: &Path, among: Among) -> Self {
        let root = directory.join("bucket");
        std::fs::create_dir_all(root.join("inbox")).unwrap();
        if among == Among::Users {
            set_mode(directory, 0o755);
            for folder in [&root, &root.join("inbox")] {
                SERVICE.owns(folder);
            }
            set_mode(&root.join("inbox"), 0o777);
            // The build's own folder may be closed to others.
            std::fs::copy(env!("CARGO_BIN_EXE_yrm"), directory.join("yrm")).unwrap();
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let files = Router::new().fallback_service(ServeDir::new(&root));
        tokio::spawn(async move { axum::serve(listener, files).await.unwrap() });
        Self::Directory { root, address, among }
    }

    /// Where a directory is.
    pub(super) fn root(&self) -> &Path {
        match self {
            Self::Directory { root, .. } => root,
            Self::S3(_) => panic!("a bucket on a server is nowhere"),
        }
    }

    pub(super) fn is_among_users(&self) -> bool {
        matches!(self, Self::Directory { among: Among::Users, .. })
    }

    /// Makes `home` the service's own, with its settings.
    pub(super) fn furnish(&self, home: &Path) {
        std::fs::create_dir_all(home).unwrap();
        if let Self::Directory { root, among: Among::Users, .. } = self {
            std::fs::write(home.join("yrm.toml"), super::evil::settings(root.parent().unwrap())).unwrap();
            SERVICE.owns(home);
        }
    }

    /// Where clients find the repository; ends with a slash.
    pub(super) fn repository_url(&self) -> String {
        match self {
            Self::S3(bucket) => format!("{}/repo/", bucket.address()),
            Self::Directory { address, .. } => format!("http://{address}/repo/"),
        }
    }

    /// `yrm` on this bucket, in `directory`; by way of `endpoint` if there is one.
    pub(super) fn yrm(&self, directory: &Path, endpoint: Option<&str>) -> Command {
        let mut command = match self {
            Self::Directory { root, among: Among::Users, .. } => {
                let mut command = SERVICE.command(root.with_file_name("yrm"));
                command.current_dir(directory);
                command
            }
            Self::Directory { .. } | Self::S3(_) => yrm(directory),
        };
        command.env("YRM_CACHE_DIR", directory.join("cache"));
        match self {
            Self::S3(bucket) => {
                command.envs(bucket.environment());
                command.envs(endpoint.map(|endpoint| ("AWS_ENDPOINT_URL", endpoint)));
            }
            Self::Directory { root, .. } => {
                command.env("YRM_BUCKET", root);
            }
        }
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        command
    }

    /// Drops a file into the inbox, as a whole.
    pub(super) async fn upload(&self, path: &str, bytes: &[u8]) {
        match self {
            Self::S3(bucket) => bucket.upload(&format!("inbox/{path}"), bytes).await,
            Self::Directory { root, among, .. } => {
                let (draft, target) = (root.with_file_name("draft"), root.join("inbox").join(path));
                let is_new = !target.parent().unwrap().exists();
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::write(&draft, bytes).unwrap();
                if *among == Among::Users {
                    UPLOADER.owns(&draft);
                    let folders = target.ancestors().skip(1).take_while(|folder| *folder != root.join("inbox"));
                    for folder in folders.filter(|_| is_new) {
                        UPLOADER.owns(folder);
                        set_mode(folder, 0o777);
                    }
                }
                std::fs::rename(&draft, target).unwrap();
            }
        }
    }

    /// All keys below `prefix`, which ends with a slash.
    pub(super) async fn keys(&self, prefix: &str) -> BTreeSet<String> {
        match self {
            Self::S3(bucket) => bucket.keys(prefix).await,
            Self::Directory { root, .. } => {
                let mut keys = BTreeSet::new();
                files_below(root, prefix.trim_end_matches('/'), &mut keys);
                keys
            }
        }
    }

    /// An object's bytes.
    pub(super) async fn read(&self, key: &str) -> Option<Vec<u8>> {
        match self {
            Self::S3(bucket) => bucket.read(key).await,
            Self::Directory { root, .. } => match std::fs::read(root.join(key)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => panic!("reading {key}: {error}"),
            },
        }
    }
}

/// Files below `root/folder`, by their paths relative to `root`.
fn files_below(root: &Path, folder: &str, found: &mut BTreeSet<String>) {
    let entries = match std::fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => panic!("listing {folder}: {error}"),
    };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        // The service may have taken it away since it was listed.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(root, &path, found),
            Ok(_) => drop(found.insert(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("looking at {path}: {error}"),
        }
    }
}
