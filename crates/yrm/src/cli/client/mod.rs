//! `yrm client`: what the machines that install need, and what is wrong where they cannot.

mod check;
mod written;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::written::{ClientConfig, ClientFile, Reader, Secret, Tool, written};
use super::context::{Context, DONE};
use crate::bucket::tokens::TokenText;
use crate::config::Config;
use crate::config::parse;
use crate::error::{Error, ErrorKind, Result};
use crate::{aws, http};

/// A longer file holds no token.
const MAX_TOKEN_FILE_BYTES: u64 = 4 << 10;

/// What is there for clients.
#[derive(Debug, Subcommand)]
pub(super) enum ClientVerb {
    /// Print what a client needs: its repository file, and the command that tries it
    Config(ConfigArgs),
    /// Walk a client's way through a repository, and say what is wrong
    Check(CheckArgs),
    /// Print what proves this machine's AWS identity to a gateway, for a quarter of an hour
    Identity(IdentityArgs),
}

/// Where clients read, and how they are let in.
#[derive(Debug, Args)]
pub(super) struct Address {
    /// The repository's address: a gateway's, a bucket's, or http://127.0.0.1:8735/BUCKET/repo of yrm-client
    #[arg(long, value_name = "URL")]
    url: String,
    /// Read the token of a private repository from this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What `client config` takes.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// For what
    #[arg(value_name = "TOOL")]
    tool: Tool,
    #[command(flatten)]
    address: Address,
    /// The repository's name on the client; without it, of its address
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the public key is: the client checks the signature of the package lists by it
    #[arg(long, value_name = "URL")]
    gpgkey: Option<String>,
    /// Packages are signed, too: the client checks each by that key
    #[arg(long, requires = "gpgkey")]
    signed_packages: bool,
}

/// What `client check` takes.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The repository's address, as it stands in baseurl=
    #[arg(value_name = "URL")]
    url: String,
    /// Read the token of a private repository from this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Compare the signature with this public key: its address or a file
    #[arg(long, value_name = "URL|FILE")]
    gpgkey: Option<String>,
}

/// What `client identity` takes.
#[derive(Debug, Args)]
pub(super) struct IdentityArgs {}

/// What proves an identity.
#[derive(Debug, Serialize)]
struct Identity {
    /// To be sent as a password, or as what a bearer has.
    token: String,
    /// Of which bucket's gateway it is understood.
    bucket: String,
    /// How long, in seconds.
    valid_s: u64,
}

/// Does what was asked.
pub(super) async fn execute(verb: &ClientVerb, context: &Context) -> Result<u8> {
    match verb {
        ClientVerb::Config(args) => {
            let config = config(args)?;
            context.output.data(&config, for_people)?;
            Ok(DONE)
        }
        ClientVerb::Check(args) => {
            let token = args.token_file.as_deref().map(token_of).transpose()?;
            check::check(&address_of(&args.url)?, token.as_ref(), args.gpgkey.as_deref(), context).await
        }
        ClientVerb::Identity(_) => {
            let (config, _) = Config::of(&context.low)?;
            let bucket = config.bucket.to_string();
            let valid = http::gateway::identity::LONGEST;
            let address = aws::prove(&config.s3, (http::gateway::identity::AUDIENCE, &bucket), valid).await?;
            let token = http::gateway::identity::proof_of(&address);
            let identity = Identity { token, bucket, valid_s: valid.as_secs() };
            context.output.data(&identity, |identity| format!("{}\n", identity.token))?;
            Ok(DONE)
        }
    }
}

fn config(args: &ConfigArgs) -> Result<ClientConfig> {
    let url = address_of(&args.address.url)?;
    let token = args.address.token_file.as_deref().map(token_of).transpose()?;
    let name = match &args.name {
        Some(name) => parse::key_name(name).map_err(|complaint| {
            Error::new(ErrorKind::Config, format!("reading --name {name:?}")).because(complaint.message)
        })?,
        None => name_of(&url),
    };
    let gpgkey = args.gpgkey.as_deref().map(address_of).transpose()?;
    let reader =
        Reader { name, url, gpgkey, signed_packages: args.signed_packages, secret: token.as_ref().map(Secret::of) };
    Ok(written(args.tool, &reader))
}

/// A repository's name, by its address.
fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut parts = rest.trim_end_matches('/').split('/');
    let host = parts.next().unwrap_or_default().split([':', '.']).next().unwrap_or_default();
    let folders: Vec<&str> = parts.filter(|part| !matches!(*part, "repo" | "")).collect();
    let words = if host.is_empty() || host.bytes().all(|byte| byte.is_ascii_digit()) {
        folders
    } else {
        [&[host][..], &folders].concat()
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = words.join("-").chars().map(plain).collect();
    if name.is_empty() { "yrm".to_owned() } else { name }
}

/// An address that stands in a line of a file, without a secret in it.
fn address_of(text: &str) -> Result<String> {
    let refuse = |why: &str, hint: &str| {
        Error::new(ErrorKind::Config, "reading an address").because(why.to_owned()).hint(hint.to_owned())
    };
    let url: reqwest::Url = text.parse().map_err(|_| {
        refuse(&format!("{:?} is no address", shortened(text)), "such as https://packages.example.org/repo")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("clients read by http or https", "such as https://packages.example.org/repo"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("there is a password in the address, where logs show it", "give it by --token-file"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(refuse("it holds blanks", "such as https://packages.example.org/repo"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The token in a file.
fn token_of(path: &std::path::Path) -> Result<TokenText> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Config, format!("reading the token in {}", path.display()))
            .because(why)
            .hint("the file holds what `yrm token create` has printed: yrm_…")
    };
    let about = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if about.len() > MAX_TOKEN_FILE_BYTES {
        return Err(wrong("it is too long for a token".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut words = text.split_whitespace();
    words.find_map(TokenText::read).ok_or_else(|| wrong("there is no token in it".to_owned()))
}

fn for_people(config: &ClientConfig) -> String {
    let mut lines = Vec::new();
    for ClientFile { path, mode, text } in &config.files {
        lines.push(format!("# {path} (mode {mode})\n{text}\n"));
    }
    if !config.commands.is_empty() {
        lines.push("# then\n".to_owned());
        lines.extend(config.commands.iter().map(|command| format!("{command}\n")));
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_called_by_its_address() {
        for (url, name) in [
            ("https://my-bucket.s3.eu-west-1.amazonaws.com/repo/el9", "my-bucket-el9"),
            ("https://packages.example.org/repo", "packages"),
            ("http://127.0.0.1:8735/my-bucket/repo", "my-bucket"),
            ("http://127.0.0.1:5000/repo", "yrm"),
        ] {
            assert_eq!(name_of(url), name, "{url}");
        }
    }

    #[test]
    fn an_address_holds_no_password_and_no_line() {
        for bad in ["", "ftp://x/repo", "https://me:secret@x/repo", "https://x/re po", "https://x/repo\n[evil]", "repo"]
        {
            let error = address_of(bad).unwrap_err();
            assert!(!error.chain().contains("secret"), "{}", error.chain());
        }
        assert_eq!(address_of("https://x/repo/").unwrap(), "https://x/repo");
    }
}
