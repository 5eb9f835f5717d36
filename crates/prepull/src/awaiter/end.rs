//! What is done at the end of a run, however it ends: the DaemonSets are deleted, and an event says how it went. An
//! API server that is just being restarted is waited for.

use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use super::adopt::{self, Belonging};
use super::api::{Api, Asked, Trouble};
use super::{Error, Outcome, Report};

/// Beyond this the end does not wait: an API server that is restarted is away for half a minute. The hook's Job has a
/// minute more than the awaiter's deadline.
pub(super) const END: Duration = Duration::from_secs(45);
/// Nor beyond this once the awaiter is told to end: its pod has 30 s.
pub(super) const TOLD: Duration = Duration::from_secs(25);
/// Rights that are refused are refused again, unless the server was away before: then it learns them late.
const RIGHTS: Duration = Duration::from_secs(20);
/// How long the event goes before all else.
const AHEAD: Duration = Duration::from_secs(2);
/// Between attempts: from, to.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// Who says the event.
pub(super) const COMPONENT: &str = "perijove-await";
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
    /// The uid, when it is told: without it, nothing can be owned by the object.
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
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

/// What has to be left in order, and where.
pub(super) struct End<'a> {
    pub api: &'a Api,
    pub namespace: &'a str,
    /// DaemonSets to delete, by name and uid.
    pub sets: &'a [(String, String)],
    pub event_on: Option<&'a Target>,
    pub adopt: &'a [Belonging],
    /// Whether the API server did not answer a moment ago.
    pub shaken: bool,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub deleted: Vec<String>,
    pub warnings: Vec<String>,
}

impl End<'_> {
    /// Does it all, for as long as `patience` is not over; tells by `report`, where there is one.
    pub async fn run(&self, report: Option<&Report>, patience: impl Future<Output = Duration>) -> Done {
        let kept = async {
            match self.event_on {
                Some(owner) => adopt::adopt(self, owner).await,
                None => Vec::new(),
            }
        };
        let work = async {
            let mut event = pin!(async {
                match (self.event_on, report) {
                    (Some(target), Some(report)) => say(self, target, report).await,
                    _ => Ok(()),
                }
            });
            // First of all: whoever follows an awaiter that is killed from here on would wait for what is deleted. But a
            // cluster that takes no events must not keep the pullers.
            let early = tokio::time::timeout(AHEAD, event.as_mut()).await;
            let said = async {
                match early {
                    Ok(said) => said,
                    Err(_) => event.await,
                }
            };
            tokio::join!(self.clean_up(), kept, said)
        };
        tokio::select! {
            biased;
            ((deleted, mut warnings), kept, said) = work => {
                warnings.extend(kept);
                warnings.extend(said.err());
                Done { deleted, warnings }
            }
            waited = patience => {
                let warning = format!(
                    "the API server did not answer within {} s at the end: what was to be deleted may be there still",
                    waited.as_secs()
                );
                Done { deleted: Vec::new(), warnings: vec![warning] }
            }
        }
    }

    /// Sends a request until there is an answer; a 409 is one.
    pub async fn insist(&self, method: Method, path: &str, body: &str, asked: Asked) -> Result<(), Trouble> {
        let (mut pause, mut shaken) = (PAUSE.0, self.shaken);
        let mut denied: Option<Instant> = None;
        loop {
            let sent = self.api.send(method.clone(), path, body.as_bytes().to_vec(), asked).await;
            match sent {
                Err(Trouble::Passing { ref text, after }) if !text.starts_with("409") => {
                    (shaken, denied) = (true, None);
                    tokio::time::sleep(after.map_or(pause, |after| after.clamp(pause, PAUSE.1))).await;
                }
                Err(Trouble::Denied { .. })
                    if shaken && denied.get_or_insert_with(Instant::now).elapsed() < RIGHTS =>
                {
                    tokio::time::sleep(pause).await;
                }
                other => return other.map(drop),
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Deletes DaemonSets, by name and uid: one that was made again meanwhile is somebody else's. Gives those that
    /// were deleted, and why others were not.
    async fn clean_up(&self) -> (Vec<String>, Vec<String>) {
        let (mut deleted, mut warnings) = (Vec::new(), Vec::new());
        for (name, uid) in self.sets {
            let path = format!("/apis/apps/v1/namespaces/{}/daemonsets/{name}", self.namespace);
            let body = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {"uid": uid},
            });
            let asked = Asked { verb: "delete", resource: "daemonsets.apps" };
            match self.insist(Method::DELETE, &path, &body.to_string(), asked).await {
                Ok(()) => deleted.push(name.clone()),
                Err(Trouble::Missing(_) | Trouble::Passing { .. }) => {}
                Err(trouble) => {
                    warnings.push(words(
                        trouble,
                        self.namespace,
                        &format!("the DaemonSet {name} was not deleted"),
                    ));
                }
            }
        }
        (deleted, warnings)
    }
}

/// Says on `target` how it went.
async fn say(end: &End<'_>, target: &Target, report: &Report) -> Result<(), String> {
    let namespace = end.namespace;
    let warm = report.outcome == Outcome::Warm;
    let at = jiff::Timestamp::now();
    let now = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut about = json!({
        "apiVersion": target.api_version, "kind": target.kind, "name": target.name, "namespace": namespace,
    });
    if let Some(uid) = &target.uid {
        about["uid"] = json!(uid);
    }
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        // As the kubelet names events. A name that is known beforehand is not taken twice by a second attempt.
        "metadata": {"name": format!("{}.{:x}", target.name, at.as_nanosecond()), "namespace": namespace},
        "involvedObject": about,
        "type": if warm { "Normal" } else { "Warning" },
        "reason": if warm { "PrePulled" } else { "PrePullFailed" },
        // kubectl shows the first line only.
        "message": report.brief(MESSAGE).replace('\n', "; "),
        "source": {"component": COMPONENT},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    });
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let asked = Asked { verb: "create", resource: "events" };
    match end.insist(Method::POST, &path, &event.to_string(), asked).await {
        Ok(()) | Err(Trouble::Passing { .. }) => Ok(()),
        Err(trouble) => Err(words(trouble, namespace, "the event was not written")),
    }
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
