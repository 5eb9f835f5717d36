//! What a live repository has: its tags, and the digest of each.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_oci::client::Client;
use perijove_oci::{Digest, Reference};

use crate::Result;

/// HEAD requests at a time.
const ABREAST: usize = 16;

/// The digests of those of `tags` that the repository has.
pub async fn digests(
    client: &Client,
    repo: &Reference,
    tags: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, Digest>> {
    let heads = tags.into_iter().map(|tag| async move {
        let found = client.head(&repo.with_tag(&tag)).await?;
        Ok::<_, crate::Error>(found.map(|descriptor| (tag, descriptor.digest)))
    });
    let found: Vec<_> = stream::iter(heads).buffer_unordered(ABREAST).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
