//! Registries that refuse to overwrite a tag, each in its own words: the release takes the next number.

use std::sync::atomic::{AtomicBool, Ordering};

use perijove_oci::error::Refusal;
use perijove_release::referee::{self, TABLE};
use perijove_testkit::front::{Front, Say};
use perijove_testkit::registry::Registry;
use perijove_testkit::web::Answer;

use crate::scene::{Site, images, repository, somebody_releases};

/// A refusal as one of these registries words it.
struct Said {
    /// The row of the table that it belongs to.
    who: &'static str,
    status: u16,
    code: &'static str,
    message: &'static str,
}

/// What they say, not made from the table: a row that is wrong about its registry fits none of it. The words are those of
/// the sources that the table names; where a source has no code (Mirantis, Alibaba, Docker Hub), the code is `UNKNOWN`. Of
/// Alibaba and Docker Hub no whole answer is public: around the words that the table has, the sentence is made up.
const ANSWERS: &[Said] = &[
    Said {
        who: "Perijove's embedded registry, --create-only",
        status: 409,
        code: "DENIED",
        message: "tag `5.3.0-0` is create-only and names sha256:aa already: choose another tag",
    },
    Said {
        who: "Amazon ECR, tag immutability",
        status: 400,
        code: "TAG_INVALID",
        message: "The image tag '5.3.0-0' already exists in the 'team/hub' repository and cannot be overwritten \
                  because the repository is immutable.",
    },
    // Since there are exceptions from its immutability.
    Said {
        who: "Amazon ECR, tag immutability",
        status: 400,
        code: "TAG_INVALID",
        message: "The image tag '5.3.0-0' already exists in the 'team/hub' repository and cannot be overwritten \
                  because the tag is immutable.",
    },
    Said {
        who: "Harbor, tag immutability rules",
        status: 412,
        code: "PRECONDITION",
        message: "Failed to process request due to 'team/hub:5.3.0-0' configured as immutable.",
    },
    Said {
        who: "Mirantis Secure Registry and Docker Trusted Registry, immutable repositories",
        status: 400,
        code: "UNKNOWN",
        message: "tag=5.3.0-0 cannot be overwritten because registry.test/team/hub is an immutable repository",
    },
    Said {
        who: "Alibaba Cloud Container Registry, immutable repositories",
        status: 403,
        code: "UNKNOWN",
        message: "the image tag 5.3.0-0 already exists and cannot be overwritten",
    },
    Said {
        who: "Quay, immutable tags",
        status: 409,
        code: "TAG_IMMUTABLE",
        message: "tag is immutable and cannot be overwritten",
    },
    Said {
        who: "Quay, a tag that was pushed already",
        status: 409,
        code: "TAG_ALREADY_EXISTS",
        message: "tag was already pushed",
    },
    Said {
        who: "Docker Hub, immutable tags",
        status: 403,
        code: "UNKNOWN",
        message: "this tag is immutable and cannot be updated",
    },
    Said {
        who: "GitLab, immutable container tags",
        status: 401,
        code: "IMMUTABLE_TAG",
        message: "tag is immutable",
    },
];

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    Answer { status, ..Answer::ok("application/json", body.to_string()) }
}

#[test]
fn every_row_of_the_table_is_answered() {
    for row in TABLE {
        assert!(ANSWERS.iter().any(|said| said.who == row.who), "{}", row.who);
    }
    for Said { who, status, code, message } in ANSWERS {
        let (method, url) = ("PUT".to_owned(), String::new());
        let (code, message) = (Some((*code).to_owned()), (*message).to_owned());
        let found = referee::refusal(&Refusal { method, url, status: *status, code, message });
        assert_eq!(found.map(|row| row.who), Some(*who));
    }
}

#[test]
fn each_refusal_is_a_lost_race() {
    for Said { who, status, code, message } in ANSWERS {
        let registry = Registry::start(crate::PERIJOVE);
        let (address, lost) = (registry.address.clone(), AtomicBool::new(false));
        let front = Front::of(&registry.address, move |asked| {
            let ours = asked.method == "PUT"
                && asked.path.contains("/hub/manifests/")
                && asked.path.contains("5.3.0-0");
            if !ours {
                return Say::Pass;
            }
            if !lost.swap(true, Ordering::SeqCst) {
                somebody_releases(&address, "hub", "5.3.0-0");
            }
            Say::Answer(refusal(*status, code, message))
        });
        let site = Site::of(&[&front.address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.release(&repository, "c1");
        let all = images(&ran);
        let shown = |at: usize| {
            (all[at]["tag"].as_str().unwrap(), all[at]["repositories"][0]["referee"].as_str().unwrap())
        };
        assert_eq!((shown(0), shown(1)), (("5.3.0-1", "registry"), ("4.5.0-1", "checked")), "{who}");
        assert_eq!(site.aliases("0 hub")["latest"], "5.3.0-1", "{who}");
        assert_ne!(site.tags()["0 hub"]["5.3.0-0"], all[0]["digest"].as_str().unwrap(), "{who}");
    }
}

#[test]
fn any_other_refusal_is_an_error() {
    for (status, code, message) in [
        (403, "DENIED", "requested access to the resource is denied"),
        (400, "MANIFEST_INVALID", "manifest invalid"),
        (412, "PROJECTPOLICYVIOLATION", "current image has vulnerabilities"),
    ] {
        let registry = Registry::start(crate::PERIJOVE);
        let front = Front::of(&registry.address, move |asked| {
            let claims = asked.method == "PUT" && asked.path.contains("5.3.0-0");
            if claims { Say::Answer(refusal(status, code, message)) } else { Say::Pass }
        });
        let site = Site::of(&[&front.address]);
        let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{message}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("the registry answered {status} {code}: {message}")),
            "{}",
            ran.stderr
        );
        assert!(site.tags().values().all(std::collections::BTreeMap::is_empty), "{message}");
    }
}
