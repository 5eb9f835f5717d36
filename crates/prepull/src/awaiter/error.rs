//! Why an awaiter cannot work at all. What it finds in the cluster is no error but a report.

/// Each says what the user meets, and has a hint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no cluster to talk to.
    #[error("no cluster: {reason}")]
    NoCluster {
        /// What was looked for, and what is wrong with it.
        reason: String,
    },
    /// The API server refuses a request for good.
    #[error("may not {verb} {resource}{}: {message}", place(.namespace))]
    Denied {
        /// `list`, `watch`, `create`, `delete`.
        verb: &'static str,
        /// `daemonsets.apps`, `pods`, …
        resource: &'static str,
        /// Where; none for what belongs to no namespace.
        namespace: Option<String>,
        /// The server's words.
        message: String,
        /// 401 or 403.
        code: u16,
    },
    /// The API server refuses it, or does not answer.
    #[error("cannot {verb} {resource}: {reason}")]
    NoAnswer {
        /// `list`, `create`, …
        verb: &'static str,
        /// `daemonsets.apps`, `nodes`, …
        resource: &'static str,
        /// The server's words, or what happened on the way.
        reason: String,
        /// The kind of refusal, where it is one.
        code: Option<u16>,
    },
    /// A word that cannot be read.
    #[error("{text}")]
    Usage {
        /// What is wrong with it.
        text: String,
        /// What to write instead.
        hint: &'static str,
    },
}

/// Refusals (403) that are not for want of rights: what the API server says, and what to do.
const NO_MATTER_OF_RIGHTS: [(&str, &str); 4] = [
    (
        "because it is being terminated",
        "wait until `kubectl get namespaces` does not list it any more and make it again, or name another with --namespace",
    ),
    ("exceeded quota", "see `kubectl describe quota`: raise it, or name another namespace with --namespace"),
    ("denied the request", "ask whoever runs the cluster: its admission webhook has the last word"),
    ("denied request", "ask whoever runs the cluster: its admission policy has the last word"),
];

fn place(namespace: &Option<String>) -> String {
    namespace.as_ref().map(|name| format!(" in the namespace {name}")).unwrap_or_default()
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Error::NoCluster { .. } => {
                "set KUBECONFIG, or run it in a pod with a service account's token, ca.crt and namespace".to_owned()
            }
            Error::Denied { code: 401, .. } => {
                "the token or certificate is missing, expired or of another cluster: log in again, or renew the kubeconfig"
                    .to_owned()
            }
            Error::Denied { verb, resource, namespace, message, .. } => {
                let other = NO_MATTER_OF_RIGHTS.iter().find(|(words, _)| message.contains(words));
                if let Some((_, hint)) = other {
                    return (*hint).to_owned();
                }
                let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
                format!("add `{verb}` on `{resource}` to the {kind} of this account; docs/operations.md lists what is needed")
            }
            Error::NoAnswer { code: Some(404), .. } => "see `kubectl get namespaces`, and name one with --namespace".to_owned(),
            Error::NoAnswer { .. } => "see whether `kubectl get nodes` answers, then run it again".to_owned(),
            Error::Usage { hint, .. } => (*hint).to_owned(),
        }
    }

    /// Whether it is the caller's words that are wrong: exit code 2.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Usage { .. } | Error::NoCluster { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_words() {
        for (message, code, hint) in [
            (
                "daemonsets.apps is forbidden: User \"u\" cannot create resource \"daemonsets\" in API group \"apps\" in the namespace \"hub\"",
                403,
                "add `create` on `daemonsets.apps` to the Role",
            ),
            (
                "daemonsets.apps \"x\" is forbidden: unable to create new content in namespace hub because it is being terminated",
                403,
                "name another with --namespace",
            ),
            (
                "daemonsets.apps \"x\" is forbidden: exceeded quota: few, requested: count/daemonsets.apps=1, used: count/daemonsets.apps=3, limited: count/daemonsets.apps=3",
                403,
                "kubectl describe quota",
            ),
            ("admission webhook \"only.example.org\" denied the request: no", 403, "admission webhook"),
            (
                "daemonsets.apps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                403,
                "admission policy",
            ),
            ("Unauthorized", 401, "log in again"),
        ] {
            let namespace = Some("hub".to_owned());
            let message = message.to_owned();
            let error =
                Error::Denied { verb: "create", resource: "daemonsets.apps", namespace, message, code };
            assert!(error.hint().contains(hint), "{error}: {}", error.hint());
            assert!(!error.is_usage());
        }
    }
}
