//! As systemd runs it: the socket that is handed over, the end, and what the unit may do.

use std::net::TcpListener;
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::machine::{Machine, Service, said, succeed, workspace};
use crate::requests::get;

const FIXED: [&str; 2] = ["--bucket", "s3://my-bucket?region=eu-west-1"];
/// systemd's own figure, 0 to 10; it is what a service could do to the machine.
const MAX_EXPOSURE: f64 = 1.5;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// It ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The service, with a socket that `systemd-socket-activate` opened.
fn activated(address: &str) -> Command {
    let service = Machine::with_keys().client(&["serve", "--listen", "127.0.0.1:1"]);
    let mut command = Command::new("systemd-socket-activate");
    command.env_clear().arg("--listen").arg(address);
    for (name, value) in service.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.arg("--setenv").arg(format!("{}={}", name.to_str().unwrap(), value.to_str().unwrap()));
    }
    command.arg(service.get_program()).args(service.get_args()).args(FIXED);
    command
}

#[test]
fn a_socket_of_systemd_goes_before_an_address() {
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = activated(&address);
    let log = TempDir::new().unwrap();
    let log = log.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut child = Ended(command.stderr(file).spawn().unwrap());
    // It starts the service at the first connection.
    let reply = loop {
        match std::net::TcpStream::connect(&address) {
            Ok(_) => break get_at(&address),
            Err(_) => assert!(child.0.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(&log).unwrap()),
        }
    };
    drop(child);
    assert!(reply.contains("302"), "{reply}");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains(&format!("listening on {address}, signing for s3://my-bucket")), "{log}");
}

fn get_at(address: &str) -> String {
    let url = format!("http://{address}/my-bucket/a");
    let arguments = ["--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}", &url];
    said(&succeed(Command::new("curl").args(arguments)))
}

#[test]
fn a_stop_ends_well_and_so_does_silence() {
    let machine = Machine::with_keys();
    let mut service = machine.serve(&FIXED);
    assert_eq!(get(&service, "/my-bucket/a").status, 302);
    let (status, log) = service.stop();
    assert!(status.success() && !log.contains("cut off"), "{status}: {log}");

    // Somebody has a connection open and says nothing: that does not hold it up for ever.
    let mut service = machine.serve(&FIXED);
    let idle = std::net::TcpStream::connect(&service.address).unwrap();
    let (status, log) = service.stop();
    assert!(status.success() && log.contains("stopping\n"), "{status}: {log}");
    drop(idle);

    let mut service = machine.serve(&[&FIXED[..], &["--idle-exit", "1s"]].concat());
    assert_eq!(get(&service, "/my-bucket/a").status, 302);
    let (status, log) = service.end();
    assert!(status.success() && log.contains("nobody asked for a while"), "{status}: {log}");
}

#[test]
fn the_journal_learns_how_important_a_line_is() {
    let machine = Machine::with_keys().knows([("JOURNAL_STREAM", "8:1234")]);
    let mut service: Service = machine.serve(&FIXED);
    let (_, log) = service.stop();
    assert!(log.starts_with("<6>listening on "), "{log}");
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(workspace().join("deploy/systemd").join(name)).unwrap()
}

#[test]
fn the_service_is_hardened() {
    let directory = TempDir::new().unwrap();
    let copy = directory.path().join("yrm-client.service");
    std::fs::write(&copy, unit("yrm-client.service")).unwrap();
    let mut analyze = Command::new("systemd-analyze");
    let text = said(&analyze.args(["security", "--offline=true"]).arg(&copy).output().unwrap());
    let figure = text.split("Overall exposure level for").nth(1).and_then(|rest| rest.split_whitespace().nth(1));
    let exposure: f64 = figure.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    assert!(exposure <= MAX_EXPOSURE, "{exposure}\n{text}");
}

#[test]
fn systemd_understands_every_line_and_only_this_machine_is_answered() {
    let directory = TempDir::new().unwrap();
    for name in ["yrm-client.service", "yrm-client.socket"] {
        std::fs::write(directory.path().join(name), unit(name).replace("=/usr/bin/", "=/bin/true ")).unwrap();
    }
    for name in ["yrm-client.service", "yrm-client.socket"] {
        let mut analyze = Command::new("systemd-analyze");
        let output = analyze.args(["verify", "--man=no"]).arg(directory.path().join(name)).output().unwrap();
        let ours: Vec<String> = said(&output).lines().filter(|line| line.contains("yrm")).map(str::to_owned).collect();
        assert_eq!(ours, Vec::<String>::new());
    }
    let socket = unit("yrm-client.socket");
    let listens: Vec<&str> = socket.lines().filter(|line| line.starts_with("Listen")).collect();
    assert_eq!(listens, ["ListenStream=127.0.0.1:8735"]);
    let service = unit("yrm-client.service");
    // The file is root's, and the service's user may not read it.
    assert!(service.contains("\nEnvironmentFile=-/etc/yrm-client.conf\nEnvironment=YRM_CLIENT_CONFIG=/dev/null\n"));
    // What its command line says, the program understands.
    let started = service.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/yrm-client ")).unwrap();
    let mut words: Vec<&str> = started.split_whitespace().collect();
    words.extend(["--listen", "192.0.2.1:0", "-b", "s3://my-bucket"]);
    let output = Machine::new().client(&words).output().unwrap();
    assert!(said(&output).contains("is no loopback address"), "{}", said(&output));
}
