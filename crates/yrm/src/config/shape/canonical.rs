//! One text for each value, however it was spelt.

use crate::config::complaint::{Complaint, Parsed};
use crate::config::text::{compression, days, duration, keyrings, repo, repositories};
use crate::config::trust::{KeyringPlace, Level, SignPackages};
use crate::config::{parse, rules};

/// The canonical text of `text` as the value of the bucket's setting `name`, or what is wrong with it.
pub(super) fn value(name: &str, text: &str) -> Parsed<String> {
    Ok(match name {
        "inbox" => parse::folder(text)?,
        "repo" => repo(&parse::repo(text)?),
        "repositories" => repositories(&parse::repositories(text)?),
        "compression" => compression(parse::compression(text)?).to_owned(),
        "keep-at-least" => parse::keep_at_least(text)?.to_string(),
        "prune-age-days" => days(parse::days(text)?),
        "grace" => duration(parse::duration(text)?),
        "on-conflict" => parse::on_conflict(text)?.name().to_owned(),
        "signatures" => Level::parse(text)?.name().to_owned(),
        "sign-packages" => SignPackages::parse(text)?.name().to_owned(),
        "mirrorlist" => parse::switch(text)?.to_string(),
        "public-url" => parse::public_urls(text)?.join(","),
        "key-name" => parse::key_name(text)?,
        "keyring" => {
            let places = rules::keyrings(text)?;
            if !places.iter().all(|place| matches!(place, KeyringPlace::Bucket(_))) {
                return Err(Complaint::new("a file is no keyring of the bucket: other machines do not have it")
                    .hint("write bucket:FOLDER; files stay in each machine's own configuration"));
            }
            keyrings(&places)
        }
        _ => return Err(Complaint::new(format!("{name:?} is no setting of a bucket"))),
    })
}
