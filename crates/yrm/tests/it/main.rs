//! The whole program against real file systems and a real HTTP server.

mod conformance;
mod s3_faults;
mod s3_server;
