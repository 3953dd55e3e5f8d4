//! The repository file that has dnf, yum and zypper ask the service on this machine. It only computes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::bucket::Bucket;
use crate::key::encode;

/// A repository as a client names it.
#[derive(Debug)]
pub(crate) struct Repository<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) listens: SocketAddr,
    /// The folder in the bucket.
    pub(crate) folder: &'a str,
    /// What it is called; else by its bucket and folder.
    pub(crate) name: Option<&'a str>,
    pub(crate) signed: Signed<'a>,
}

/// What the client shall check.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signed<'a> {
    /// Packages and metadata, by the public key of this name in the folder.
    By(&'a str),
    /// Packages, by keys that the machine has.
    Packages,
    Nothing,
}

impl Repository<'_> {
    /// Where the signer answers for it.
    fn address(&self) -> String {
        let folder = self.bucket.folder(self.folder);
        // dnf encodes what a base address has in it once more, so nothing but what has to be is encoded.
        let folder = if folder.is_empty() { String::new() } else { format!("/{}", encode(&folder, true)) };
        format!("http://{}/{}{folder}", self.listens, self.bucket.name)
    }

    /// Letters, digits, `-`, `_`, `.` and `:` are all that dnf takes.
    fn id(&self) -> String {
        let by_its_place = || {
            let folder = self.bucket.folder(self.folder);
            // Every repository is below "repo": that tells nothing.
            let told = folder.split('/').filter(|segment| !matches!(*segment, "" | "repo"));
            std::iter::once(self.bucket.name.as_str()).chain(told).collect::<Vec<_>>().join("-")
        };
        let whole = self.name.map_or_else(by_its_place, str::to_owned);
        whole.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '-' }).collect()
    }

    /// The file.
    pub(crate) fn file(&self) -> String {
        let (id, address) = (self.id(), self.address());
        let name = self.name.unwrap_or(&id);
        let mut file = format!("[{id}]\nname={name}\nbaseurl={address}\nenabled=1\nautorefresh=1\n");
        match self.signed {
            Signed::By(key) => {
                writeln!(file, "gpgcheck=1\nrepo_gpgcheck=1\ngpgkey={address}/{}", encode(key, false))
            }
            Signed::Packages => writeln!(file, "gpgcheck=1\nrepo_gpgcheck=0"),
            Signed::Nothing => writeln!(file, "gpgcheck=0\nrepo_gpgcheck=0"),
        }
        .expect("a string takes whatever is written to it");
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bucket: &str, folder: &str, name: Option<&str>, signed: Signed<'_>) -> String {
        let bucket: Bucket = bucket.parse().unwrap();
        let listens = "127.0.0.1:8735".parse().unwrap();
        Repository { bucket: &bucket, listens, folder, name, signed }.file()
    }

    #[test]
    fn the_file_names_the_signer_the_bucket_and_the_folder() {
        assert_eq!(
            file("s3://my-bucket", "repo", None, Signed::Packages),
            "[my-bucket]\nname=my-bucket\nbaseurl=http://127.0.0.1:8735/my-bucket/repo\nenabled=1\nautorefresh=1\n\
             gpgcheck=1\nrepo_gpgcheck=0\n"
        );
        let signed = file("s3://my-bucket/team a", "repo/el9", Some("Team A"), Signed::By("RPM-GPG-KEY-team"));
        assert!(signed.starts_with("[Team-A]\nname=Team A\n"), "{signed}");
        assert!(signed.contains("\nbaseurl=http://127.0.0.1:8735/my-bucket/team%20a/repo/el9\n"), "{signed}");
        assert!(signed.contains("\nrepo_gpgcheck=1\ngpgkey=http://127.0.0.1:8735/my-bucket/team%20a/repo/el9/RPM-GPG"));
        assert!(file("s3://my-bucket", ".", None, Signed::Nothing).ends_with("\ngpgcheck=0\nrepo_gpgcheck=0\n"));
    }

    #[test]
    fn every_repository_of_a_bucket_gets_an_id_of_its_own() {
        for (bucket, folder, id) in [
            ("s3://b-1", "repo", "b-1"),
            ("s3://b-1", "repo/el9", "b-1-el9"),
            ("s3://b-1", "repo/el9/x86_64", "b-1-el9-x86_64"),
            ("s3://b-1", ".", "b-1"),
            ("s3://b-1/team", "repo", "b-1-team"),
            ("s3://b-1", "repository", "b-1-repository"),
        ] {
            let file = file(bucket, folder, None, Signed::Packages);
            assert!(file.starts_with(&format!("[{id}]\n")), "{bucket} {folder}: {file}");
        }
    }
}
