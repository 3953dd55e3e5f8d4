//! AWS as far as the tests' server plays it, driven by the `aws` command line as people do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::SdkError;
use serde_json::Value;

use super::{deploy, said, succeed, venv};
use crate::s3_server::S3Server;
use crate::web::web;

/// A server of its own: whether callers are held to their policies holds for all of it.
pub(super) struct Cloud(S3Server);

/// Who calls.
#[derive(Clone)]
pub(super) struct Caller {
    key: String,
    secret: String,
    token: String,
}

impl Cloud {
    pub(super) fn start() -> Self {
        Self(S3Server::start())
    }

    pub(super) fn endpoint(&self) -> &str {
        self.0.endpoint()
    }

    /// Whoever may do everything, as long as callers are not held to their policies.
    pub(super) fn root() -> Caller {
        Caller { key: "test".to_owned(), secret: "test".to_owned(), token: String::new() }
    }

    /// A program that calls AWS as `caller`, with nothing else of this machine's environment.
    pub(super) fn command(&self, caller: &Caller, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.0.environment()).env("PATH", path());
        command.envs([("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")]);
        command.env("AWS_ACCESS_KEY_ID", &caller.key).env("AWS_SECRET_ACCESS_KEY", &caller.secret);
        if !caller.token.is_empty() {
            command.env("AWS_SESSION_TOKEN", &caller.token);
        }
        command
    }

    pub(super) fn aws(&self, caller: &Caller, arguments: &[&str]) -> Command {
        let mut command = self.command(caller, &venv("aws"));
        command.args(["--output", "json"]).args(arguments);
        command
    }

    /// What it answers.
    pub(super) fn json(&self, caller: &Caller, arguments: &[&str]) -> Value {
        let Output { stdout, .. } = succeed(&mut self.aws(caller, arguments));
        serde_json::from_slice(&stdout).unwrap_or(Value::Null)
    }

    /// Whether it is refused; any other failure is a failure of the test.
    pub(super) fn is_refused(&self, caller: &Caller, arguments: &[&str]) -> bool {
        let output = self.aws(caller, arguments).output().unwrap();
        let text = said(&output);
        let is_denial = ["AccessDenied", "Forbidden", "(403)"].iter().any(|denial| text.contains(denial));
        assert!(output.status.success() || is_denial, "{arguments:?}: {text}");
        !output.status.success()
    }

    /// A client of the buckets, for many calls.
    pub(super) fn s3(&self, caller: &Caller) -> Client {
        let Caller { key, secret, token } = caller;
        let credentials = Credentials::new(key, secret, Some(token.clone()), None, "tests");
        Client::from_conf(self.0.client_config().credentials_provider(credentials).build())
    }

    /// Makes the stack, and answers its outputs.
    pub(super) fn create_stack(&self, name: &str, parameters: &[(&str, &str)]) -> BTreeMap<String, String> {
        self.create_stack_of("yum-repo-manager", name, parameters)
    }

    /// Makes a stack of one of the templates, and answers its outputs.
    pub(super) fn create_stack_of(
        &self,
        template: &str,
        name: &str,
        parameters: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let template = format!("file://{}", deploy(&format!("cloudformation/{template}.yaml")).display());
        let mut arguments = vec!["cloudformation", "create-stack", "--stack-name", name, "--template-body", &template];
        arguments.extend(["--capabilities", "CAPABILITY_IAM", "--parameters"]);
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("ParameterKey={name},ParameterValue={}", escaped(value)))
            .collect();
        arguments.extend(parameters.iter().map(String::as_str));
        self.json(&Self::root(), &arguments);
        let stack =
            &self.json(&Self::root(), &["cloudformation", "describe-stacks", "--stack-name", name])["Stacks"][0];
        assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
        let outputs = stack["Outputs"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        outputs.map(|output| (text(&output["OutputKey"]), text(&output["OutputValue"]))).collect()
    }

    /// A session of a role.
    pub(super) fn assume(&self, role: &str) -> Caller {
        let arguments = ["sts", "assume-role", "--role-arn", role, "--role-session-name", "test"];
        let credentials = &self.json(&Self::root(), &arguments)["Credentials"];
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        Caller { key: text("AccessKeyId"), secret: text("SecretAccessKey"), token: text("SessionToken") }
    }

    /// From now on callers may do what their policies allow; or everything.
    pub(super) async fn hold_to_policies(&self, held: bool) {
        let url = format!("{}/moto-api/reset-auth", self.endpoint());
        let calls_before = if held { "0" } else { "inf" };
        web().post(url).body(calls_before).send().await.unwrap().error_for_status().unwrap();
    }
}

/// A comma in a value is not the end of it.
fn escaped(value: &str) -> String {
    value.replace(',', "\\,")
}

/// With the tests' `aws` first.
fn path() -> String {
    let venv: PathBuf = venv("aws").parent().unwrap().to_owned();
    format!("{}:{}", venv.display(), std::env::var("PATH").unwrap())
}

/// Whether a call was allowed; any other failure than a refusal is a failure of the test.
pub(super) fn is_allowed<T, E: std::fmt::Debug>(answer: Result<T, SdkError<E>>) -> bool {
    match answer {
        Ok(_) => true,
        Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 403 => false,
        Err(error) => panic!("{error:?}"),
    }
}
