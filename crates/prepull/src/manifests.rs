//! The puller of a group of nodes, as Kubernetes takes it: a DaemonSet whose pods have one container for each image, so
//! that every image has a status of its own and a bad one never stops the others. Pure.
//!
//! The chart's templates write the same pod; fields are those of Kubernetes 1.20, image volumes excepted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::imageset::{ImageSet, Placement};

/// The program that pullers run, and the awaiter's: one image.
pub const OWN_IMAGE: &str = concat!("quay.io/jupyterhub/perijove-await:", env!("CARGO_PKG_VERSION"));

/// Taints of nodes that are new or lost: a puller that did not tolerate them would drop out of the count without a
/// word.
const NEW_OR_LOST: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
/// Nobody's user: images have no say in who runs.
const USER: u32 = 65534;

/// How an image comes to be in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mounted as a volume (Kubernetes 1.35 and later, or where the feature is on): nothing of it is run.
    ImageVolumes,
    /// Our program is handed in and run: images without a shell, and with any entrypoint, work.
    Noop,
}

/// An image of a puller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// As it is written.
    pub image: String,
    /// Always, IfNotPresent, Never; none leaves it to Kubernetes.
    pub pull_policy: Option<String>,
}

/// Images for the same nodes.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Which nodes.
    pub placement: Placement,
    /// The images, in the order in which they are pulled.
    pub images: Vec<Pulled>,
    /// Secrets that they are pulled with.
    pub pull_secrets: Vec<String>,
    /// Tolerations of its puller beyond those of its pods.
    pub tolerations: Vec<Value>,
}

impl Group {
    /// The groups of an image set that have images.
    pub fn of(set: &ImageSet) -> Vec<Group> {
        let policy = |image: &String| {
            let known = set.images.iter().find(|one| one.image == *image);
            known.and_then(|one| one.pull_policy.clone())
        };
        let groups = set.groups.iter().filter(|group| !group.images.is_empty());
        groups
            .map(|group| Group {
                placement: group.placement.clone(),
                images: group
                    .images
                    .iter()
                    .map(|image| Pulled { image: image.clone(), pull_policy: policy(image) })
                    .collect(),
                pull_secrets: group.pull_secrets.clone(),
                tolerations: set.puller_tolerations.clone(),
            })
            .collect()
    }
}

/// A puller.
#[derive(Clone, Debug)]
pub struct Puller<'a> {
    /// The DaemonSet's name.
    pub name: &'a str,
    /// Labels of the DaemonSet and its pods; they select the pods.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations of the DaemonSet.
    pub annotations: &'a BTreeMap<String, String>,
    /// What to which nodes.
    pub group: &'a Group,
    /// Requirements that each node meets besides (core/v1 NodeSelectorRequirement).
    pub only: &'a [Value],
    /// How.
    pub mode: Mode,
    /// [`OWN_IMAGE`], or a copy of it.
    pub own_image: &'a str,
}

impl Puller<'_> {
    /// The DaemonSet (apps/v1).
    pub fn daemon_set(&self) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": self.name, "labels": self.labels, "annotations": self.annotations},
            "spec": {
                "selector": {"matchLabels": self.labels},
                // It never changes under its name.
                "updateStrategy": {"type": "OnDelete"},
                "template": {"metadata": {"labels": self.labels}, "spec": self.pod()},
            },
        })
    }

    /// The pod (core/v1 PodSpec).
    pub fn pod(&self) -> Value {
        let mut volumes = Vec::new();
        let mut init = Vec::new();
        if self.mode == Mode::Noop {
            volumes.push(json!({"name": "perijove", "emptyDir": {"sizeLimit": "32Mi"}}));
            init.push(container(
                "install",
                self.own_image,
                json!({
                    "args": ["noop", "--install", "/perijove/noop"],
                    "volumeMounts": [{"name": "perijove", "mountPath": "/perijove"}],
                }),
            ));
        }
        let mut containers = Vec::new();
        for (number, pulled) in self.group.images.iter().enumerate() {
            let name = format!("image-{number}");
            let policy = |object: &mut Value, field: &str| {
                if let Some(policy) = &pulled.pull_policy {
                    object[field] = json!(policy);
                }
            };
            match self.mode {
                Mode::ImageVolumes => {
                    let mut image = json!({"reference": pulled.image});
                    policy(&mut image, "pullPolicy");
                    volumes.push(json!({"name": name, "image": image}));
                    let mounts = json!([{"name": name, "mountPath": "/image", "readOnly": true}]);
                    let more = json!({"args": ["noop"], "volumeMounts": mounts});
                    containers.push(container(&name, self.own_image, more));
                }
                Mode::Noop => {
                    let mounts = json!([{"name": "perijove", "mountPath": "/perijove", "readOnly": true}]);
                    let more =
                        json!({"command": ["/perijove/noop"], "workingDir": "/", "volumeMounts": mounts});
                    let mut one = container(&name, &pulled.image, more);
                    policy(&mut one, "imagePullPolicy");
                    containers.push(one);
                }
            }
        }
        let secrets: Vec<Value> = self.group.pull_secrets.iter().map(|name| json!({"name": name})).collect();
        let mut pod = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "nodeSelector": self.group.placement.node_selector,
            "tolerations": self.tolerations(),
            "imagePullSecrets": secrets,
            "initContainers": init,
            "containers": containers,
            "volumes": volumes,
        });
        let terms = self.terms();
        if !terms.is_empty() {
            let required = json!({"nodeSelectorTerms": terms});
            pod["affinity"] =
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
        }
        pod
    }

    fn tolerations(&self) -> Vec<Value> {
        let Group { placement, tolerations, .. } = self.group;
        let of_resources = placement.extended_resources.iter().map(String::as_str);
        let keys = of_resources.chain(NEW_OR_LOST.iter().copied());
        let by_key = keys.map(|key| json!({"key": key, "operator": "Exists"}));
        let mut all: Vec<Value> = Vec::new();
        for toleration in placement.tolerations.iter().chain(tolerations).cloned().chain(by_key) {
            if !all.contains(&toleration) {
                all.push(toleration);
            }
        }
        all
    }

    /// Any of the terms is enough, so each has to ask for what every node meets.
    fn terms(&self) -> Vec<Value> {
        let affinity = &self.group.placement.affinity;
        if self.only.is_empty() {
            return affinity.clone();
        }
        if affinity.is_empty() {
            return vec![json!({"matchExpressions": self.only})];
        }
        let with_only = |term: &Value| {
            let mut term = term.clone();
            let own = term.get("matchExpressions").and_then(Value::as_array).cloned().unwrap_or_default();
            // A term that asks for nothing is met by no node, and stays so.
            let asks = !own.is_empty() || term.get("matchFields").is_some_and(|fields| *fields != json!([]));
            if asks {
                term["matchExpressions"] = own.into_iter().chain(self.only.iter().cloned()).collect();
            }
            term
        };
        affinity.iter().map(with_only).collect()
    }
}

/// What every container is held to ("Restricted" of the Pod Security Standards, and a read-only root).
fn container(name: &str, image: &str, more: Value) -> Value {
    let mut container = json!({
        "name": name,
        "image": image,
        "resources": {
            "requests": {"cpu": "1m", "memory": "4Mi", "ephemeral-storage": "1Mi"},
            "limits": {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    if let (Value::Object(container), Value::Object(more)) = (&mut container, more) {
        container.extend(more);
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::awaiter::images::images_of;
    use crate::awaiter::model::DaemonSet;

    fn puller(mode: Mode, placement: Placement, only: &[Value]) -> Value {
        let labels = BTreeMap::from([("app.kubernetes.io/name".to_owned(), "perijove".to_owned())]);
        let images = [("lab:1", None), ("r:2", Some("Always"))].map(|(image, policy)| Pulled {
            image: image.to_owned(),
            pull_policy: policy.map(str::to_owned),
        });
        let group = Group {
            placement,
            images: images.into(),
            pull_secrets: vec!["regcred".to_owned()],
            tolerations: vec![json!({"key": "dedicated", "operator": "Exists"})],
        };
        let puller = Puller {
            name: "warm-1",
            labels: &labels,
            annotations: &BTreeMap::new(),
            group: &group,
            only,
            mode,
            own_image: "own:1",
        };
        puller.daemon_set()
    }

    #[test]
    fn the_awaiter_reads_which_container_stands_for_which_image() {
        for mode in [Mode::ImageVolumes, Mode::Noop] {
            let set: DaemonSet = serde_json::from_value(puller(mode, Placement::default(), &[])).unwrap();
            let found: Vec<(String, String)> = images_of(&set.spec.template.spec)
                .into_iter()
                .map(|one| (one.container.to_string(), one.image.to_string()))
                .collect();
            let expected = [("image-0", "lab:1"), ("image-1", "r:2")];
            assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{mode:?}");
        }
    }

    #[test]
    fn every_term_asks_for_what_all_nodes_meet() {
        let zone = json!({"key": "zone", "operator": "In", "values": ["a"]});
        let only = [json!({"key": "pool", "operator": "Exists"})];
        let terms = |affinity: Vec<Value>| {
            let placement = Placement { affinity, ..Placement::default() };
            let set = puller(Mode::Noop, placement, &only);
            let path = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
            set.pointer(path).cloned().unwrap_or_default()
        };
        assert_eq!(terms(vec![]), json!([{"matchExpressions": only}]));
        assert_eq!(
            terms(vec![json!({"matchExpressions": [zone]}), json!({})]),
            json!([{"matchExpressions": [zone, only[0]]}, {}])
        );
    }

    #[test]
    fn pullers_as_kubernetes_takes_them() {
        let placement = Placement {
            node_selector: BTreeMap::from([("pool".to_owned(), "gpu".to_owned())]),
            extended_resources: vec!["nvidia.com/gpu".to_owned()],
            ..Placement::default()
        };
        for (name, mode) in [("image_volumes", Mode::ImageVolumes), ("noop", Mode::Noop)] {
            let set = puller(mode, placement.clone(), &[]);
            insta::assert_snapshot!(name, serde_json::to_string_pretty(&set).unwrap());
        }
    }
}
