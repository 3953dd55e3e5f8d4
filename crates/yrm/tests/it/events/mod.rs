//! Events wake the service: over a queue in memory that behaves badly, and over SQS's protocol.

mod campaign;
mod memory;
#[cfg(feature = "aws")]
mod wire;
