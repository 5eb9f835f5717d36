//! Who decides a race for a tag: the registry, where it refuses to overwrite, else a look before and after.
//!
//! Registries say "this tag is there already and stays" in words of their own. The table below is how.

use perijove_oci::Error;
use perijove_oci::error::Refusal;
use serde::Serialize;

/// Who made sure that a claimed tag was not another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Referee {
    /// The registry said that it lets nobody overwrite the tag.
    Registry,
    /// We looked before and read back after; whoever came in between was seen, not kept out.
    Checked,
}

/// How a registry refuses to overwrite a tag.
#[derive(Debug)]
pub struct Refuses {
    /// The registry and its feature.
    pub who: &'static str,
    /// The status of its answer to the PUT.
    pub status: u16,
    /// The error code, where it is always the same.
    pub code: Option<&'static str>,
    /// Words in the message; none where status and code are enough.
    pub says: &'static str,
    /// Where this is known from.
    pub source: &'static str,
}

/// The known ones. A refusal that fits none is an error, never a lost race.
///
/// GitHub's registry has no immutable tags. Azure's locks and Google's immutable tags refuse too, but no public source
/// says in which words: until one does, what they answer is an error, and the tag that was looked for before is safe.
pub const TABLE: &[Refuses] = &[
    Refuses {
        who: "Perijove's embedded registry, --create-only",
        status: 409,
        code: Some("DENIED"),
        says: "is create-only",
        source: "docs/registry.md; crates/registry/src/http/errors.rs, Kind::Conflict",
    },
    Refuses {
        who: "Amazon ECR, tag immutability",
        status: 400,
        code: Some("TAG_INVALID"),
        says: "already exists",
        source: "github.com/moby/buildkit/issues/3776: tag invalid: The image tag … already exists in the … \
                 repository and cannot be overwritten because the repository is immutable",
    },
    Refuses {
        who: "Harbor, tag immutability rules",
        status: 412,
        code: None,
        says: "immutable",
        source: "github.com/goharbor/harbor: src/server/middleware/immutable, ErrImmutable: Failed to process request due \
                 to 'repository:tag' configured as immutable; PreconditionCode is 412",
    },
    Refuses {
        who: "Mirantis Secure Registry and Docker Trusted Registry, immutable repositories",
        status: 400,
        code: None,
        says: "cannot be overwritten",
        source: "docs.mirantis.com/msr, Prevent tags from being overwritten",
    },
    Refuses {
        who: "Alibaba Cloud Container Registry, immutable repositories",
        status: 403,
        code: None,
        says: "already exists and cannot be overwritten",
        source: "help.aliyun.com/en/acr, Configure a repository to be immutable",
    },
    Refuses {
        who: "Quay, immutable tags",
        status: 409,
        code: Some("TAG_IMMUTABLE"),
        says: "",
        source: "github.com/quay/quay: endpoints/v2/errors.py, TagImmutable: tag is immutable and cannot be overwritten",
    },
    Refuses {
        who: "Quay, a tag that was pushed already",
        status: 409,
        code: Some("TAG_ALREADY_EXISTS"),
        says: "",
        source: "github.com/quay/quay: endpoints/v2/errors.py, TagAlreadyExists: tag was already pushed",
    },
    Refuses {
        who: "Docker Hub, immutable tags",
        status: 403,
        code: None,
        says: "immutable",
        source: "docs.docker.com/docker-hub/repos/manage/hub-images/immutable-tags; the status from \
                 github.com/docker/hub-feedback/issues/2466",
    },
    Refuses {
        who: "GitLab, immutable container tags",
        status: 401,
        code: Some("IMMUTABLE_TAG"),
        says: "",
        source: "gitlab.com/gitlab-org/container-registry: registry/api/v2/errors.go, ErrorCodeImmutableTag: tag is \
                 immutable",
    },
];

/// The row by which an answer to a PUT says that the tag is another's.
pub fn refusal(answer: &Refusal) -> Option<&'static Refuses> {
    let message = answer.message.to_ascii_lowercase();
    TABLE.iter().find(|row| {
        answer.method == "PUT"
            && answer.status == row.status
            && row.code.is_none_or(|code| answer.code.as_deref() == Some(code))
            && message.contains(row.says)
    })
}

/// Whether an error is a lost race.
pub fn is_taken(error: &Error) -> bool {
    matches!(error, Error::Refused(answer) if refusal(answer).is_some())
}

/// Whether the registry says that others have changed the repository's tags since they were listed. Only the embedded
/// one is asked to mind (docs/registry.md).
pub fn is_outdated(error: &Error) -> bool {
    matches!(error, Error::Refused(answer) if answer.method == "PUT"
        && answer.status == 412
        && answer.message.starts_with("the repository has other tags"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_words_that_fit_and_a_source() {
        for row in TABLE {
            assert!(!row.source.is_empty() && row.says == row.says.to_ascii_lowercase(), "{row:?}");
            let answer = |method: &str, message: String| Refusal {
                method: method.to_owned(),
                url: "http://127.0.0.1/v2/a/manifests/1".to_owned(),
                status: row.status,
                code: row.code.map(str::to_owned),
                message,
            };
            let said = format!("the tag '5.0.0-1' {}, sorry", row.says);
            assert!(refusal(&answer("PUT", said.clone())).is_some(), "{}", row.who);
            assert!(refusal(&answer("GET", said)).is_none(), "{}", row.who);
        }
    }

    #[test]
    fn other_refusals_are_no_lost_race() {
        for (status, code, message) in [
            (401, "UNAUTHORIZED", "authentication required"),
            (403, "DENIED", "requested access to the resource is denied"),
            (400, "MANIFEST_INVALID", "manifest invalid"),
            (412, "PROJECTPOLICYVIOLATION", "current image has vulnerabilities"),
            (500, "UNKNOWN", "unknown"),
        ] {
            let (url, message) = (String::new(), message.to_owned());
            let answer =
                Refusal { method: "PUT".to_owned(), url, status, code: Some(code.to_owned()), message };
            assert!(refusal(&answer).is_none(), "{answer}");
        }
    }
}
