//! What the cluster says when it refuses to create pods, and whether that can heal by itself.

use super::index::{BRIEF, Now};
use super::reasons::{Reason, brief, pull};

/// The cluster's latest refusal of a DaemonSet's pods: until there is one on each node that should have one.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Since when it is said without any pod coming.
    pub since: Now,
    /// Why.
    pub message: Box<str>,
    /// Whether it is of no use to wait.
    pub is_final: bool,
}

/// What admission, Kubernetes' own and OpenShift's, says of the pod or its namespace: it will say so again.
const FINAL: &[&str] = &[
    "violates PodSecurity",
    "unable to validate against any security context constraint",
    "PodSecurityPolicy: unable to admit pod",
    "unable to validate against any pod security policy",
    "no PriorityClass with name",
    "is invalid:",
    "because it is being terminated",
    "serviceaccount + not found",
    "pod node label selector conflicts with",
    // Limits and quotas of the namespace that no pod of this template meets, unlike one that is used up.
    "minimum + usage per",
    "maximum + usage per",
    "failed quota: + must specify",
];

/// What policies say that people have installed, by a webhook (Kyverno, Gatekeeper, …) or by an expression. The pods
/// of a DaemonSet are all alike, so the next would meet the same word.
const DENIED: &[&str] =
    &["admission webhook + denied the request", "ValidatingAdmissionPolicy + denied request"];

/// Unless the policy only failed to look something up (a registry that does not answer, as for signatures), or counts.
const PASSING: &[Reason] =
    &[Reason::RateLimited, Reason::NameUnknown, Reason::RegistryError, Reason::RegistryUnreachable];

/// Whether the refusal cannot heal by itself.
pub(super) fn is_final_refusal(message: &str) -> bool {
    let says = |words: &&str| words.split(" + ").all(|word| message.contains(word));
    let passes = || PASSING.contains(&pull("", message, "")) || message.to_lowercase().contains("quota");
    FINAL.iter().any(says) || (DENIED.iter().any(says) && !passes())
}

impl Refusal {
    /// Takes an event's message; the patience goes on where it was, unless this is worse.
    pub(super) fn heard(message: &str, before: Option<&Refusal>, now: Now) -> Self {
        let said = message.trim_start_matches("(combined from similar events): ");
        let said = said.trim_start_matches("Error creating: ");
        let is_final = is_final_refusal(message);
        let since = before.filter(|old| old.is_final == is_final).map_or(now, |old| old.since);
        Refusal { since, message: brief(said, BRIEF).into(), is_final }
    }
}
