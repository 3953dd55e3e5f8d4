//! `yrm-client check`: walks the way of a client, step by step, and says what is wrong with the first that fails.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::SystemTime;

use aws_credential_types::Credentials;

use crate::bucket::{Bucket, Region};
use crate::complaint::{Complaint, Result};
use crate::diagnosis::{self, Asked, between};
use crate::keeper::until;
use crate::key::Key;
use crate::log::one_line;
use crate::outgoing::Answer;
use crate::presign::{Unsigned, headers};
use crate::signer::Signer;

/// What was found, line by line.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) text: String,
    pub(crate) is_wrong: bool,
}

impl Findings {
    fn good(&mut self, what: &str) {
        self.line("ok    ", what);
    }

    fn unknown(&mut self, what: &str) {
        self.line("?     ", what);
    }

    fn wrong(&mut self, whom: &str, complaint: &Complaint) {
        self.is_wrong = true;
        self.line("WRONG ", &format!("{whom}: {}", complaint.what()));
        if let Some(advice) = complaint.advice() {
            self.line("      ", &format!("hint: {advice}"));
        }
    }

    fn line(&mut self, mark: &str, text: &str) {
        writeln!(self.text, "{mark}{}", one_line(text)).expect("a string takes whatever is written to it");
    }
}

/// Checks the machine's credentials, each bucket, and whether the service answers.
pub(crate) async fn check(signer: &Signer, folder: &str, service: SocketAddr) -> Findings {
    let mut findings = Findings::default();
    match signer.credentials().await {
        Ok(credentials) => {
            findings.good(&format!("credentials: {}", described(&credentials)));
            match identity(signer, &credentials).await {
                Ok(who) => findings.good(&format!("identity: {who}")),
                Err(complaint) => findings.unknown(&format!("identity: {complaint}")),
            }
            for bucket in signer.buckets() {
                match try_bucket(signer, bucket, folder, &mut findings).await {
                    Ok(read) => findings.good(&format!("{bucket}: {read}")),
                    Err(complaint) => findings.wrong(&bucket.to_string(), &complaint),
                }
            }
        }
        Err(complaint) => findings.wrong("credentials", &complaint),
    }
    match ask_service(signer, service).await {
        Ok(says) => findings.good(&format!("service: {says}")),
        Err(complaint) => findings.unknown(&format!("service: {complaint}")),
    }
    findings
}

/// Which credentials these are; never the secret ones.
fn described(credentials: &Credentials) -> String {
    // The SDK tells where they are from in this one way only.
    let debug = format!("{credentials:?}");
    let from = between(&debug, "provider_name: \"", "\"").map_or_else(String::new, |from| format!(" from {from}"));
    let until = credentials.expiry().map_or_else(|| "that does not expire".to_owned(), until);
    format!("access key {}{from}, {until}", credentials.access_key_id())
}

/// As whom AWS sees this machine.
async fn identity(signer: &Signer, credentials: &Credentials) -> Result<String> {
    let surroundings = signer.chain().surroundings().await?;
    let Some(tokens) = surroundings.tokens else {
        return Err(Complaint::new("this store cannot say who is asking"));
    };
    let region = surroundings.region.unwrap_or_else(Region::usual);
    let question = format!("{tokens}?Action=GetCallerIdentity&Version=2011-06-15");
    let unsigned = Unsigned { method: "GET", address: &question, service: "sts", region: &region };
    let signature = headers(unsigned, credentials, SystemTime::now())?;
    let answer = signer.chain().outgoing().await?.ask("GET", &question, &signature).await?;
    if let Some(clock) = diagnosis::clock(diagnosis::clock_off(&answer, SystemTime::now())) {
        return Err(clock);
    }
    between(&answer.body, "<Arn>", "</Arn>").map(str::to_owned).ok_or_else(|| {
        let code = between(&answer.body, "<Code>", "</Code>").unwrap_or_default();
        Complaint::new(format!("STS does not say who is asking (it answered {} {code})", answer.status))
    })
}

async fn try_bucket(signer: &Signer, bucket: &Bucket, folder: &str, findings: &mut Findings) -> Result<String> {
    let folder = bucket.folder(folder);
    let joint = if folder.is_empty() { "" } else { "/" };
    let key = Key::new(&format!("{folder}{joint}repodata/repomd.xml")).map_err(Complaint::new)?;
    let (_, region) = signer.place(bucket).await?;
    let head = ask(signer, "HEAD", bucket, &key).await?;
    if let Some(clock) = diagnosis::clock(diagnosis::clock_off(&head, SystemTime::now())) {
        findings.wrong("clock", &clock);
    }
    // An answer to HEAD has no body, and the body says why.
    let answer = if head.status == 200 { head } else { ask(signer, "GET", bucket, &key).await? };
    let asked = Asked { bucket: &bucket.name, region: &region, key: key.as_str(), now: SystemTime::now() };
    diagnosis::of(&answer, &asked)
}

async fn ask(signer: &Signer, method: &str, bucket: &Bucket, key: &Key) -> Result<Answer> {
    let address = signer.signed(method, bucket, key).await?;
    let some = [("range", "bytes=0-1023".to_owned())];
    signer.chain().outgoing().await?.ask(method, &address, if method == "GET" { &some } else { &[] }).await
}

/// Whether something listens where clients ask, and whether it is this program.
async fn ask_service(signer: &Signer, service: SocketAddr) -> Result<String> {
    let answer = signer.chain().outgoing().await?.ask("GET", &format!("http://{service}/"), &[]).await;
    match answer {
        Ok(answer) if answer.body.starts_with("yrm-client ") => Ok(answer.body),
        Ok(_) => Err(Complaint::new(format!("something else than yrm-client answers at {service}"))),
        Err(_) => Err(Complaint::new(format!("nothing answers at {service}"))
            .hint("start it: systemctl enable --now yrm-client.socket")),
    }
}
