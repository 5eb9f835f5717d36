//! What the nodes themselves say, where the awaiter may read them: which of them a puller's pods should land on, and
//! which are left out and why.

use std::collections::BTreeMap;

use super::entries::NodeEntry;
use super::index::Observed;
use super::judge::Wake;
use super::matrix::Finding;
use super::model::{Node, PodSpec, Requirement, Taint, Term, Toleration};
use super::policy::Policy;
use super::reasons::Reason;

/// Taints that the DaemonSet's controller tolerates on every pod's behalf, whatever the template says.
const ALWAYS: &[&str] = &[
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
];

/// Adds what the nodes say of themselves to the rows that pods made, and rows for nodes that keep the pods away.
pub(super) fn with_nodes<'a, S>(
    mut rows: BTreeMap<&'a str, Vec<S>>,
    observed: &'a Observed,
    policy: &Policy,
    wake: &mut Wake,
    exclude: impl Fn(&mut Vec<S>, Finding),
) -> BTreeMap<&'a str, Vec<S>> {
    for (name, entry) in observed.nodes.iter().filter(|_| policy.nodes) {
        let specs = || observed.daemonsets.values().map(|set| &set.set.spec.template.spec);
        let row = rows.get_mut(&**name);
        let is_ours = row.is_some() || specs().any(|spec| selects(spec, &entry.node));
        if !is_ours {
            continue;
        }
        let tainted = || {
            let spec = specs().find(|spec| selects(spec, &entry.node))?;
            let taint = entry.node.spec.taints.iter().find(|taint| !tolerated(spec, taint))?;
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            Some(Finding::new(Reason::Tainted, format!("{}{value}:{}", taint.key, taint.effect)))
        };
        let trouble = trouble(entry, policy, wake);
        let finding = if row.is_some() { trouble } else { tainted().or(trouble) };
        if let Some(finding) = finding {
            exclude(rows.entry(name).or_default(), finding);
        }
    }
    rows
}

/// Why a node is left out, by its own word.
fn trouble(entry: &NodeEntry, policy: &Policy, wake: &mut Wake) -> Option<Finding> {
    let node = &entry.node;
    if node.spec.unschedulable {
        return Some(Finding::new(Reason::Cordoned, ""));
    }
    let condition = |kind: &str| node.status.conditions.iter().find(|c| &*c.kind == kind);
    let ready = condition("Ready");
    if ready.is_none_or(|c| &*c.status != "True") {
        let is_new = entry.since == entry.known;
        let waits = &policy.waits;
        let wait = if is_new { waits.new_node } else { waits.not_ready };
        let silent = ready.is_some_and(|c| &*c.status == "Unknown");
        // A node that has been silent for so long that Kubernetes says so is no new one.
        let wait = if silent { waits.not_ready } else { wait };
        if !wake.over(entry.since, wait) {
            return None;
        }
        let said = ready.and_then(|c| c.message.as_deref().or(c.reason.as_deref())).unwrap_or_default();
        return Some(Finding::new(if silent { Reason::Silent } else { Reason::NotReady }, said));
    }
    let pressed = |kind: &str| condition(kind).filter(|c| &*c.status == "True");
    let disk = pressed("DiskPressure").map(|c| (Reason::DiskPressure, c));
    let other =
        || pressed("MemoryPressure").or_else(|| pressed("PIDPressure")).map(|c| (Reason::Pressure, c));
    let (reason, condition) = disk.or_else(other)?;
    Some(Finding::new(reason, condition.message.as_deref().unwrap_or_default()))
}

/// Whether the DaemonSet's controller makes a pod for the node.
pub(crate) fn lands(spec: &PodSpec, node: &Node) -> bool {
    selects(spec, node) && node.spec.taints.iter().all(|taint| tolerated(spec, taint))
}

/// Whether the node is of the pool that the pods go to, taints aside.
pub(crate) fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = &node.metadata.labels;
    if spec.node_name.as_ref().is_some_and(|name| *name != node.metadata.name) {
        return false;
    }
    if !spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
        return false;
    }
    let Some(required) = &spec.affinity.node_affinity.required else { return true };
    required.node_selector_terms.iter().any(|term| meets(term, node))
}

/// An empty term meets no node.
fn meets(term: &Term, node: &Node) -> bool {
    let of_fields =
        |field: &Requirement| field.key == "metadata.name" && holds(field, Some(&node.metadata.name));
    let of_labels = |r: &Requirement| holds(r, node.metadata.labels.get(&r.key).map(String::as_str));
    let says_nothing = term.match_expressions.is_empty() && term.match_fields.is_empty();
    !says_nothing && term.match_fields.iter().all(of_fields) && term.match_expressions.iter().all(of_labels)
}

fn holds(requirement: &Requirement, value: Option<&str>) -> bool {
    let is_in = || value.is_some_and(|value| requirement.values.iter().any(|v| **v == *value));
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = || requirement.values.first().and_then(|v| number(v));
    match requirement.operator.as_str() {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => value.and_then(number).zip(bound()).is_some_and(|(value, bound)| value > bound),
        "Lt" => value.and_then(number).zip(bound()).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

fn tolerated(spec: &PodSpec, taint: &Taint) -> bool {
    let matches = |t: &Toleration| {
        let effect = t.effect.is_empty() || t.effect == taint.effect;
        let key = t.key.is_empty() && t.operator == "Exists" || t.key == taint.key;
        effect && key && (t.operator == "Exists" || t.value == taint.value)
    };
    taint.effect == "PreferNoSchedule"
        || ALWAYS.contains(&taint.key.as_str())
        || spec.tolerations.iter().any(matches)
}
