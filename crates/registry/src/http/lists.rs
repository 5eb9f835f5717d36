//! Lists: tags, repositories, referrers (distribution-spec 1.1, "Content Discovery"; Docker's `_catalog`).

use http::header::{HeaderName, HeaderValue, LINK};
use perijove_oci::{Digest, media};
use serde_json::json;

use super::answer::{Answer, json as json_answer, text};
use super::errors::{ApiError, Kind};
use super::manifests::TAGS;
use super::page::{Page, link};
use super::query::Query;
use super::{App, blocking};
use crate::auth::{Action, Identity};
use crate::names::RepositoryName;
use crate::store::{Referrer, Store};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Referrers' descriptors in one answer, in bytes: clients read no larger index.
const REFERRERS_BYTES: usize = 3 << 20;

fn page(query: &Query) -> Result<Page, ApiError> {
    Page::read(query).map_err(|message| ApiError::new(Kind::QueryInvalid, message))
}

/// `/v2/NAME/tags/list`.
pub(crate) async fn tags(app: &App, repository: RepositoryName, query: &Query) -> Answer {
    let page = page(query)?;
    let store = app.store.clone();
    let (repository, tags) = blocking(move || store.tags(&repository).map(|tags| (repository, tags))).await?;
    let tags =
        tags.ok_or_else(|| ApiError::new(Kind::NameUnknown, format!("no repository `{repository}`")))?;
    let digest = Store::tags_digest(&tags);
    let (tags, more) = page.of(tags, String::clone);
    let mut response =
        json_answer("application/json", &json!({ "name": repository.as_str(), "tags": tags }))?;
    response.headers_mut().insert(TAGS, text(&digest.to_string())?);
    if let Some(last) = tags.last().filter(|_| more) {
        let target = link(&format!("/v2/{repository}/tags/list"), page.count, last, &[]);
        response.headers_mut().insert(LINK, text(&target)?);
    }
    Ok(response)
}

/// `/v2/_catalog`: the repositories that the client may read.
pub(crate) async fn catalog(app: &App, who: &Identity, query: &Query) -> Answer {
    let page = page(query)?;
    let store = app.store.clone();
    let mut names = blocking(move || store.repositories()).await?;
    names.retain(|name| app.allows(who, name.as_str(), Action::Read));
    let names = names.into_iter().map(|name| name.to_string()).collect();
    let (names, more) = page.of(names, String::clone);
    let mut response = json_answer("application/json", &json!({ "repositories": names }))?;
    if let Some(last) = names.last().filter(|_| more) {
        response.headers_mut().insert(LINK, text(&link("/v2/_catalog", page.count, last, &[]))?);
    }
    Ok(response)
}

/// `/v2/NAME/referrers/DIGEST`: an index, empty for an unknown subject.
pub(crate) async fn referrers(
    app: &App,
    repository: RepositoryName,
    subject: Digest,
    query: &Query,
) -> Answer {
    let page = page(query)?;
    // No media type holds a blank: it was a `+` that the client did not encode.
    let wanted = query.get("artifactType").filter(|text| !text.is_empty()).map(|text| text.replace(' ', "+"));
    let path = format!("/v2/{repository}/referrers/{subject}");
    let (store, filter) = (app.store.clone(), wanted.clone());
    let found = blocking(move || store.referrers(&repository, &subject, filter.as_deref())).await?;
    let (mut found, mut more) = page.of(found, |referrer| referrer.digest.to_string());
    let fitting = fitting(&found);
    more |= fitting < found.len();
    found.truncate(fitting);
    let index = json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": found });
    let mut response = json_answer(media::INDEX, &index)?;
    let headers = response.headers_mut();
    if wanted.is_some() {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = found.last().filter(|_| more) {
        let others: Vec<(&str, &str)> =
            wanted.iter().map(|wanted| ("artifactType", wanted.as_str())).collect();
        headers.insert(LINK, text(&link(&path, page.count, &last.digest.to_string(), &others))?);
    }
    Ok(response)
}

/// How many descriptors fit into one answer; at least one, so that every page goes on.
fn fitting(found: &[Referrer]) -> usize {
    let mut bytes = 0;
    let large = found.iter().position(|referrer| {
        bytes += serde_json::to_vec(referrer).map_or(0, |text| text.len() + 1);
        bytes > REFERRERS_BYTES
    });
    large.map_or(found.len(), |at| at.max(1))
}
