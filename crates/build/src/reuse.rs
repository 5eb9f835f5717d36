//! What previous layers give besides themselves: pieces for layers that have to be packed anew, and the lists of
//! their contents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_oci::client::Client;
use perijove_oci::{Descriptor, Digest, Reference};

use crate::blocking;
use crate::layer::contents::MAX_BYTES;
use crate::layer::piece::{Class, PieceInfo};
use crate::layer::plan::{classes, unit_id};
use crate::layer::write::LayerCache;
use crate::layer::{Contents, PartInfo};
use crate::part::Part;
use crate::previous::{Known, Previous};
use crate::{Error, Result};

/// Requests at a time.
const ABREAST: usize = 8;

/// A piece of more bytes than this is not cut out: its package is fetched.
const MAX_PIECE: u64 = 64 << 20;

/// The lists of contents, from the cache or the registry, in the order asked for.
pub async fn lists(
    client: &Client,
    cache: &LayerCache,
    wanted: impl IntoIterator<Item = (Descriptor, Option<Reference>)>,
) -> Result<Vec<Arc<Contents>>> {
    let fetch = |(list, repo): (Descriptor, Option<Reference>)| async move {
        let (from, of) = (cache.clone(), list.clone());
        if let Some(known) = blocking(move || Ok(from.contents(&of))).await? {
            return Ok(Arc::new(known));
        }
        let lost = || Error::Refused {
            reason: format!("the list of contents {} cannot be read", list.digest),
            hint: "build without this previous image, or with an empty cache".to_owned(),
        };
        let bytes = client.blob_bytes(&repo.ok_or_else(lost)?, &list, MAX_BYTES).await?;
        let contents = Contents::decode(&bytes).ok_or_else(lost)?;
        cache.keep_contents(&list, &bytes)?;
        Ok::<_, Error>(Arc::new(contents))
    };
    stream::iter(wanted.into_iter().map(fetch)).buffered(ABREAST).try_collect().await
}

/// Brings those of `parts` into the cache whose pieces lie in previous layers, without their packages.
pub async fn restore(client: &Client, cache: &LayerCache, previous: &Previous, parts: &[Part]) -> Result<()> {
    let lacking: Vec<&Part> = parts.iter().filter(|part| cache.part(part).is_none()).collect();
    let purls: BTreeSet<&str> = lacking.iter().map(|part| part.purl.as_str()).collect();
    let media_type = cache.compression().media_type();
    let useful: Vec<&Known> = previous
        .layers
        .values()
        .filter(|known| known.descriptor.media_type == media_type)
        .filter(|known| known.parts.iter().any(|purl| purls.contains(purl.as_str())))
        .collect();
    let wanted = useful.iter().map(|known| (known.contents.clone(), Some(known.repo.clone())));
    let lists = lists(client, cache, wanted).await?;
    let layers: Vec<(&Known, Arc<Contents>)> = useful.into_iter().zip(lists).collect();
    let plans = lacking.into_iter().filter_map(|part| Some((part, find(part, &layers)?)));
    let work = plans.map(|(part, found)| async move {
        let mut pieces = Vec::new();
        for cut in found.cuts {
            let Some(bytes) = cut.fetch(client).await? else { return Ok(()) };
            pieces.push((cut.class, bytes));
        }
        let (cache, part) = (cache.clone(), part.clone());
        blocking(move || cache.keep(&part, &found.info, &pieces)).await
    });
    stream::iter(work).buffer_unordered(ABREAST).try_collect().await
}

/// What previous layers have of a part: all of it.
struct Found<'a> {
    info: PartInfo,
    cuts: Vec<Cut<'a>>,
}

/// Where a piece lies in a previous layer.
struct Cut<'a> {
    layer: &'a Known,
    class: Class,
    offset: u64,
    piece: PieceInfo,
}

fn find<'a>(part: &Part, layers: &[(&'a Known, Arc<Contents>)]) -> Option<Found<'a>> {
    let mut info = PartInfo { pieces: BTreeMap::new(), owned: Vec::new(), folders: Vec::new() };
    let (mut cuts, mut seen) = (Vec::new(), false);
    for &class in classes(part) {
        let id = unit_id(part, class);
        let Some((layer, offset, listed)) =
            layers.iter().find_map(|(layer, list)| list.find(&id).map(|(offset, it)| (*layer, offset, it)))
        else {
            // A class without files has no layer when it lies alone; the other pieces know of it.
            continue;
        };
        seen = true;
        info.pieces.clone_from(&listed.pieces);
        info.owned.extend(listed.owned.iter().cloned());
        info.folders.extend(listed.folders.iter().cloned());
        if let Some(piece) = listed.pieces.get(&class).cloned() {
            cuts.push(Cut { layer, class, offset, piece });
        }
    }
    let whole = seen && cuts.len() == info.pieces.len() && cuts.iter().all(|cut| cut.piece.size <= MAX_PIECE);
    whole.then_some(Found { info, cuts })
}

impl Cut<'_> {
    /// The piece's bytes, checked; `None` when the registry gives no parts of blobs or other bytes than those.
    async fn fetch(&self, client: &Client) -> Result<Option<Bytes>> {
        let Ok(length) = usize::try_from(self.piece.size) else { return Ok(None) };
        let Known { repo, descriptor, .. } = self.layer;
        let Some(bytes) = client.blob_range(repo, descriptor, self.offset, length).await? else {
            return Ok(None);
        };
        Ok((Digest::sha256(&bytes) == self.piece.digest).then_some(bytes))
    }
}
