//! What a plan says and what a release did, for pipelines and for people. Values; `markdown` writes them down.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::compare::Change;
use crate::plan::{Decision, Kinship};
use crate::referee::Referee;

/// One image of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// MAJOR.MINOR.PATCH.
    pub version: String,
    /// Its tag, its aliases, and why.
    #[serde(flatten)]
    pub decision: Decision,
    /// What it changes for those who have the build before it.
    #[serde(flatten)]
    pub change: Change,
}

/// What `perijove plan` says.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The commit, where it is known.
    pub commit: Option<String>,
    /// The branch that it would be released from.
    pub branch: Option<String>,
    /// One entry an image.
    pub images: Vec<Planned>,
    /// What people should look at.
    pub warnings: Vec<String>,
    /// Time of the build.
    pub build_seconds: f64,
}

/// The release record.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The commit, where it is known.
    pub commit: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The number of the pull request, where this is one.
    pub pull_request: Option<u64>,
    /// Whether no image got a new build.
    pub nothing_to_release: bool,
    /// One entry an image, in the order of the plan. Empty where one look at the greatest aliases said that all is
    /// there, and nobody asked for the record.
    pub images: Vec<Released>,
    /// Tags of this release that another one overwrote, because a registry let it; each took a new number.
    pub overwritten: Vec<String>,
    /// The images' own checks.
    pub checks: Vec<Checked>,
    /// What people should look at.
    pub warnings: Vec<String>,
    /// Body bytes sent to all registries.
    pub pushed_bytes: u64,
    /// Time of the whole run.
    pub seconds: f64,
    /// Where it went.
    pub times: Times,
}

/// Times of a release's parts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// Building.
    pub build_seconds: f64,
    /// Asking registries and deciding.
    pub plan_seconds: f64,
    /// The images' own checks.
    pub test_seconds: f64,
    /// Blobs and manifests.
    pub push_seconds: f64,
    /// The builds' tags.
    pub claim_seconds: f64,
    /// Aliases, and reading all back.
    pub verify_seconds: f64,
}

/// One image of a release.
#[derive(Clone, Debug, Serialize)]
pub struct Released {
    /// What was planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// Whether the build was there already: nothing changed since, or an earlier run made it.
    pub already_there: bool,
    /// Where it went; empty when it was there already.
    pub repositories: Vec<Repository>,
    /// The file that a pull request's image was written to.
    pub archive: Option<String>,
}

/// One repository of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// Registry and repository.
    pub repository: String,
    /// Who made sure that the tag was not another's.
    pub referee: Option<Referee>,
    /// Body bytes sent.
    pub pushed_bytes: u64,
}

/// One check of an image on one platform.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The image.
    pub image: String,
    /// `linux/amd64`.
    pub platform: String,
    /// The check, as `run jupyterhub --version`.
    pub check: String,
    /// How it went.
    pub result: Verdict,
    /// Why it failed or was not run.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// It was not run.
    Untested,
}

impl Record {
    /// `hub:5.3.0-1 lab:4.5.0-1`: each image with its build's tag, when one of them is new.
    pub fn tags(&self) -> String {
        if self.nothing_to_release {
            return String::new();
        }
        let tag =
            |image: &Released| format!("{}:{}", image.planned.decision.image, image.planned.decision.tag);
        self.images.iter().map(tag).collect::<Vec<_>>().join(" ")
    }

    /// Lines for `GITHUB_OUTPUT`: `released`, `tags` and `record`, a line each.
    pub fn outputs(&self) -> String {
        let released = !self.nothing_to_release && self.pull_request.is_none();
        // JSON escapes every line feed, so this is one line.
        let record = serde_json::to_string(self).unwrap_or_default();
        format!("released={released}\ntags={}\nrecord={record}\n", self.tags())
    }
}

/// What to say of the commits that the newest builds are of.
pub fn warnings(
    decisions: &[Decision],
    commit: Option<&str>,
    kinship: impl Fn(&str) -> Option<Kinship>,
) -> Vec<String> {
    let mut all = BTreeSet::new();
    for decision in decisions.iter().filter(|decision| decision.why.is_new()) {
        let Some(theirs) = decision.previous_revision.as_deref().filter(|c| Some(*c) != commit) else {
            continue;
        };
        let Decision { image, previous, .. } = decision;
        let previous = previous.as_deref().unwrap_or("its newest build");
        let short = theirs.get(..12).unwrap_or(theirs);
        match kinship(theirs) {
            Some(Kinship::Apart) => all.insert(format!(
                "{image}: {previous} was released from {short}, which is not in the history of this commit: was the branch force-pushed, or does another branch release this version?"
            )),
            Some(Kinship::Unknown) => all.insert(format!(
                "{image}: {previous} was released from {short}, which git does not know here: fetch the whole history (fetch-depth: 0) to have the order of commits checked"
            )),
            Some(Kinship::After | Kinship::Before) | None => false,
        };
    }
    all.into_iter().collect()
}
