//! `singleuser.*` and `hub.config`: the settings before a profile is chosen, as the chart's `jupyterhub_config.py`
//! makes them. `hub.config.KubeSpawner` replaces what `singleuser.*` says.

use std::collections::BTreeMap;

use super::overrides::check;
use crate::Error;
use crate::imageset::group::Gathered;
use crate::imageset::node::{Node, Places, Value};
use crate::imageset::spawner::{Attr, Settings, Store};

/// KubeSpawner's configuration, by the trait's name.
pub struct Base {
    /// Settings before a profile.
    pub settings: Settings,
    /// `profile_list`.
    pub profile_list: Option<Node>,
}

/// KubeSpawner's own default, where the values name no image.
const IMAGE: &str = "quay.io/jupyterhub/singleuser:latest";

/// Plain copies: the setting and its key path.
const COPIES: [(Attr, &str); 5] = [
    (Attr::NodeSelector, "singleuser.nodeSelector"),
    (Attr::ExtraContainers, "singleuser.extraContainers"),
    (Attr::ExtraResourceLimits, "singleuser.extraResource.limits"),
    (Attr::ExtraResourceGuarantees, "singleuser.extraResource.guarantees"),
    (Attr::ExtraPodConfig, "singleuser.extraPodConfig"),
];

/// What the chart's own code makes of `values`.
pub fn base(
    values: &Node,
    store: &mut Store,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<Base, Error> {
    let mut base = Base {
        settings: Settings::default(),
        profile_list: values.at_path("singleuser.profileList").cloned(),
    };
    for path in ["singleuser", "singleuser.image", "hub", "hub.config", "scheduling", "prePuller"] {
        if let Some(node) = values.at_path(path) {
            places.mapping(node)?;
        }
    }
    let mut set = |attr: Attr, node: &Node| -> Result<(), Error> {
        check(attr, node, places)?;
        base.settings.set(attr, store.keep(attr, node));
        Ok(())
    };
    for (attr, path) in COPIES {
        if let Some(node) = values.at_path(path) {
            set(attr, node)?;
        }
    }
    let image = values.at_path("singleuser.image").map(|image| named(image, places)).transpose()?.flatten();
    set(Attr::Image, &image.unwrap_or_else(|| Node::like(Value::Text(IMAGE.to_owned()), values)))?;
    if let Some(volumes) = values.at_path("singleuser.storage.extraVolumes") {
        check(Attr::Volumes, volumes, places)?;
        set(Attr::Volumes, &by_name(volumes))?;
    }
    if let Some(policy) = values.at_path("singleuser.image.pullPolicy") {
        set(Attr::ImagePullPolicy, policy)?;
    }
    set(Attr::ImagePullSecrets, &pull_secrets(values, places, gathered)?)?;
    let tolerations = ["scheduling.userPods.tolerations", "singleuser.extraTolerations"];
    set(Attr::Tolerations, &joined(values, &tolerations, places)?)?;
    set(Attr::NodeAffinityRequired, &affinity(values, places)?)?;
    set(Attr::InitContainers, &init_containers(values, places)?)?;
    if let Some(Value::Map(labels)) = values.at_path("singleuser.nodeSelector").map(|node| &node.value) {
        for label in labels.values().filter(|label| label.is_null()) {
            gathered.note(label, "the null stays, and Kubernetes takes it for an empty label: no such node");
        }
    }
    config(values, &mut base, store, places, gathered)?;
    Ok(base)
}

/// The chart keeps volumes by their names, also those of a list, so that a profile can change one.
fn by_name(volumes: &Node) -> Node {
    let name = |volume: &Node| volume.get("name").and_then(Node::text).map(str::to_owned);
    match &volumes.value {
        Value::List(items) if items.iter().all(|volume| name(volume).is_some()) => {
            let named = items.iter().filter_map(|volume| Some((name(volume)?, volume.clone()))).collect();
            Node::like(Value::Map(named), volumes)
        }
        _ => volumes.clone(),
    }
}

/// The image of a mapping with `name` and `tag`: `name:tag`, or the name alone where the tag is missing or empty.
pub fn named(image: &Node, places: &Places) -> Result<Option<Node>, Error> {
    places.mapping(image)?;
    let Some(name) = image.get("name") else { return Ok(None) };
    let text = places.text(name)?;
    let tag = image.get("tag").map(|tag| places.text(tag)).transpose()?.unwrap_or("");
    if text.is_empty() {
        return Ok(None);
    }
    let whole = if tag.is_empty() { text.to_owned() } else { format!("{text}:{tag}") };
    Ok(Some(Node { value: Value::Text(whole), at: name.at, path: image.path }))
}

/// The lists at several key paths, one behind the other.
fn joined(values: &Node, paths: &[&str], places: &Places) -> Result<Node, Error> {
    let mut items = Vec::new();
    for node in paths.iter().filter_map(|path| values.at_path(path)) {
        match &node.value {
            Value::List(_) | Value::Map(_) => items.extend(node.items().into_iter().cloned()),
            _ => return Err(places.expected(node, "a list")),
        }
    }
    Ok(Node::like(Value::List(items), values))
}

fn pull_secrets(values: &Node, places: &Places, gathered: &mut Gathered) -> Result<Node, Error> {
    let mut list = joined(values, &["imagePullSecrets", "singleuser.image.pullSecrets"], places)?;
    let on = |path: &str| values.at_path(path).is_some_and(Node::is_truthy);
    if let Value::List(items) = &mut list.value
        && on("imagePullSecret.create")
        && on("imagePullSecret.automaticReferenceInjection")
    {
        items.insert(0, Node::like(Value::Text(made_secret(values, gathered)), values));
    }
    Ok(list)
}

/// What the chart calls the secret that it makes itself: `jupyterhub.fullname` in front of it.
fn made_secret(values: &Node, gathered: &mut Gathered) -> String {
    let own = "image-pull-secret";
    let Value::Map(map) = &values.value else { return own.to_owned() };
    match map.get("fullnameOverride") {
        Some(name) if name.text().is_some_and(|name| !name.is_empty()) => {
            format!("{}-{own}", name.text().unwrap_or_default())
        }
        Some(name) if name.text().is_none() => {
            gathered.note(
                name,
                "the name of the chart's own pull secret begins with the release's, which no values tell",
            );
            own.to_owned()
        }
        _ => own.to_owned(),
    }
}

fn affinity(values: &Node, places: &Places) -> Result<Node, Error> {
    let mut list = joined(values, &["singleuser.extraNodeAffinity.required"], places)?;
    let purpose = values.at_path("scheduling.userPods.nodeAffinity.matchNodePurpose");
    if let (Some(purpose), Value::List(items)) = (purpose, &mut list.value)
        && purpose.text() == Some("require")
    {
        let text = |text: &str| Node::like(Value::Text(text.to_owned()), purpose);
        let map = |entries: Vec<(&str, Node)>| {
            let entries: BTreeMap<String, Node> =
                entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect();
            Node::like(Value::Map(entries), purpose)
        };
        let list = |items: Vec<Node>| Node::like(Value::List(items), purpose);
        let expression = map(vec![
            ("key", text("hub.jupyter.org/node-purpose")),
            ("operator", text("In")),
            ("values", list(vec![text("user")])),
        ]);
        items.push(map(vec![("matchExpressions", list(vec![expression]))]));
    }
    Ok(list)
}

/// `singleuser.initContainers` and the container that keeps users from the cloud's metadata.
fn init_containers(values: &Node, places: &Places) -> Result<Node, Error> {
    let mut list = joined(values, &["singleuser.initContainers"], places)?;
    let block = values
        .at_path("singleuser.cloudMetadata.blockWithIptables")
        .is_some_and(|node| matches!(node.value, Value::Bool(true)));
    if let (true, Value::List(items), Some(image)) =
        (block, &mut list.value, values.at_path("singleuser.networkTools.image"))
        && let Some(node) = named(image, places)?
    {
        let mut container = BTreeMap::new();
        if let Some(policy) = image.get("pullPolicy").filter(|policy| policy.is_truthy()) {
            container.insert("imagePullPolicy".to_owned(), policy.clone());
        }
        container.insert("image".to_owned(), node);
        items.push(Node::like(Value::Map(container), image));
    }
    Ok(list)
}

/// `hub.config`: the class Spawner gives way to KubeSpawner, subclasses of it come last.
fn config(
    values: &Node,
    base: &mut Base,
    store: &mut Store,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    let Some(config) = values.at_path("hub.config") else { return Ok(()) };
    let mut classes: Vec<(&String, &Node)> =
        places.mapping(config)?.iter().filter(|(class, node)| is_class(class) && !node.is_null()).collect();
    classes.sort_by_key(|(class, _)| match class.as_str() {
        "Spawner" => 0,
        "KubeSpawner" => 1,
        _ => 2,
    });
    for (class, traits) in classes {
        let traits = places.mapping(traits)?;
        for (name, node) in traits {
            assign(base, class, name, node, traits, store, places)?;
        }
    }
    let class = config.at_path("JupyterHub.spawner_class");
    if let Some(class) = class
        && !class.text().is_some_and(is_kubespawner)
    {
        gathered.unknown(class, "own spawner class");
    }
    Ok(())
}

/// Whether a class of the configuration is KubeSpawner, one above or one below it.
pub fn is_class(class: &str) -> bool {
    class.ends_with("Spawner")
        && !["Docker", "Process", "Swarm", "SystemUser"].iter().any(|other| class.contains(other))
}

/// Whether a spawner class is KubeSpawner itself.
pub fn is_kubespawner(class: &str) -> bool {
    matches!(class, "kubespawner" | "kube" | "kubespawner.KubeSpawner" | "kubespawner.spawner.KubeSpawner")
}

fn assign(
    base: &mut Base,
    class: &str,
    name: &str,
    node: &Node,
    traits: &BTreeMap<String, Node>,
    store: &mut Store,
    places: &Places,
) -> Result<(), Error> {
    if name == "profile_list" {
        base.profile_list = Some(node.clone()).filter(|node| !node.is_null());
        return Ok(());
    }
    let Some(attr) = Attr::of(name) else { return Ok(()) };
    // The chart always sets KubeSpawner.image, and a deprecated name gives way to the present one.
    let hidden = (class == "Spawner" || Attr::is_deprecated(name)) && base.settings.number(attr) != 0;
    let present = Attr::is_deprecated(name)
        && traits.keys().any(|other| other != name && Attr::of(other) == Some(attr));
    if hidden || present {
        return Ok(());
    }
    check(attr, node, places)?;
    base.settings.set(attr, store.keep(attr, node));
    Ok(())
}
