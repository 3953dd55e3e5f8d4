//! A campaign's bucket on the S3 server, and the campaign there.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use tempfile::TempDir;

use super::campaign::{Scale, campaign};
use super::place::{Place, Server};
use super::proxy::Proxy;
use crate::s3_server::server;

/// A new bucket of the test server.
#[derive(Debug)]
struct Bucket {
    client: Client,
    name: String,
}

#[async_trait]
impl Server for Bucket {
    fn address(&self) -> String {
        format!("{}/{}", server().endpoint(), self.name)
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment: Vec<_> = server().environment().map(|(name, value)| (name, value.to_owned())).to_vec();
        environment.push(("YRM_PATH_STYLE", "true".to_owned()));
        environment.push(("YRM_BUCKET", format!("s3://{}", self.name)));
        environment
    }

    async fn upload(&self, key: &str, bytes: &[u8]) {
        self.client.put_object().bucket(&self.name).key(key).body(bytes.to_vec().into()).send().await.unwrap();
    }

    async fn keys(&self, prefix: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        let mut pages = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        keys
    }

    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(object) => Some(object.body.collect().await.unwrap().to_vec()),
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => None,
            Err(error) => panic!("reading {key}: {error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_killed_and_stopped_lose_nothing_and_readers_never_fail_on_s3() {
    let (directory, scale) = (TempDir::new().unwrap(), Scale::wanted());
    let place = Place::S3(Box::new(Bucket { client: server().client(), name: server().make_bucket().await }));
    let upstream: SocketAddr = server().endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::start(upstream, scale.seed).await;
    let name = "on_s3::services_that_are_killed_and_stopped_lose_nothing_and_readers_never_fail_on_s3";
    campaign(name, directory, &place, Some(&proxy), scale).await;
}
