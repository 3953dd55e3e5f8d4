//! The loopback signer: `http://127.0.0.1:8735/BUCKET/KEY` is answered with a redirect to a presigned address of S3,
//! made with the machine's own credentials. So dnf, yum and zypper install from a private bucket as they are.
//!
//! It passes nothing on and keeps nothing: what is read goes from S3 to the client, with the client's own `Range` and
//! conditions. A presigned address stands in one place only, the answer's `Location`.

mod answer;
mod bucket;
mod chain;
mod check;
pub mod cli;
mod complaint;
mod diagnosis;
mod endpoint;
mod environment;
mod host;
mod keeper;
mod key;
mod log;
mod outgoing;
mod presign;
mod regions;
mod repo_file;
mod serve;
mod signer;
mod sockets;
