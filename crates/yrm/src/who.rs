//! Who acts: what stands beside every change in the history.
//!
//! `YRM_ACTOR` wins. Else a CI job is named by its address; else AWS is asked whose credentials these are, where the
//! bucket is in S3; else it is the user of this machine. Who it is is asked at most once a process, only when there is
//! something to record, and never for long: an unknown name holds nothing up.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::aws::Service;
use crate::aws::named::STS;
use crate::config::S3Config;
use crate::config::settings::ACTOR_VARIABLE;

/// AWS may take so long to say who asks.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a name, at most: it stands in every record.
const MAX_NAME_BYTES: usize = 500;
/// Bytes of a reason, at most.
const MAX_REASON_BYTES: usize = 2_000;

/// Whoever acts. Cheap to clone; clones ask once together.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// What is known without asking.
    said: Option<String>,
    /// `user@host`.
    here: Option<String>,
    /// Whose credentials to ask for.
    bucket: Option<Arc<S3Config>>,
    /// Whether S3 is another's than AWS, so that AWS does not know its users.
    is_elsewhere: bool,
    known: Arc<OnceCell<Option<String>>>,
    /// Why it is done.
    reason: Option<String>,
}

impl Who {
    /// By this environment, on this machine.
    pub fn of(environment: &[(String, String)]) -> Self {
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| known == name);
            found.map(|(_, text)| text.trim()).filter(|text| !text.is_empty())
        };
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(variable);
        let user = user.map_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()), str::to_owned);
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.as_deref().map(str::trim).or_else(|| variable("HOSTNAME")).unwrap_or("localhost").to_owned();
        Self {
            said: variable(ACTOR_VARIABLE).map(str::to_owned).or_else(|| job(&variable)).map(|name| plain(&name)),
            here: Some(plain(&format!("{user}@{host}"))),
            is_elsewhere: variable("AWS_ENDPOINT_URL_S3").is_some() && variable("AWS_ENDPOINT_URL_STS").is_none(),
            ..Self::default()
        }
    }

    /// Somebody whose name is known.
    pub fn named(name: &str) -> Self {
        Self { said: Some(plain(name)), ..Self::default() }
    }

    /// The same, who is known to AWS by these credentials unless named otherwise.
    #[must_use]
    pub fn with_credentials(self, bucket: &S3Config) -> Self {
        Self { bucket: Some(Arc::new(bucket.clone())), ..self }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn because(self, reason: Option<&str>) -> Self {
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        Self { reason: reason.map(|reason| cut(reason.to_owned(), MAX_REASON_BYTES)), ..self }
    }

    /// Why it is done, if that was said.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Who it is, if anybody knows.
    pub async fn name(&self) -> Option<&str> {
        if let Some(said) = &self.said {
            return Some(said);
        }
        let found = self.known.get_or_init(async || match self.bucket.as_deref().filter(|_| !self.is_elsewhere) {
            Some(bucket) => of_credentials(bucket).await.or_else(|| self.here.clone()),
            None => self.here.clone(),
        });
        found.await.as_deref()
    }
}

/// The ARN that AWS knows the bucket's credentials by. That it cannot be learnt is no error.
async fn of_credentials(bucket: &S3Config) -> Option<String> {
    let asking = async {
        let service = Service::with_the_bucket(&STS, bucket, None).await.ok()?.once().patient(PATIENCE);
        match service.query("GetCallerIdentity", &[]).await {
            Ok(answer) => arn_in(&answer),
            Err(refusal) => {
                tracing::debug!("AWS does not say whose credentials these are: {refusal}");
                None
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
}

/// The ARN of an answer to `GetCallerIdentity`.
fn arn_in(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once("<Arn>")?;
    let (arn, _) = rest.split_once("</Arn>")?;
    arn.starts_with("arn:").then(|| plain(arn))
}

/// The CI job that these variables tell of: its address, and who started it where that is said.
fn job<'v>(variable: &impl Fn(&str) -> Option<&'v str>) -> Option<String> {
    let is = |name: &str| variable(name).is_some_and(|text| text == "true");
    let (address, person) = if is("GITHUB_ACTIONS") {
        let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
        let address = format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?);
        (address, variable("GITHUB_TRIGGERING_ACTOR").or_else(|| variable("GITHUB_ACTOR")))
    } else if is("GITLAB_CI") {
        (variable("CI_JOB_URL")?.to_owned(), variable("GITLAB_USER_LOGIN"))
    } else if variable("JENKINS_URL").is_some() {
        let person = ["BUILD_USER_ID", "CHANGE_AUTHOR"].into_iter().find_map(variable);
        (variable("BUILD_URL")?.to_owned(), person)
    } else {
        return None;
    };
    Some(match person {
        Some(person) => format!("{address} ({person})"),
        None => address,
    })
}

/// On one line, and not too long.
fn plain(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(name, MAX_NAME_BYTES)
}

fn cut(mut text: String, most_bytes: usize) -> String {
    if text.len() > most_bytes {
        text.truncate(text.floor_char_boundary(most_bytes - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(variables: &[(&str, &str)]) -> Who {
        let owned = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Who::of(&owned.collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_person_a_job_and_a_user_are_told_by_the_environment() {
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "example/tool"),
            ("GITHUB_RUN_ID", "17"),
        ];
        let address = "https://github.com/example/tool/actions/runs/17";
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&github, address),
            (&[&github[..], &[("GITHUB_ACTOR", "ada")]].concat(), &format!("{address} (ada)")),
            (&[&github[..], &[("YRM_ACTOR", "release team")]].concat(), "release team"),
            (
                &[("GITLAB_CI", "true"), ("CI_JOB_URL", "https://gitlab.com/a/-/jobs/1"), ("GITLAB_USER_LOGIN", "ada")],
                "https://gitlab.com/a/-/jobs/1 (ada)",
            ),
            (
                &[("JENKINS_URL", "https://ci/"), ("BUILD_URL", "https://ci/job/a/1/"), ("BUILD_USER_ID", "ada")],
                "https://ci/job/a/1/ (ada)",
            ),
            (&[("YRM_ACTOR", "a\u{1b}[2J\nb")], "a [2J b"),
        ];
        for (variables, name) in cases {
            assert_eq!(who(variables).name().await, Some(name));
        }
        for (variables, user) in
            [(&[("USER", "ada")][..], "ada@"), (&[("USER", "root"), ("SUDO_USER", "ada")], "ada@"), (&[], "uid")]
        {
            let who = who(variables);
            let name = who.name().await.unwrap();
            assert!(name.starts_with(user) && name.contains('@') && !name.ends_with('@'), "{name}");
        }
        assert_eq!(Who::default().name().await, None);
    }

    #[test]
    fn a_reason_is_trimmed_and_bounded() {
        let reason = |text: &str| Who::default().because(Some(text)).reason().map(str::to_owned);
        assert_eq!(reason(" CVE-2026-1 ").as_deref(), Some("CVE-2026-1"));
        assert_eq!(reason("  "), None);
        assert!(reason(&"ä".repeat(10_000)).unwrap().len() <= MAX_REASON_BYTES);
    }

    #[test]
    fn the_arn_is_found_in_the_answer() {
        let answer = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/ci/x</Arn>";
        assert_eq!(arn_in(answer).as_deref(), Some("arn:aws:sts::1:assumed-role/ci/x"));
        for none in ["", "<Arn></Arn>", "<Arn>arn:aws", "<html>"] {
            assert_eq!(arn_in(none), None, "{none}");
        }
    }
}
