//! In which region a bucket is: S3 says so to anybody who asks for it, in any region of its partition.

use crate::bucket::{BucketName, Region};
use crate::complaint::Result;
use crate::endpoint::Store;
use crate::outgoing::Outgoing;

/// What S3 says, asked without a signature in a region nearby. None where it does not say: there is no such bucket, or it
/// is no store of AWS's.
pub(crate) async fn ask(
    outgoing: &Outgoing,
    store: &Store,
    bucket: &BucketName,
    nearby: &Region,
) -> Result<Option<Region>> {
    let address = format!("{}/", store.address(bucket, nearby));
    let answer = outgoing.ask("HEAD", &address, &[]).await?;
    Ok(answer.header("x-amz-bucket-region").and_then(|region| region.parse().ok()))
}
