//! KubeSpawner's settings and how an override changes them (`KubeSpawner._apply_overrides`, 7.1): a dictionary is
//! merged into a dictionary, where null removes a key; all else replaces.
//!
//! Values are kept once each and settings are numbers, so that many combinations of options cost little.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::node::{Node, Value};

/// The settings that decide which images a pod has and where it lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "named after KubeSpawner's own")]
pub enum Attr {
    Image,
    ImagePullPolicy,
    ImagePullSecrets,
    InitContainers,
    ExtraContainers,
    ExtraContainerConfig,
    ExtraPodConfig,
    Volumes,
    NodeSelector,
    Tolerations,
    NodeAffinityRequired,
    ExtraResourceLimits,
    ExtraResourceGuarantees,
}

const NAMES: [(&str, Attr); 22] = [
    ("image", Attr::Image),
    ("image_pull_policy", Attr::ImagePullPolicy),
    ("image_pull_secrets", Attr::ImagePullSecrets),
    ("init_containers", Attr::InitContainers),
    ("extra_containers", Attr::ExtraContainers),
    ("extra_container_config", Attr::ExtraContainerConfig),
    ("extra_pod_config", Attr::ExtraPodConfig),
    ("volumes", Attr::Volumes),
    ("node_selector", Attr::NodeSelector),
    ("tolerations", Attr::Tolerations),
    ("node_affinity_required", Attr::NodeAffinityRequired),
    ("extra_resource_limits", Attr::ExtraResourceLimits),
    ("extra_resource_guarantees", Attr::ExtraResourceGuarantees),
    // `_deprecated_traits`: names that still work.
    ("image_spec", Attr::Image),
    ("singleuser_image_spec", Attr::Image),
    ("singleuser_image_pull_policy", Attr::ImagePullPolicy),
    ("singleuser_image_pull_secrets", Attr::ImagePullSecrets),
    ("singleuser_node_selector", Attr::NodeSelector),
    ("singleuser_init_containers", Attr::InitContainers),
    ("singleuser_extra_containers", Attr::ExtraContainers),
    ("singleuser_extra_container_config", Attr::ExtraContainerConfig),
    ("singleuser_extra_pod_config", Attr::ExtraPodConfig),
];

/// How many settings there are.
pub const COUNT: usize = 13;

impl Attr {
    /// The setting of a trait's name, deprecated names too.
    pub fn of(name: &str) -> Option<Attr> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, attr)| *attr)
    }

    /// Whether a name is a deprecated one, which gives way to the present one in configuration.
    pub fn is_deprecated(name: &str) -> bool {
        name == "image_spec" || name.starts_with("singleuser_")
    }

    /// Whether images are named in it: then two equal values from two places are two, so that both are told.
    fn names_images(self) -> bool {
        matches!(
            self,
            Attr::Image
                | Attr::InitContainers
                | Attr::ExtraContainers
                | Attr::ExtraContainerConfig
                | Attr::ExtraPodConfig
                | Attr::Volumes
        )
    }
}

/// All settings of a pod, as numbers of the [`Store`]; 0 is unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings([u32; COUNT]);

impl Settings {
    /// The number of a setting's value.
    pub fn number(&self, attr: Attr) -> u32 {
        self.0[attr as usize]
    }

    /// Sets it, whatever was there.
    pub fn set(&mut self, attr: Attr, number: u32) {
        self.0[attr as usize] = number;
    }
}

/// Every value of a setting, once.
#[derive(Default)]
pub struct Store {
    nodes: Vec<Rc<Node>>,
    numbers: HashMap<(bool, String), u32>,
    merged: HashMap<(Attr, u32, u32), u32>,
}

impl Store {
    /// The number of a value; null is 0, unset.
    pub fn keep(&mut self, attr: Attr, node: &Node) -> u32 {
        if node.is_null() {
            return 0;
        }
        let mut text = String::new();
        node.canonical(attr.names_images(), &mut text);
        let next = u32::try_from(self.nodes.len() + 1).unwrap_or(u32::MAX);
        *self.numbers.entry((attr.names_images(), text)).or_insert_with(|| {
            self.nodes.push(Rc::new(node.clone()));
            next
        })
    }

    /// The value of a setting.
    pub fn value(&self, settings: &Settings, attr: Attr) -> Option<&Node> {
        self.node(settings.number(attr)).map(Rc::as_ref)
    }

    fn node(&self, number: u32) -> Option<&Rc<Node>> {
        self.nodes.get((number as usize).checked_sub(1)?)
    }

    /// Overrides a setting.
    pub fn apply(&mut self, settings: &mut Settings, attr: Attr, over: u32) {
        let below = settings.number(attr);
        if let Some(merged) = self.merged.get(&(attr, below, over)) {
            settings.set(attr, *merged);
            return;
        }
        let number = match (self.node(below).map(|n| &n.value), self.node(over).map(|n| &n.value)) {
            (Some(Value::Map(old)), Some(Value::Map(new))) => {
                let mut map = old.clone();
                update(&mut map, new);
                let Some(over) = self.node(over) else { return };
                let node = Node::like(Value::Map(map), over);
                self.keep(attr, &node)
            }
            (None, Some(Value::Map(new))) => {
                let mut map = BTreeMap::new();
                update(&mut map, new);
                let Some(over) = self.node(over) else { return };
                let node = Node::like(Value::Map(map), over);
                self.keep(attr, &node)
            }
            // KubeSpawner takes no null for the image: the spawn would fail, so nothing else is started either.
            (_, None) if attr == Attr::Image => below,
            _ => over,
        };
        self.merged.insert((attr, below, over), number);
        settings.set(attr, number);
    }
}

/// `recursive_update` of KubeSpawner.
fn update(target: &mut BTreeMap<String, Node>, new: &BTreeMap<String, Node>) {
    for (key, node) in new {
        match &node.value {
            Value::Null => {
                target.remove(key);
            }
            Value::Map(below) => {
                let place = target
                    .entry(key.clone())
                    .or_insert_with(|| Node::like(Value::Map(BTreeMap::new()), node));
                match &mut place.value {
                    Value::Map(map) => update(map, below),
                    _ => *place = node.clone(),
                }
            }
            _ => {
                target.insert(key.clone(), node.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imageset::read::read;

    #[test]
    fn overrides_merge_delete_and_replace() {
        for (base, over, expected) in [
            ("{pool: a, zone: b}", "{pool: c}", r#"{"pool":"c","zone":"b"}"#),
            ("{pool: a, zone: b}", "{zone: null}", r#"{"pool":"a"}"#),
            ("{a: {x: 1}}", "{a: {x: null, z: 2}}", r#"{"a":{"z":2}}"#),
            ("{a: {x: 1}}", "{a: 1}", r#"{"a":1}"#),
            ("{a: 1}", "{a: {x: 1}}", r#"{"a":{"x":1}}"#),
            ("[1]", "[2]", "[2]"),
            ("[1]", "{a: 1}", r#"{"a":1}"#),
            ("{a: 1}", "[2]", "[2]"),
            ("{a: 1}", "null", "null"),
            ("null", "{a: 1, b: null}", r#"{"a":1}"#),
        ] {
            let root = read(&format!("base: {base}\nover: {over}\n"), "v", 0).unwrap().root;
            let Value::Map(map) = &root.value else { panic!() };
            let mut store = Store::default();
            let mut settings = Settings::default();
            settings.set(Attr::NodeSelector, store.keep(Attr::NodeSelector, &map["base"]));
            let over = store.keep(Attr::NodeSelector, &map["over"]);
            for _ in 0..2 {
                let mut changed = settings;
                store.apply(&mut changed, Attr::NodeSelector, over);
                let json = store
                    .value(&changed, Attr::NodeSelector)
                    .map_or("null".to_owned(), |n| n.json().to_string());
                assert_eq!(json, expected, "{base} / {over}");
            }
        }
    }

    #[test]
    fn every_setting_has_its_number() {
        for (name, attr) in NAMES {
            assert!((attr as usize) < COUNT, "{name}");
            assert_eq!(Attr::of(name), Some(attr));
        }
        assert_eq!(Attr::of("cpu_limit"), None);
    }
}
