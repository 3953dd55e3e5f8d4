//! The same in S3.

use std::process::Command;

use forge::Rpm;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::clients::{Bucket, read_through};
use crate::cli::yrm;
use crate::s3_server::server;

/// A bucket, the folder of who works on it, and what waits for the store.
struct InS3(String, TempDir, Runtime);

impl Bucket for InS3 {
    fn yrm(&self, arguments: &[&str]) -> Command {
        let mut command = yrm(self.1.path());
        command.args(arguments).args(["-b", &format!("s3://{}", self.0)]).envs(server().environment());
        command
    }

    fn upload(&self, path: &str, name: &str) {
        let rpm = Rpm::new(name, "1", "1", "noarch").build();
        let put = server().client().put_object().bucket(&self.0).key(format!("inbox/{path}")).body(rpm.into());
        self.2.block_on(put.send()).unwrap();
    }

    fn exists(&self, key: &str) -> bool {
        self.2.block_on(server().client().head_object().bucket(&self.0).key(key).send()).is_ok()
    }

    fn website(&self) -> Option<String> {
        Some(format!("{}/{}/repo", server().endpoint(), self.0))
    }
}

#[test]
fn dnf_in_a_loop_through_migrations_of_a_bucket_in_s3() {
    let asked = std::env::var("YRM_MIGRATIONS").map(|text| text.parse().unwrap());
    let runtime = Runtime::new().unwrap();
    let bucket = InS3(runtime.block_on(server().make_bucket()), TempDir::new().unwrap(), runtime);
    read_through(&bucket, asked.unwrap_or(4));
    bucket.works(&["check", "--deep"]);
}
