//! Between the machine and S3: a company's proxy, and its own certificate authority.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::machine::{Machine, said, succeed};
use crate::repository::{BUCKET, folder};
use crate::requests::get;
use crate::store::Store;

/// A proxy that passes connections on (CONNECT) and remembers where to.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || pass_on(stream, &kept));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn pass_on(mut client: TcpStream, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(request.split(' ').take(2).collect::<Vec<_>>().join(" "));
    let Ok(server) = TcpStream::connect(&target) else { return };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    let mut server = server;
    drop(std::io::copy(&mut server, &mut client));
    drop(client.shutdown(Shutdown::Both));
}

fn openssl(folder: &Path, arguments: &str) {
    succeed(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
}

/// A company's authority, and a certificate of `localhost` that it gave.
fn certificates() -> (TempDir, [PathBuf; 3]) {
    let folder = TempDir::new().unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(folder.path(), &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=company"));
    openssl(
        folder.path(),
        &format!("req {key} -keyout own.key -out own.csr -subj /CN=localhost").replace(" -days 2", ""),
    );
    std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let sign = "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.pem";
    openssl(folder.path(), sign);
    let paths = ["ca.pem", "own.pem", "own.key"].map(|name| folder.path().join(name));
    (folder, paths)
}

#[test]
fn a_proxy_and_an_authority_of_the_company_are_used_and_no_proxy_is_kept_to() {
    let (_kept, [authority, certificate, key]) = certificates();
    let files = folder();
    let tls = ["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let store = Store::with(BUCKET, files.path(), &tls);
    let endpoint = store.endpoint.replace("127.0.0.1", "localhost");
    let proxy = Proxy::start();
    let machine = || Machine::with_keys().knows([("HTTPS_PROXY", proxy.address.as_str()), ("AWS_REGION", "us-east-1")]);
    let bucket = format!("s3://{BUCKET}");
    let flags = ["-b", &bucket, "--endpoint", &endpoint, "--path-style"];
    let check = |machine: &Machine| -> Output { machine.client(&["check"]).args(flags).output().unwrap() };
    let authority = authority.to_str().unwrap();

    let stranger = check(&machine());
    assert_eq!(stranger.status.code(), Some(1), "{}", said(&stranger));
    assert!(said(&stranger).contains("localhost cannot be reached: "), "{}", said(&stranger));
    assert!(said(&stranger).contains("certificate"), "{}", said(&stranger));
    let way = format!("CONNECT {}", endpoint.strip_prefix("https://").unwrap());
    assert!(proxy.asked().contains(&way));

    let known = machine().knows([("AWS_CA_BUNDLE", authority)]);
    let good = check(&known);
    assert!(good.status.success(), "{}", said(&good));
    let asked = proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == way), "{asked:?}");

    let of_the_profile = machine();
    of_the_profile.write(".aws/config", &format!("[default]\nca_bundle = {authority}\n"));
    let of_the_profile = of_the_profile.knows([("NO_PROXY", "localhost")]);
    let good = check(&of_the_profile);
    assert!(good.status.success(), "{}", said(&good));
    assert_eq!(proxy.asked(), Vec::<String>::new());

    let service = known.serve(&flags);
    let reply = get(&service, &format!("/{BUCKET}/repo/repodata/repomd.xml"));
    assert!(reply.location().starts_with(&format!("{endpoint}/{BUCKET}/repo/")), "{reply:?}");

    let nowhere = machine().knows([("AWS_CA_BUNDLE", "/no/such/file.pem")]);
    let service = nowhere.serve(&flags);
    let reply = get(&service, &format!("/{BUCKET}/a"));
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("/no/such/file.pem cannot be used"), "{reply:?}");
}

#[test]
fn the_machines_configuration_says_which_endpoint() {
    let fixed = |machine: &Machine, flags: &[&str]| {
        let service = machine.serve(&[&["-b", "s3://my-bucket?region=us-east-2"][..], flags].concat());
        get(&service, "/my-bucket/a").location().split('?').next().unwrap().to_owned()
    };
    for (name, value, address) in [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1/", "http://127.0.0.1:1/my-bucket/a"),
        ("AWS_ENDPOINT_URL", "https://s3.example.com", "https://my-bucket.s3.example.com/a"),
        ("AWS_USE_FIPS_ENDPOINT", "true", "https://my-bucket.s3-fips.us-east-2.amazonaws.com/a"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true", "https://my-bucket.s3.dualstack.us-east-2.amazonaws.com/a"),
        ("YRM_CLIENT_FIPS", "1", "https://my-bucket.s3-fips.us-east-2.amazonaws.com/a"),
        ("YRM_CLIENT_PATH_STYLE", "true", "https://s3.us-east-2.amazonaws.com/my-bucket/a"),
        ("YRM_CLIENT_PATH_STYLE", "false", "https://my-bucket.s3.us-east-2.amazonaws.com/a"),
    ] {
        assert_eq!(fixed(&Machine::with_keys().knows([(name, value)]), &[]), address, "{name}");
    }
    let machine = Machine::with_keys().knows([("AWS_PROFILE", "store")]);
    machine.write(
        ".aws/config",
        "[profile store]\nservices = here\n[services here]\ns3 =\n  endpoint_url = http://127.0.0.1:2\n",
    );
    assert_eq!(fixed(&machine, &[]), "http://127.0.0.1:2/my-bucket/a");
    assert_eq!(fixed(&machine, &["--endpoint", "http://127.0.0.1:3"]), "http://127.0.0.1:3/my-bucket/a");
}
