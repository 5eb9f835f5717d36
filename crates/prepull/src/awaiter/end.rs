//! What is done at the end of a run, however it ends: the DaemonSets are deleted, and an event says how it went.

use std::str::FromStr;
use std::time::Duration;

use http::Method;
use serde_json::json;

use super::api::{Api, Asked, Trouble};
use super::{Error, Outcome, Report};

/// Beyond this the end does not wait.
pub(super) const END: Duration = Duration::from_secs(10);
/// Bytes of an event's message that Kubernetes takes, less what line ends grow to.
const MESSAGE: usize = 960;

/// The object that an event is about: `job/NAME`, `pod/NAME`; `kubectl describe` shows the event when the uid
/// follows: `job/NAME/UID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    api_version: &'static str,
    kind: &'static str,
    name: String,
    uid: Option<String>,
}

const KINDS: &[(&str, &str, &str)] = &[
    ("job", "batch/v1", "Job"),
    ("pod", "v1", "Pod"),
    ("daemonset", "apps/v1", "DaemonSet"),
    ("deployment", "apps/v1", "Deployment"),
    ("configmap", "v1", "ConfigMap"),
];

impl Target {
    /// Whether the uid is told: without it, nothing can be owned by the object.
    pub fn has_uid(&self) -> bool {
        self.uid.is_some()
    }

    /// The object as an owner (`metav1.OwnerReference`).
    pub(super) fn reference(&self) -> Option<serde_json::Value> {
        let uid = self.uid.as_deref()?;
        Some(json!({"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": uid}))
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split('/');
        let kind = words.next().unwrap_or_default();
        let name = words.next().filter(|name| !name.is_empty());
        let uid = words.next().filter(|uid| !uid.is_empty()).map(str::to_owned);
        let known = KINDS.iter().find(|(word, ..)| word.eq_ignore_ascii_case(kind));
        match (known, name, words.next()) {
            (Some((_, api_version, kind)), Some(name), None) => {
                Ok(Target { api_version, kind, name: name.to_owned(), uid })
            }
            _ => {
                let kinds: Vec<&str> = KINDS.iter().map(|(word, ..)| *word).collect();
                Err(format!(
                    "`{text}` is not KIND/NAME or KIND/NAME/UID, with a KIND of {}",
                    kinds.join(", ")
                ))
            }
        }
    }
}

/// Says on `target` how it went.
pub(super) async fn say(api: &Api, namespace: &str, target: &Target, report: &Report) -> Result<(), String> {
    let warm = report.outcome == Outcome::Warm;
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut about = json!({
        "apiVersion": target.api_version, "kind": target.kind, "name": target.name, "namespace": namespace,
    });
    if let Some(uid) = &target.uid {
        about["uid"] = json!(uid);
    }
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "perijove-await.", "namespace": namespace},
        "involvedObject": about,
        "type": if warm { "Normal" } else { "Warning" },
        "reason": if warm { "PrePulled" } else { "PrePullFailed" },
        // kubectl shows the first line only.
        "message": report.brief(MESSAGE).replace('\n', "; "),
        "source": {"component": "perijove-await"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    });
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let asked = Asked { verb: "create", resource: "events" };
    match api.send(Method::POST, &path, event.to_string().into_bytes(), asked).await {
        Ok(_) => Ok(()),
        Err(trouble) => Err(words(trouble, namespace, "the event was not written")),
    }
}

/// Deletes DaemonSets, by name and uid: one that was made again meanwhile is somebody else's. Gives those that were
/// deleted, and why others were not.
pub(super) async fn clean_up(
    api: &Api,
    namespace: &str,
    sets: &[(String, String)],
) -> (Vec<String>, Vec<String>) {
    let (mut deleted, mut warnings) = (Vec::new(), Vec::new());
    for (name, uid) in sets {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}");
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        });
        let asked = Asked { verb: "delete", resource: "daemonsets.apps" };
        let mut pause = Duration::from_millis(200);
        let result = loop {
            match api.send(Method::DELETE, &path, body.to_string().into_bytes(), asked).await {
                Err(Trouble::Passing { text, .. }) if text.starts_with("409") => break Ok(false),
                Err(Trouble::Passing { .. }) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Ok(_) => break Ok(true),
                Err(Trouble::Missing(_)) => break Ok(false),
                Err(trouble) => {
                    break Err(words(trouble, namespace, &format!("the DaemonSet {name} was not deleted")));
                }
            }
        };
        match result {
            Ok(true) => deleted.push(name.clone()),
            Ok(false) => {}
            Err(warning) => warnings.push(warning),
        }
    }
    (deleted, warnings)
}

pub(super) fn words(trouble: Trouble, namespace: &str, what: &str) -> String {
    let why = match trouble {
        Trouble::Denied { asked, message, code } => {
            let error: Error = Trouble::denied(asked, message, code, namespace);
            error.to_string()
        }
        Trouble::Gone => "gone".to_owned(),
        Trouble::Unknown(text) | Trouble::Missing(text) | Trouble::Passing { text, .. } => text,
    };
    format!("{what}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_target() {
        let job: Target = "job/hook/0c9f".parse().unwrap();
        assert_eq!(
            (job.api_version, job.kind, job.name.as_str(), job.uid.as_deref()),
            ("batch/v1", "Job", "hook", Some("0c9f"))
        );
        assert_eq!("Pod/a".parse::<Target>().unwrap().uid, None);
        for text in ["", "job", "job/", "node/a", "job/a/b/c", "/a"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
