//! From settings to the pod that KubeSpawner makes of them (`kubespawner.objects.make_pod`, 7.1): its images and
//! where it can land.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Node, Value};
use super::set::{Placement, Role};
use super::spawner::{Attr, Settings, Store};

/// An image in a pod.
pub struct Used<'n> {
    /// The text that names it, with its origin.
    pub image: &'n Node,
    /// What it is there for.
    pub role: Role,
    /// Its pull policy, if one is said.
    pub policy: Option<&'n str>,
    /// Whether KubeSpawner fills in `{username}` and the like.
    pub template: bool,
}

/// The fields of a pod or a container, by camelCase or snake_case name (`extra_pod_config` takes both).
fn field<'n>(config: Option<&'n Node>, camel: &str, snake: &str) -> Option<&'n Node> {
    let config = config?;
    config.get(camel).or_else(|| config.get(snake))
}

fn has(config: Option<&Node>, camel: &str, snake: &str) -> bool {
    matches!(config.map(|node| &node.value), Some(Value::Map(map)) if map.contains_key(camel) || map.contains_key(snake))
}

/// All images of a pod with these settings.
pub fn images<'n>(store: &'n Store, settings: &Settings) -> Vec<Used<'n>> {
    let value = |attr| store.value(settings, attr);
    let config = value(Attr::ExtraPodConfig);
    let mut used = Vec::new();
    if has(config, "containers", "containers") {
        containers(field(config, "containers", "containers"), Role::Sidecar, &mut used);
    } else {
        let own = value(Attr::ExtraContainerConfig);
        if let Some(image) = own.and_then(|own| own.get("image")).or_else(|| value(Attr::Image)) {
            let policy =
                field(own, "imagePullPolicy", "image_pull_policy").or_else(|| value(Attr::ImagePullPolicy));
            used.push(Used { image, role: Role::User, policy: said(policy), template: false });
        }
        containers(value(Attr::ExtraContainers), Role::Sidecar, &mut used);
    }
    let init = match has(config, "initContainers", "init_containers") {
        true => field(config, "initContainers", "init_containers"),
        false => value(Attr::InitContainers),
    };
    containers(init, Role::Init, &mut used);
    let volumes = match has(config, "volumes", "volumes") {
        true => field(config, "volumes", "volumes"),
        false => value(Attr::Volumes),
    };
    for volume in volumes.map(Node::items).unwrap_or_default() {
        // Image volumes: KEP-4639.
        if let Some(source) = volume.get("image")
            && let Some(image) = source.get("reference")
        {
            let policy = said(source.get("pullPolicy"));
            used.push(Used { image, role: Role::Volume, policy, template: true });
        }
    }
    used
}

fn containers<'n>(list: Option<&'n Node>, role: Role, used: &mut Vec<Used<'n>>) {
    for container in list.map(Node::items).unwrap_or_default() {
        if let Some(image) = container.get("image") {
            let policy = said(field(Some(container), "imagePullPolicy", "image_pull_policy"));
            used.push(Used { image, role, policy, template: true });
        }
    }
}

fn said(policy: Option<&Node>) -> Option<&str> {
    policy.and_then(Node::text).filter(|policy| !policy.is_empty())
}

/// The names of the pod's pull secrets.
pub fn pull_secrets(store: &Store, settings: &Settings) -> Vec<String> {
    let config = store.value(settings, Attr::ExtraPodConfig);
    let list = match has(config, "imagePullSecrets", "image_pull_secrets") {
        true => field(config, "imagePullSecrets", "image_pull_secrets"),
        false => store.value(settings, Attr::ImagePullSecrets),
    };
    secret_names(list)
}

/// Names of secrets: texts or `{name}`; a single text is allowed.
pub fn secret_names(list: Option<&Node>) -> Vec<String> {
    let Some(list) = list else { return Vec::new() };
    let nodes = if list.text().is_some() { vec![list] } else { list.items() };
    let name = |node: &Node| node.text().or_else(|| node.get("name").and_then(Node::text)).map(str::to_owned);
    nodes.into_iter().filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// Where the pod can land; none where only code or the user's own words would tell.
pub fn placement(store: &Store, settings: &Settings) -> Option<Placement> {
    let value = |attr| store.value(settings, attr);
    let config = value(Attr::ExtraPodConfig);
    let selector = match has(config, "nodeSelector", "node_selector") {
        true => field(config, "nodeSelector", "node_selector"),
        false => value(Attr::NodeSelector),
    };
    let mut node_selector = BTreeMap::new();
    if let Some(Value::Map(map)) = selector.map(|node| &node.value) {
        for (label, node) in map {
            let text = match &node.value {
                Value::Text(text) | Value::Number(text) => text.clone(),
                Value::Bool(yes) => yes.to_string(),
                _ => continue,
            };
            if text.contains(super::sources::overrides::ANY) || label.contains(super::sources::overrides::ANY)
            {
                return None;
            }
            node_selector.insert(label.clone(), text);
        }
    }
    let tolerations = match has(config, "tolerations", "tolerations") {
        true => field(config, "tolerations", "tolerations"),
        false => value(Attr::Tolerations),
    };
    let affinity = match has(config, "affinity", "affinity") {
        true => field(config, "affinity", "affinity").and_then(|affinity| {
            let node = field(Some(affinity), "nodeAffinity", "node_affinity");
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            let snake = "required_during_scheduling_ignored_during_execution";
            field(field(node, required, snake), "nodeSelectorTerms", "node_selector_terms")
        }),
        false => value(Attr::NodeAffinityRequired),
    };
    let json =
        |list: Option<&Node>| list.map(Node::items).unwrap_or_default().iter().map(|n| n.json()).collect();
    let mut extended_resources = BTreeSet::new();
    for attr in [Attr::ExtraResourceLimits, Attr::ExtraResourceGuarantees] {
        if let Some(Value::Map(map)) = value(attr).map(|node| &node.value) {
            let asked = map.iter().filter(|(name, count)| name.contains('/') && counts(count));
            extended_resources.extend(asked.map(|(name, _)| name.clone()));
        }
    }
    let extended_resources = extended_resources.into_iter().collect();
    Some(Placement {
        node_selector,
        tolerations: json(tolerations),
        affinity: json(affinity),
        extended_resources,
    })
}

fn counts(count: &Node) -> bool {
    count.is_truthy() && count.text() != Some("0")
}
