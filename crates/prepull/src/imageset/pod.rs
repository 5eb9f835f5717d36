//! From settings to the pod that KubeSpawner makes of them (`kubespawner.objects.make_pod`, 7.1): its images and
//! where it can land.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::node::{Node, Value};
use super::set::{Placement, Role};
use super::sources::overrides::ANY;
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

/// A setting of the pod.
struct Field<'n> {
    node: Option<&'n Node>,
    /// Whether KubeSpawner fills in `{username}` and the like: it does in all that `extra_pod_config` says.
    template: bool,
}

/// What `extra_pod_config` says of a field, null too; else the setting.
fn either<'n>(
    config: Option<&'n Node>,
    camel: &str,
    snake: &str,
    setting: impl FnOnce() -> Option<&'n Node>,
) -> Field<'n> {
    match has(config, camel, snake) {
        true => Field { node: field(config, camel, snake), template: true },
        false => Field { node: setting(), template: false },
    }
}

/// The containers of a pod.
struct Containers<'n> {
    /// Whether the user's own is made from the settings, not by `extra_pod_config`.
    own: bool,
    beside: Vec<&'n Node>,
    init: Vec<&'n Node>,
}

fn containers<'n>(store: &'n Store, settings: &Settings) -> Containers<'n> {
    let value = |attr| store.value(settings, attr);
    let config = value(Attr::ExtraPodConfig);
    let beside = either(config, "containers", "containers", || value(Attr::ExtraContainers));
    let init = either(config, "initContainers", "init_containers", || value(Attr::InitContainers));
    let items = |field: &Field<'n>| field.node.map(Node::items).unwrap_or_default();
    Containers { own: !beside.template, beside: items(&beside), init: items(&init) }
}

/// All images of a pod with these settings.
pub fn images<'n>(store: &'n Store, settings: &Settings) -> Vec<Used<'n>> {
    let value = |attr| store.value(settings, attr);
    let config = value(Attr::ExtraPodConfig);
    let containers = containers(store, settings);
    let mut used = Vec::new();
    if containers.own {
        let own = value(Attr::ExtraContainerConfig);
        if let Some(image) = own.and_then(|own| own.get("image")).or_else(|| value(Attr::Image)) {
            let policy =
                field(own, "imagePullPolicy", "image_pull_policy").or_else(|| value(Attr::ImagePullPolicy));
            used.push(Used { image, role: Role::User, policy: said(policy), template: false });
        }
    }
    for (list, role) in [(&containers.beside, Role::Sidecar), (&containers.init, Role::Init)] {
        for container in list {
            if let Some(image) = container.get("image") {
                let policy = said(field(Some(container), "imagePullPolicy", "image_pull_policy"));
                used.push(Used { image, role, policy, template: true });
            }
        }
    }
    let volumes = either(config, "volumes", "volumes", || value(Attr::Volumes));
    for volume in volumes.node.map(Node::items).unwrap_or_default() {
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

fn said(policy: Option<&Node>) -> Option<&str> {
    policy.and_then(Node::text).filter(|policy| !policy.is_empty() && !policy.contains(ANY))
}

/// The pull secrets of the pod.
pub struct Secrets<'n> {
    /// Their names.
    pub names: Vec<String>,
    /// One of which only the user's name or words would tell the name.
    pub open: Option<Open<'n>>,
}

/// The names of the pod's pull secrets.
pub fn pull_secrets<'n>(store: &'n Store, settings: &Settings) -> Secrets<'n> {
    let config = store.value(settings, Attr::ExtraPodConfig);
    let list = either(config, "imagePullSecrets", "image_pull_secrets", || {
        store.value(settings, Attr::ImagePullSecrets)
    });
    let mut names = secret_names(list.node);
    names.retain(|name| !is_open(name, list.template));
    Secrets { names, open: list.node.and_then(|node| open(node, list.template, "pull secret")) }
}

/// Names of secrets: texts or `{name}`; a single text is allowed.
pub fn secret_names(list: Option<&Node>) -> Vec<String> {
    let Some(list) = list else { return Vec::new() };
    let nodes = if list.text().is_some() { vec![list] } else { list.items() };
    let name = |node: &Node| node.text().or_else(|| node.get("name").and_then(Node::text)).map(str::to_owned);
    nodes.into_iter().filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// A text that the user's name or the user's own words complete.
pub struct Open<'n> {
    /// What it decides.
    pub what: &'static str,
    /// Where it stands.
    pub node: &'n Node,
    /// The text; what a user types in it is [`ANY`].
    pub text: String,
}

fn is_open(text: &str, template: bool) -> bool {
    text.contains(ANY) || (template && text.contains('{'))
}

/// The first such text in `node`.
fn open<'n>(node: &'n Node, template: bool, what: &'static str) -> Option<Open<'n>> {
    match &node.value {
        Value::Text(text) if is_open(text, template) => Some(Open { what, node, text: text.clone() }),
        Value::List(items) => items.iter().find_map(|item| open(item, template, what)),
        // KubeSpawner fills in keys for the user's own words alone.
        Value::Map(map) => map.iter().find_map(|(key, item)| match key.contains(ANY) {
            true => Some(Open { what, node: item, text: key.clone() }),
            false => open(item, template, what),
        }),
        _ => None,
    }
}

/// Where a pod can land.
pub struct Landing<'n> {
    /// The place; none where only the user's name or words would tell.
    pub placement: Option<Placement>,
    /// What only these would tell.
    pub open: Vec<Open<'n>>,
}

/// Where the pod can land. A toleration that is not known is left out: the pod also lands where none is needed.
pub fn landing<'n>(store: &'n Store, settings: &Settings) -> Landing<'n> {
    let value = |attr| store.value(settings, attr);
    let config = value(Attr::ExtraPodConfig);
    let mut unknown = Vec::new();
    let mut deciding = Vec::new();

    let selector = either(config, "nodeSelector", "node_selector", || value(Attr::NodeSelector));
    deciding.extend(selector.node.and_then(|node| open(node, selector.template, "node selector")));

    let tolerations = either(config, "tolerations", "tolerations", || value(Attr::Tolerations));
    let mut taken = Vec::new();
    for toleration in tolerations.node.map(Node::items).unwrap_or_default() {
        match open(toleration, tolerations.template, "toleration") {
            Some(open) => unknown.push(open),
            None => taken.push(toleration.json()),
        }
    }

    let affinity = either(config, "affinity", "affinity", || value(Attr::NodeAffinityRequired));
    let terms = match affinity.template {
        true => {
            let node = field(affinity.node, "nodeAffinity", "node_affinity");
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            let snake = "required_during_scheduling_ignored_during_execution";
            field(field(node, required, snake), "nodeSelectorTerms", "node_selector_terms")
        }
        false => affinity.node,
    };
    deciding.extend(terms.and_then(|node| open(node, affinity.template, "node affinity")));
    let mut affinity: Vec<serde_json::Value> =
        terms.map(Node::items).unwrap_or_default().into_iter().map(Node::json).collect();
    if let Some(node) = field(config, "nodeName", "node_name") {
        deciding.extend(open(node, true, "node name"));
        on_node(&mut affinity, node);
    }

    let extended_resources = extended_resources(store, settings, &mut deciding);
    let placement = deciding.is_empty().then(|| Placement {
        node_selector: labels(selector.node),
        tolerations: taken,
        affinity,
        extended_resources,
    });
    unknown.extend(deciding);
    Landing { placement, open: unknown }
}

/// The labels of a node selector, as texts.
fn labels(selector: Option<&Node>) -> BTreeMap<String, String> {
    let Some(Value::Map(map)) = selector.map(|node| &node.value) else { return BTreeMap::new() };
    let text = |node: &Node| match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    };
    map.iter().filter_map(|(label, node)| Some((label.clone(), text(node)?))).collect()
}

/// `nodeName` as required affinity, beside what each term asks for already.
fn on_node(affinity: &mut Vec<serde_json::Value>, name: &Node) {
    let Some(name) = name.text().filter(|name| !name.is_empty()) else { return };
    let field = json!({"key": "metadata.name", "operator": "In", "values": [name]});
    if affinity.is_empty() {
        affinity.push(json!({}));
    }
    for term in affinity.iter_mut().filter_map(serde_json::Value::as_object_mut) {
        let fields = term.entry("matchFields").or_insert_with(|| json!([]));
        if let Some(fields) = fields.as_array_mut() {
            fields.push(field.clone());
        }
    }
}

/// Resources as `nvidia.com/gpu` that any container of the pod asks for.
fn extended_resources<'n>(store: &'n Store, settings: &Settings, unknown: &mut Vec<Open<'n>>) -> Vec<String> {
    let value = |attr| store.value(settings, attr);
    let containers = containers(store, settings);
    let mut asking: Vec<&Node> = Vec::new();
    let own = value(Attr::ExtraContainerConfig).filter(|own| has(Some(own), "resources", "resources"));
    match (containers.own, own) {
        // It replaces what the settings say.
        (true, Some(own)) => asking.extend(own.get("resources").into_iter().flat_map(resources)),
        (true, None) => {
            asking.extend(
                [Attr::ExtraResourceLimits, Attr::ExtraResourceGuarantees].into_iter().filter_map(value),
            );
        }
        (false, _) => {}
    }
    let others = containers.beside.iter().chain(&containers.init);
    asking.extend(others.filter_map(|container| container.get("resources")).flat_map(resources));
    let mut names = BTreeSet::new();
    for map in asking {
        let Value::Map(entries) = &map.value else { continue };
        for (name, _) in entries.iter().filter(|(name, count)| name.contains('/') && counts(count)) {
            match name.contains(ANY) {
                true => unknown.extend(open(map, false, "resource")),
                false => drop(names.insert(name.clone())),
            }
        }
    }
    names.into_iter().collect()
}

fn resources(node: &Node) -> impl Iterator<Item = &Node> {
    ["limits", "requests"].into_iter().filter_map(|kind| node.get(kind))
}

fn counts(count: &Node) -> bool {
    count.is_truthy() && count.text() != Some("0")
}
