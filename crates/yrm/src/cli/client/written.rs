//! The files of clients, as their programs read them. Pure.

use clap::ValueEnum;
use serde::Serialize;

use crate::bucket::tokens::TokenText;

/// Files that everybody may read, and those with a password.
const OPEN: &str = "0644";
const CLOSED: &str = "0600";
/// What the user name is, where the password says everything.
const USER: &str = "token";

/// Programs and systems that install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Tool {
    /// dnf 4 and 5
    Dnf,
    /// microdnf
    Microdnf,
    /// yum 3
    Yum,
    /// zypper
    Zypper,
    /// rpm-ostree
    RpmOstree,
    /// An Ansible task
    Ansible,
    /// cloud-init's user data
    CloudInit,
    /// Lines of a Dockerfile
    Dockerfile,
}

/// Files and commands of a client.
#[derive(Debug, Serialize)]
pub(super) struct ClientConfig {
    /// Files to be written.
    pub(super) files: Vec<ClientFile>,
    /// Commands that try it.
    pub(super) commands: Vec<String>,
}

/// A file of a client's.
#[derive(Debug, Serialize)]
pub(super) struct ClientFile {
    /// Its path.
    pub(super) path: String,
    /// Its mode: whoever may not read it is kept from the password in it.
    pub(super) mode: String,
    /// What stands in it.
    pub(super) text: String,
}

/// A repository as a client reads it.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) gpgkey: Option<String>,
    pub(super) signed_packages: bool,
    pub(super) secret: Option<Secret>,
}

/// A password.
#[derive(Debug)]
pub(super) struct Secret(TokenText);

impl Secret {
    pub(super) fn of(token: &TokenText) -> Self {
        Self(token.clone())
    }

    fn text(&self) -> &str {
        self.0.expose()
    }
}

/// What a tool needs.
pub(super) fn written(tool: Tool, reader: &Reader) -> ClientConfig {
    let Reader { name, .. } = reader;
    match tool {
        Tool::Dnf => yum(reader, &format!("dnf --refresh --repo={name} list --available")),
        Tool::Microdnf => yum(reader, &format!("microdnf --refresh repoquery --repo={name}")),
        Tool::Yum => yum(reader, &format!("yum --disablerepo='*' --enablerepo={name} list available")),
        Tool::RpmOstree => yum(reader, "rpm-ostree refresh-md --force"),
        Tool::Zypper => zypper(reader),
        Tool::Ansible => ansible(reader),
        Tool::CloudInit => cloud_init(reader),
        Tool::Dockerfile => dockerfile(reader),
    }
}

/// Lines that all programs understand, as names and values.
fn lines(reader: &Reader) -> Vec<(&'static str, String)> {
    let switch = |on: bool| if on { "1" } else { "0" }.to_owned();
    let mut lines = vec![
        ("name", reader.name.clone()),
        ("baseurl", reader.url.clone()),
        ("enabled", switch(true)),
        ("gpgcheck", switch(reader.signed_packages)),
        ("repo_gpgcheck", switch(reader.gpgkey.is_some())),
    ];
    lines.extend(reader.gpgkey.clone().map(|key| ("gpgkey", key)));
    lines
}

fn section(name: &str, lines: &[(&str, String)]) -> String {
    let lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    format!("[{name}]\n{}", lines.concat())
}

fn yum(reader: &Reader, command: &str) -> ClientConfig {
    let mut lines = lines(reader);
    if let Some(secret) = &reader.secret {
        lines.push(("username", USER.to_owned()));
        lines.push(("password", secret.text().to_owned()));
    }
    let mode = if reader.secret.is_some() { CLOSED } else { OPEN }.to_owned();
    let text = section(&reader.name, &lines);
    let path = format!("/etc/yum.repos.d/{}.repo", reader.name);
    ClientConfig { files: vec![ClientFile { path, mode, text }], commands: vec![command.to_owned()] }
}

/// zypper keeps passwords in a file of their own.
fn zypper(reader: &Reader) -> ClientConfig {
    let mut lines = lines(reader);
    lines.push(("autorefresh", "1".to_owned()));
    let mut files = Vec::new();
    if let Some(secret) = &reader.secret {
        let with = format!("{}?credentials={}", reader.url, reader.name);
        lines.iter_mut().filter(|(name, _)| *name == "baseurl").for_each(|(_, value)| value.clone_from(&with));
        let text = format!("username={USER}\npassword={}\n", secret.text());
        files.push(ClientFile {
            path: format!("/etc/zypp/credentials.d/{}", reader.name),
            mode: CLOSED.to_owned(),
            text,
        });
    }
    let text = section(&reader.name, &lines);
    files
        .insert(0, ClientFile { path: format!("/etc/zypp/repos.d/{}.repo", reader.name), mode: OPEN.to_owned(), text });
    let import = reader.gpgkey.iter().map(|key| format!("rpm --import {key}"));
    let commands = import.chain([format!("zypper refresh {}", reader.name)]).collect();
    ClientConfig { files, commands }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn ansible(reader: &Reader) -> ClientConfig {
    let text = format!(
        "- name: Repository {0}\n  ansible.builtin.yum_repository:\n    name: {1}\n    description: {1}\n    baseurl: {2}\n",
        reader.name,
        quoted(&reader.name),
        quoted(&reader.url)
    );
    let is_signed = reader.gpgkey.is_some();
    let checked = format!("    gpgcheck: {}\n    repo_gpgcheck: {is_signed}\n", reader.signed_packages);
    let mut text = text + &checked;
    text.extend(reader.gpgkey.iter().map(|key| format!("    gpgkey: {}\n", quoted(key))));
    // The token belongs into a vault, not into a task.
    let secret = format!(
        "    username: {USER}\n    password: \"{{{{ yrm_token }}}}\"\n    mode: \"{CLOSED}\"\n  no_log: true\n"
    );
    text.extend(reader.secret.iter().map(|_| secret.as_str()));
    let commands = match &reader.secret {
        Some(_) => vec!["ansible-vault encrypt_string --stdin-name yrm_token < TOKEN-FILE".to_owned()],
        None => Vec::new(),
    };
    ClientConfig {
        files: vec![ClientFile { path: "tasks/main.yml".to_owned(), mode: OPEN.to_owned(), text }],
        commands,
    }
}

fn cloud_init(reader: &Reader) -> ClientConfig {
    let mut all = lines(reader);
    if let Some(secret) = &reader.secret {
        all.push(("username", USER.to_owned()));
        all.push(("password", secret.text().to_owned()));
    }
    let lines: Vec<String> = all.iter().map(|(name, value)| format!("    {name}: {}\n", quoted(value))).collect();
    let text = format!("#cloud-config\nyum_repos:\n  {}:\n{}", reader.name, lines.concat());
    let mode = if reader.secret.is_some() { CLOSED } else { OPEN }.to_owned();
    ClientConfig { files: vec![ClientFile { path: "user-data".to_owned(), mode, text }], commands: Vec::new() }
}

/// The token comes by a secret of the build, and stays in no layer.
fn dockerfile(reader: &Reader) -> ClientConfig {
    let path = format!("/etc/yum.repos.d/{}.repo", reader.name);
    let text = section(&reader.name, &lines(reader));
    let escaped: Vec<&str> = text.lines().collect();
    let printf = format!(
        "printf '%s\\n' {} > {path}",
        escaped.iter().map(|line| format!("'{line}'")).collect::<Vec<_>>().join(" ")
    );
    let (text, commands) = match &reader.secret {
        None => {
            (format!("RUN {printf} && dnf -y install PACKAGE && dnf clean all\n"), vec!["docker build .".to_owned()])
        }
        Some(_) => (
            format!(
                "# syntax=docker/dockerfile:1\nRUN {printf}\nRUN --mount=type=secret,id=yrm \\\n    \
                 dnf -y --setopt={0}.username={USER} --setopt={0}.password=\"$(cat /run/secrets/yrm)\" install PACKAGE && dnf clean all\n",
                reader.name
            ),
            vec!["docker build --secret id=yrm,src=TOKEN-FILE .".to_owned()],
        ),
    };
    ClientConfig { files: vec![ClientFile { path: "Dockerfile".to_owned(), mode: OPEN.to_owned(), text }], commands }
}
