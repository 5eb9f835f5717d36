//! What else was made for one run, as the awaiter's own account and rights. It cannot delete these itself: without the
//! first, it could not delete the second. So the Job becomes their owner, and Kubernetes' garbage collection takes
//! them with it, also where an upgrade was cut off and nobody else knows of them.

use std::str::FromStr;

use http::Method;
use serde_json::json;

use super::api::{Asked, Trouble};
use super::end::{End, Target, words};

/// An object of the namespace that goes with the run: `serviceaccount/NAME`, `role/NAME`, `rolebinding/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    kind: &'static Kind,
    name: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Kind {
    word: &'static str,
    api: &'static str,
    plural: &'static str,
    /// As messages name it.
    resource: &'static str,
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

const KINDS: [Kind; 3] = [
    Kind { word: "serviceaccount", api: "/api/v1", plural: "serviceaccounts", resource: "serviceaccounts" },
    Kind { word: "role", api: RBAC, plural: "roles", resource: "roles.rbac.authorization.k8s.io" },
    Kind {
        word: "rolebinding",
        api: RBAC,
        plural: "rolebindings",
        resource: "rolebindings.rbac.authorization.k8s.io",
    },
];

impl FromStr for Belonging {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = text.split_once('/').and_then(|(word, name)| {
            let name = Some(name).filter(|name| !name.is_empty() && !name.contains('/'))?;
            Some((KINDS.iter().find(|kind| kind.word.eq_ignore_ascii_case(word))?, name.to_owned()))
        });
        match known {
            Some((kind, name)) => Ok(Belonging { kind, name }),
            None => {
                let words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
                Err(format!("`{text}` is not KIND/NAME, with a KIND of {}", words.join(", ")))
            }
        }
    }
}

impl Belonging {
    fn path(&self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}/{}", self.kind.api, self.kind.plural, self.name)
    }
}

/// Makes `owner` the owner of what is the run's own. Gives why not; what is gone already needs none.
pub(super) async fn adopt(end: &End<'_>, owner: &Target) -> Vec<String> {
    let Some(reference) = owner.reference() else { return Vec::new() };
    let body = json!({"metadata": {"ownerReferences": [reference]}}).to_string();
    let mut warnings = Vec::new();
    for belonging in end.adopt {
        let asked = Asked { verb: "patch", resource: belonging.kind.resource };
        match end.insist(Method::PATCH, &belonging.path(end.namespace), &body, asked).await {
            Ok(()) | Err(Trouble::Gone | Trouble::Missing(_)) => {}
            Err(trouble) => {
                let what = format!("the {} {} may be left behind", belonging.kind.word, belonging.name);
                warnings.push(words(trouble, end.namespace, &what));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_belonging() {
        for (text, path) in [
            ("serviceaccount/a", "/api/v1/namespaces/hub/serviceaccounts/a"),
            ("Role/a-b", "/apis/rbac.authorization.k8s.io/v1/namespaces/hub/roles/a-b"),
            ("rolebinding/a", "/apis/rbac.authorization.k8s.io/v1/namespaces/hub/rolebindings/a"),
        ] {
            assert_eq!(text.parse::<Belonging>().unwrap().path("hub"), path);
        }
        for text in ["", "role", "role/", "secret/a", "role/a/b", "/a", "clusterrole/a"] {
            let said = text.parse::<Belonging>().unwrap_err();
            assert!(said.contains("serviceaccount, role, rolebinding"), "{said}");
        }
    }
}
