//! A puller's DaemonSet.

use serde_json::{Map, Value, json};

use super::name::{hash, name};
use crate::awaiter::images::INSTALL;
use crate::imageset::Placement;

/// Nobody.
const USER: u32 = 65534;
/// Where the `noop` lies in pods that run users' images.
const NOOP: &str = "/perijove/noop";

/// Which puller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// Before an upgrade.
    Hook,
    /// For as long as the release lives.
    Continuous,
    /// From `perijove warm`.
    Warm,
}

impl Component {
    /// The label `app.kubernetes.io/component`.
    pub fn label(self) -> &'static str {
        match self {
            Component::Hook => "hook-image-puller",
            Component::Continuous => "continuous-image-puller",
            Component::Warm => "warm-image-puller",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Component::Hook => "hook",
            Component::Continuous => "continuous",
            Component::Warm => "warm",
        }
    }
}

/// How images are brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As volumes: nothing of them is run. Kubernetes 1.35 and later.
    ImageVolumes,
    /// Each runs a `noop` that is handed in: needs nothing of the image, on any Kubernetes.
    Noop,
}

/// An image to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullerImage {
    /// As it is written.
    pub reference: String,
    /// `Always`, `IfNotPresent`, `Never`; Kubernetes decides by the tag where none is said.
    pub pull_policy: Option<String>,
}

/// What a puller is made of.
#[derive(Clone, Debug)]
pub struct Puller<'a> {
    /// The release, for names and labels.
    pub instance: &'a str,
    /// Where to.
    pub namespace: &'a str,
    /// Which puller it is.
    pub component: Component,
    /// The images in the order in which they are brought.
    pub images: &'a [PullerImage],
    /// Which nodes.
    pub placement: &'a Placement,
    /// Taints that pullers take beyond their group's pods.
    pub tolerations: &'a [Value],
    /// Secrets to pull with.
    pub pull_secrets: &'a [String],
    /// The image of `perijove-awaiter`.
    pub own_image: &'a str,
    /// How images are brought.
    pub mode: Mode,
    /// The pods' priority class.
    pub priority_class: Option<&'a str>,
}

/// The DaemonSet; its name and the label `perijove.jupyter.org/image-set` tell its image set.
pub fn daemonset(puller: &Puller<'_>) -> Value {
    let hash = hash(puller);
    let labels = json!({
        "app.kubernetes.io/name": "perijove",
        "app.kubernetes.io/instance": label(puller.instance),
        "app.kubernetes.io/component": puller.component.label(),
        "app.kubernetes.io/managed-by": "perijove",
        "perijove.jupyter.org/image-set": hash,
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": name(puller.instance, puller.component.word(), &hash),
            "namespace": puller.namespace,
            "labels": labels,
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
            "revisionHistoryLimit": 0,
            "template": {"metadata": {"labels": labels}, "spec": pod(puller)},
        },
    })
}

/// A label's value for whatever the instance is called.
fn label(instance: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let text: String = instance.chars().map(valid).take(63).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn pod(puller: &Puller<'_>) -> Value {
    let mut spec = Map::new();
    let mut set = |key: &str, value: Value| {
        let says_nothing = value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !says_nothing {
            spec.insert(key.to_owned(), value);
        }
    };
    set("automountServiceAccountToken", json!(false));
    set("enableServiceLinks", json!(false));
    set("terminationGracePeriodSeconds", json!(0));
    set(
        "securityContext",
        json!({
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    set("priorityClassName", json!(puller.priority_class));
    set("nodeSelector", json!(puller.placement.node_selector));
    set("tolerations", Value::Array(tolerations(puller)));
    if !puller.placement.affinity.is_empty() {
        let terms = &puller.placement.affinity;
        let required = json!({"nodeSelectorTerms": terms});
        set(
            "affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}),
        );
    }
    let secrets = puller.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    set("imagePullSecrets", Value::Array(secrets));
    match puller.mode {
        Mode::ImageVolumes => {
            set(
                "containers",
                each(puller, |at, _| {
                    let mount =
                        json!([{"name": format!("image-{at}"), "mountPath": "/image", "readOnly": true}]);
                    container(
                        &format!("image-{at}"),
                        puller.own_image,
                        None,
                        &json!(["noop"]),
                        "args",
                        &mount,
                    )
                }),
            );
            set(
                "volumes",
                each(puller, |at, image| {
                    let mut source = Map::from_iter([("reference".to_owned(), json!(image.reference))]);
                    if let Some(policy) = &image.pull_policy {
                        source.insert("pullPolicy".to_owned(), json!(policy));
                    }
                    json!({"name": format!("image-{at}"), "image": source})
                }),
            );
        }
        Mode::Noop => {
            let mount = || json!([{"name": "perijove", "mountPath": "/perijove"}]);
            let install = json!(["noop", "--install", NOOP]);
            set(
                "initContainers",
                json!([container(INSTALL, puller.own_image, None, &install, "args", &mount())]),
            );
            set(
                "containers",
                each(puller, |at, image| {
                    let mut mount = mount();
                    mount[0]["readOnly"] = json!(true);
                    let policy = image.pull_policy.as_deref();
                    container(
                        &format!("image-{at}"),
                        &image.reference,
                        policy,
                        &json!([NOOP]),
                        "command",
                        &mount,
                    )
                }),
            );
            set("volumes", json!([{"name": "perijove", "emptyDir": {"sizeLimit": "32Mi"}}]));
        }
    }
    Value::Object(spec)
}

fn each(puller: &Puller<'_>, make: impl Fn(usize, &PullerImage) -> Value) -> Value {
    puller.images.iter().enumerate().map(|(at, image)| make(at, image)).collect()
}

fn container(
    name: &str,
    image: &str,
    policy: Option<&str>,
    words: &Value,
    as_: &str,
    mounts: &Value,
) -> Value {
    let mut value = json!({
        "name": name,
        "image": image,
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
        },
        "volumeMounts": mounts,
    });
    value[as_] = words.clone();
    if let Some(policy) = policy {
        value["imagePullPolicy"] = json!(policy);
    }
    value
}

/// The group's, the pullers' own, those of resources that the cluster would add to users' pods, and those that keep
/// a lost or a very new node among the desired ones.
fn tolerations(puller: &Puller<'_>) -> Vec<Value> {
    let resources = puller.placement.extended_resources.iter();
    let resources =
        resources.map(|resource| json!({"key": resource, "operator": "Exists", "effect": "NoSchedule"}));
    let lost = ["not-ready", "unreachable"].into_iter().flat_map(|word| {
        ["NoSchedule", "NoExecute"].map(|effect| {
            json!({"key": format!("node.kubernetes.io/{word}"), "operator": "Exists", "effect": effect})
        })
    });
    let mut all: Vec<Value> = Vec::new();
    let own = puller.placement.tolerations.iter().chain(puller.tolerations).cloned();
    for toleration in own.chain(resources).chain(lost) {
        if !all.contains(&toleration) {
            all.push(toleration);
        }
    }
    all
}
