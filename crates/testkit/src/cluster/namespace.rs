//! A namespace for one test.

use serde_json::{Value, json};

use super::{Cluster, Ran};

/// Which Pod Security Standard a namespace enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSecurity {
    /// Everything goes.
    Privileged,
    /// The usual.
    Baseline,
    /// What a hardened cluster enforces.
    Restricted,
}

/// Deleted with the value, without waiting for its end.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> Namespace<'a> {
    pub(super) fn new(cluster: &'a Cluster, name: &str, security: PodSecurity) -> Self {
        let level = match security {
            PodSecurity::Privileged => "privileged",
            PodSecurity::Baseline => "baseline",
            PodSecurity::Restricted => "restricted",
        };
        cluster.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/enforce-version": "latest",
            }},
        }));
        let namespace = Namespace { cluster, name: name.to_owned() };
        // Pods are refused until their service account is there.
        let account = ["get", "serviceaccount", "default"];
        cluster.wait("the service account `default`", || namespace.kubectl(&account).ok.then_some(()));
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Ran {
        let all: Vec<&str> = ["--namespace", &self.name].iter().chain(arguments).copied().collect();
        self.cluster.kubectl(&all)
    }

    /// Applies objects to this namespace.
    pub fn apply(&self, objects: &Value) {
        let arguments = ["--namespace", &self.name, "apply", "-f", "-"];
        self.cluster.kubectl_with(&arguments, &objects.to_string()).text();
    }

    /// What `kubectl get ARGUMENTS -o json` says of this namespace.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["get"].iter().chain(arguments).chain(&["-o", "json"]).copied().collect();
        self.kubectl(&all).json()
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]);
    }
}
