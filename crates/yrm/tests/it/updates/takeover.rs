//! A release that works takes over, and nobody notices.

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{ARCH, Machine, digest, program_of, script};
use crate::s3_server::server;
use crate::service::Serve;

/// systemd's end of the socket. It listens all the time, as systemd does: whoever tells waits for room.
struct Systemd(Receiver<String>);

impl Systemd {
    fn at(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while let Ok(length) = socket.recv(&mut bytes) {
                let text = std::str::from_utf8(&bytes[..length]).unwrap().trim();
                if text != "WATCHDOG=1" && said.send(text.lines().next().unwrap().to_owned()).is_err() {
                    break;
                }
            }
        });
        Self(heard)
    }

    /// The next thing it is told, the watchdog's beats aside.
    fn hears(&self) -> String {
        self.0.recv_timeout(Duration::from_mins(1)).unwrap()
    }
}

/// Connects again and again until told to end; answers how often, and what failed.
fn keep_connecting(address: String, end: Arc<AtomicBool>) -> std::thread::JoinHandle<(usize, Vec<String>)> {
    std::thread::spawn(move || {
        let (mut connected, mut failed) = (0, Vec::new());
        while !end.load(Ordering::Relaxed) {
            match TcpStream::connect(&address) {
                Ok(_) => connected += 1,
                Err(error) => failed.push(error.to_string()),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        (connected, failed)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_release_takes_over_with_the_pid_the_port_and_what_is_in_the_inbox() {
    let machine = Machine::new().await;
    let key = machine.release_key("release.pem");
    let systemd = Systemd::at(&machine.file("notify"));
    let mut command = machine.command(&["--release-key", &key]);
    let mut serve = Serve::spawn(command.env("NOTIFY_SOCKET", machine.file("notify")).env("WATCHDOG_USEC", "2000000"));
    let (pid, address) = (serve.pid(), serve.address().to_owned());
    machine.publishes(&mut serve, "before").await;
    assert_eq!(systemd.hears(), "READY=1");

    let end = Arc::new(AtomicBool::new(false));
    let clients = keep_connecting(address.clone(), Arc::clone(&end));
    let next = machine.another_build();
    let objects = machine.release(&next, Some("release.pem"));
    for number in 0..10 {
        let package = forge::Rpm::new(format!("during-{number}"), "1", "1", "noarch").build();
        machine.put(&format!("inbox/during-{number}.rpm"), package).await;
        if number == 3 {
            machine.upload(objects.clone()).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(serve.logged("going over to the new release")["release"], digest(&next));
    assert_eq!(systemd.hears(), "RELOADING=1");
    assert_eq!(serve.logged("serving")["listen"], address);
    assert_eq!(systemd.hears(), "READY=1");
    serve.logged("this release works");
    assert_eq!((serve.pid(), program_of(pid)), (pid, machine.place().join(format!("yrm-{}", digest(&next)))));
    assert_eq!(machine.kept(), [format!("yrm-{}", digest(&next))], "no mark is left");
    machine.publishes(&mut serve, "after").await;
    assert_eq!(serve.get("/readyz").await.0, 200);
    end.store(true, Ordering::Relaxed);
    let (connected, failed) = clients.join().unwrap();
    assert!(connected > 100 && failed.is_empty(), "{connected} connected, and {failed:?}");

    let published = machine.publications().await;
    assert_eq!(published.len(), 12, "{published:?}");
    assert!(published.values().all(|times| *times == 1), "{published:?}");
    assert_eq!(serve.terminate().0, Some(0));
    assert_eq!(systemd.hears(), "STOPPING=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_known_costs_one_head_a_look_and_an_idle_run_one_list() {
    let machine = Machine::new().await;
    machine.upload(machine.release(&std::fs::read(machine.file("yrm")).unwrap(), None)).await;
    let mut serve = machine.serve(&[]);
    machine.publishes(&mut serve, "a").await;
    serve.logged("run done");
    serve.logged("run done, nothing new");
    serve.logged("run done, nothing new");
    server().reset_requests(&machine.bucket).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let requests = server().requests(&machine.bucket).await;
    let mut lines: Vec<&str> = requests["log"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    lines.sort_unstable();
    lines.dedup();
    let [head, list] = lines[..] else { panic!("{lines:?}") };
    assert_eq!(head, format!("HEAD /{}/yrm-{ARCH}.sha256", machine.bucket));
    assert!(list.starts_with("LIST "), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_looked_for_at_the_start_and_at_the_buckets_root_whatever_the_prefix() {
    let machine = Machine::new().await;
    let next = machine.another_build();
    machine.upload(machine.release(&next, None)).await;
    let mut command = machine.command(&["--self-update-interval", "1d"]);
    let mut serve = Serve::spawn(command.env("YRM_BUCKET", format!("s3://{}/below/here", machine.bucket)));
    serve.logged("this release works");
    assert_eq!(program_of(serve.pid()), machine.place().join(format!("yrm-{}", digest(&next))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_in_flight_ends_first_and_a_stop_wins_over_a_release() {
    let machine = Machine::new().await;
    let mut serve = machine.serve(&[]);
    machine.publishes(&mut serve, "before").await;
    // The copy of the package takes longer than finding and trying the release.
    server().delay_next(15.0, &format!("COPY /{}/repo/slow", machine.bucket)).await;
    machine.put("inbox/slow.rpm", forge::Rpm::new("slow", "1", "1", "noarch").build()).await;
    let next = machine.another_build();
    machine.upload(machine.release(&next, None)).await;
    serve.logged("a new release is there");
    serve.logged("published: \"slow.rpm\"");
    serve.logged("going over to the new release");
    serve.logged("this release works");

    // Once more, with a stop while the run is in flight. The run is cut after eight seconds at most.
    server().delay_next(30.0, &format!("COPY /{}/repo/slower", machine.bucket)).await;
    machine.put("inbox/slower.rpm", forge::Rpm::new("slower", "1", "1", "noarch").build()).await;
    machine.upload(machine.release(&[&next[..], b"!"].concat(), None)).await;
    serve.logged("a new release is there");
    let (code, took) = serve.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!machine.kept().iter().any(|name| name.starts_with("tried-")), "{:?}", machine.kept());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_the_download_is_heard_at_once_and_leaves_nothing() {
    let machine = Machine::new().await;
    let mut serve = machine.serve(&[]);
    machine.publishes(&mut serve, "before").await;
    server().delay_next(60.0, &format!(r"GET /{}/yrm-{ARCH}(\?|$)", machine.bucket)).await;
    machine.upload(machine.release(&machine.another_build(), None)).await;
    while !machine.kept().iter().any(|name| name.starts_with("draft-")) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (code, took) = serve.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(machine.kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_dies_once_started_is_not_started_again_and_the_next_one_is() {
    let machine = Machine::new().await;
    let (witness, mut serve) = (machine.file("witness"), machine.serve(&[]));
    machine.publishes(&mut serve, "before").await;
    let broken = script(&witness, "echo yrm 9.9.9");
    machine.upload(machine.release(&broken, None)).await;
    serve.logged("going over to the new release");
    assert_eq!(serve.ended(), Some(3));
    let runs = || std::fs::read_to_string(&witness).unwrap();
    assert_eq!(runs(), "--version\nserve\n");

    // systemd starts what is installed.
    let mut serve = machine.serve(&[]);
    let told = serve.logged("no update, and this release goes on");
    let why = format!("no update, and this release goes on: {} was started before", digest(&broken));
    assert!(told["message"].as_str().unwrap().starts_with(&why), "{told}");
    machine.publishes(&mut serve, "after").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((serve.get("/readyz").await.0, runs().as_str()), (200, "--version\nserve\n"));

    let next = machine.another_build();
    machine.upload(machine.release(&next, None)).await;
    serve.logged("this release works");
    assert_eq!(machine.kept(), [format!("tried-{}", digest(&broken)), format!("yrm-{}", digest(&next))]);
    machine.publishes(&mut serve, "last").await;
    // A downgrade is an upload like any other, also to what is installed.
    machine.upload(machine.release(&std::fs::read(machine.file("yrm")).unwrap(), None)).await;
    serve.logged("this release works");
    machine.publishes(&mut serve, "old").await;
}
