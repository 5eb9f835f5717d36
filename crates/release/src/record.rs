//! What a release did, for pipelines and for people.

use perijove_oci::Digest;
use serde::Serialize;

use crate::plan::Decision;
use crate::referee::Referee;

/// The release record.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// One entry an image, in the order of the plan.
    pub images: Vec<Released>,
    /// Tags of this release that another one overwrote, because a registry let it; each took a new number.
    pub overwritten: Vec<String>,
}

/// One image of a release.
#[derive(Clone, Debug, Serialize)]
pub struct Released {
    /// Its name.
    pub image: String,
    /// The build's tag.
    pub tag: String,
    /// The aliases that name it.
    pub aliases: Vec<String>,
    /// The digest that they name.
    pub digest: Digest,
    /// Whether the build was there already: nothing changed since, or an earlier run made it.
    pub already_there: bool,
    /// Where it went; empty when it was there already.
    pub repositories: Vec<Repository>,
}

/// One repository of a release.
#[derive(Clone, Debug, Serialize)]
pub struct Repository {
    /// Registry and repository.
    pub repository: String,
    /// Who made sure that the tag was not another's.
    pub referee: Option<Referee>,
    /// Body bytes sent.
    pub pushed_bytes: u64,
}

impl Released {
    /// Before anything is done.
    pub(crate) fn of(decision: &Decision) -> Self {
        Released {
            image: decision.image.clone(),
            tag: decision.tag.clone(),
            aliases: decision.aliases.clone(),
            digest: decision.digest.clone(),
            already_there: decision.released,
            repositories: Vec::new(),
        }
    }
}

impl Repository {
    pub(crate) fn new(repository: String, pushed_bytes: u64) -> Self {
        Repository { repository, referee: None, pushed_bytes }
    }
}
