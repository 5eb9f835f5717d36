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
            Error::Denied { verb, resource, namespace, .. } => {
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
