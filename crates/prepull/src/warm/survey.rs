//! What there is before anything is made: the cluster's version, its nodes and what each of them is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use perijove_oci::client::Client as Registries;
use perijove_oci::reference::Reference;
use serde::Serialize;
use serde_json::Value;

use super::cluster::{Cluster, NodeObject};
use super::plan::{NodeFacts, NodePlan, Wanted, plan};
use super::{Waves, registry};
use crate::awaiter::Error;
use crate::awaiter::model::PodSpec;
use crate::awaiter::nodes::{lands, selects};
use crate::manifests::{Group, Mode, Puller};

/// Kubelets that are asked for their disks at a time.
const AT_ONCE: usize = 16;
/// For all of them: kubelets that the API server cannot reach are waited for no longer.
const DISKS: Duration = Duration::from_secs(15);
/// Bytes a second that a node pulls, where the cluster has not shown another figure.
pub const ASSUMED_RATE: f64 = 50e6;
/// Image volumes are on by default from this version.
const IMAGE_VOLUMES: (u32, u32) = (1, 35);
/// The zone of a node, and its older name.
const ZONES: &[&str] = &["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
/// The label that pullers of a wave select nodes by.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// A node that is surveyed.
#[derive(Clone, Debug, Default)]
pub struct SurveyedNode {
    /// Its name.
    pub name: String,
    /// Its zone, or nothing.
    pub zone: String,
    /// The value of its label [`HOSTNAME`].
    pub hostname: String,
    /// Positions of the groups that land on it.
    pub groups: Vec<usize>,
    /// Why it is likely to be left out; nothing for most.
    pub trouble: Option<&'static str>,
}

/// What there is.
#[derive(Clone, Debug)]
pub struct Survey {
    /// `(1, 36)`.
    pub kubernetes: (u32, u32),
    /// How images are brought into use.
    pub mode: Mode,
    /// The nodes that any image goes to; nothing where the account may not list nodes.
    pub nodes: Option<Vec<SurveyedNode>>,
    /// What each of them is missing.
    pub plans: Vec<NodePlan>,
    /// What could not be learnt, a line each.
    pub unknown: Vec<String>,
    /// Bytes a second of a node's pulls: as seen in the cluster, else assumed.
    pub rate: Rate,
}

/// How fast a node pulls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Whether the cluster has shown it.
    pub is_seen: bool,
}

impl Survey {
    /// Seconds that the slowest node needs: its bytes at the rate.
    pub fn seconds(&self) -> f64 {
        let most = self.plans.iter().map(|plan| plan.missing_bytes).max().unwrap_or(0);
        most as f64 / self.rate.bytes_per_second
    }
}

/// Looks at the cluster and the registries. `selector` is a label selector of nodes, as for kubectl.
///
/// # Errors
/// Where the cluster does not answer; where nodes are selected or go in waves, and the account may not list them.
pub async fn survey(
    cluster: &Cluster,
    registries: &Registries,
    groups: &[Group],
    selector: Option<&str>,
    waves: &Waves,
    mode: Option<Mode>,
) -> Result<Survey, Error> {
    let kubernetes = cluster.version().await?;
    let by_version = if kubernetes >= IMAGE_VOLUMES { Mode::ImageVolumes } else { Mode::Noop };
    let mut survey = Survey {
        kubernetes,
        mode: mode.unwrap_or(by_version),
        nodes: None,
        plans: Vec::new(),
        unknown: Vec::new(),
        rate: Rate { bytes_per_second: ASSUMED_RATE, is_seen: false },
    };
    let nodes = match cluster.nodes(selector).await {
        Ok(nodes) => nodes,
        Err(error @ Error::Denied { code: 403, .. }) if selector.is_none() && *waves == Waves::default() => {
            survey.unknown.push(format!("{error}: what nodes are missing is not known beforehand"));
            return Ok(survey);
        }
        Err(error) => return Err(error),
    };
    let specs: Vec<PodSpec> = groups.iter().map(pod_spec).collect();
    let (surveyed, kept): (Vec<SurveyedNode>, Vec<&NodeObject>) =
        nodes.iter().filter_map(|node| Some((surveyed(node, &specs)?, node))).unzip();
    if let Some(rate) = cluster.rate().await {
        survey.rate = Rate { bytes_per_second: rate, is_seen: true };
    }
    let (wanted, unknown) = wanted(registries, groups, &surveyed, &kept).await;
    survey.unknown.extend(unknown);
    let until = tokio::time::Instant::now() + DISKS;
    let facts = stream::iter(kept.iter().map(|node| facts(cluster, node, until))).buffered(AT_ONCE);
    let facts: Vec<NodeFacts> = facts.collect().await;
    if facts.iter().all(|facts| facts.disk.is_none()) && !facts.is_empty() {
        survey.unknown.push("no kubelet tells how full its disk is (get nodes/proxy is needed)".to_owned());
    }
    let repositories: BTreeSet<&str> = wanted.iter().map(|image| image.repository.as_str()).collect();
    let is_of_interest = |name: &&String| {
        name.split_once('@').is_some_and(|(repository, _)| repositories.contains(repository))
    };
    let older: BTreeSet<String> =
        facts.iter().flat_map(|facts| &facts.images).filter(is_of_interest).cloned().collect();
    let platforms = facts.iter().map(|facts| facts.platform.clone()).collect();
    survey.plans = plan(&facts, &wanted, &registry::older(registries, &older, &platforms).await);
    survey.nodes = Some(surveyed);
    Ok(survey)
}

/// The pod of the group's puller, as the awaiter reads it.
fn pod_spec(group: &Group) -> PodSpec {
    let none = BTreeMap::new();
    let (labels, annotations) = (&none, &none);
    let puller = Puller { name: "", labels, annotations, group, only: &[], mode: Mode::Noop, own_image: "" };
    serde_json::from_value(puller.pod()).unwrap_or_default()
}

/// Nothing for a node that none of the groups is for, taints aside.
fn surveyed(object: &NodeObject, specs: &[PodSpec]) -> Option<SurveyedNode> {
    let node = object.node();
    let groups: Vec<usize> = (0..specs.len()).filter(|group| selects(&specs[*group], &node)).collect();
    if groups.is_empty() {
        return None;
    }
    let landing: Vec<usize> = groups.into_iter().filter(|group| lands(&specs[*group], &node)).collect();
    let trouble = match () {
        () if landing.is_empty() => Some("tainted"),
        () if !object.is_ready() => Some("not ready"),
        () if node.spec.unschedulable => Some("cordoned"),
        () => None,
    };
    let label = |key: &str| node.metadata.labels.get(key).cloned();
    Some(SurveyedNode {
        name: node.metadata.name.to_string(),
        zone: ZONES.iter().find_map(|key| label(key)).unwrap_or_default(),
        hostname: label(HOSTNAME).unwrap_or_else(|| node.metadata.name.to_string()),
        groups: landing,
        trouble,
    })
}

/// Each image once, with the nodes that it goes to, and why some are not known.
async fn wanted(
    registries: &Registries,
    groups: &[Group],
    nodes: &[SurveyedNode],
    objects: &[&NodeObject],
) -> (Vec<Wanted>, Vec<String>) {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut references = Vec::new();
    let mut unknown = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        let lands_on =
            nodes.iter().filter(|node| node.groups.contains(&number)).map(|node| node.name.clone());
        let lands_on: BTreeSet<String> = lands_on.collect();
        for pulled in &group.images {
            let position = match seen.get(pulled.image.as_str()) {
                Some(position) => *position,
                None => {
                    let reference: Reference = match pulled.image.parse() {
                        Ok(reference) => reference,
                        Err(error) => {
                            unknown.push(format!("{error}"));
                            continue;
                        }
                    };
                    wanted.push(Wanted {
                        image: pulled.image.clone(),
                        normalized: normalized(&reference),
                        repository: reference.name(),
                        always: is_pulled_always(pulled.pull_policy.as_deref(), &reference),
                        ..Wanted::default()
                    });
                    references.push(reference);
                    seen.insert(&pulled.image, wanted.len() - 1);
                    wanted.len() - 1
                }
            };
            wanted[position].nodes.extend(lands_on.iter().cloned());
        }
    }
    let platforms: BTreeSet<String> = objects.iter().map(|object| platform(object)).collect();
    let found = registry::contents(registries, &references, &platforms).await;
    for (image, contents) in wanted.iter_mut().zip(found) {
        match contents {
            Ok(contents) => image.contents = contents,
            Err(error) => unknown.push(format!("the size of {} is not known: {error}", image.image)),
        }
    }
    (wanted, unknown)
}

/// Whether a kubelet that has an older image of the name pulls the present one. Without a policy those of `latest` are
/// pulled so, said or not (Kubernetes, "Images", "Default image pull policy"); a digest has no older image.
fn is_pulled_always(policy: Option<&str>, reference: &Reference) -> bool {
    match policy {
        Some(policy) => policy == "Always",
        None => reference.digest.is_none() && reference.wanted() == "latest",
    }
}

fn platform(object: &NodeObject) -> String {
    let info = &object.status.node_info;
    format!("{}/{}", info.operating_system, info.architecture)
}

async fn facts(cluster: &Cluster, object: &NodeObject, until: tokio::time::Instant) -> NodeFacts {
    let listed = object.status.images.iter().flatten().filter_map(|image| image.names.as_ref()).flatten();
    let images =
        listed.filter_map(|name| name.parse().ok()).map(|reference| normalized(&reference)).collect();
    let disk = tokio::time::timeout_at(until, cluster.disk(&object.metadata.name));
    let disk = if object.is_ready() { disk.await.ok().flatten() } else { None };
    NodeFacts { name: object.metadata.name.to_string(), platform: platform(object), images, disk }
}

/// `registry/repository@digest`, else `registry/repository:tag`.
fn normalized(reference: &Reference) -> String {
    let mark = if reference.digest.is_some() { '@' } else { ':' };
    format!("{}{mark}{}", reference.name(), reference.wanted())
}

/// `kubernetes.io/hostname In […]`: the nodes of a wave.
pub fn only<'a>(hostnames: impl Iterator<Item = &'a str>) -> Value {
    let values: Vec<&str> = hostnames.collect();
    serde_json::json!({"key": HOSTNAME, "operator": "In", "values": values})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pulled_always_is_what_kubernetes_says() {
        let digest = "sha256:0b7d3e5f9a1c2846d0e8f4a6b2c91735e7d5f3a1b9c8064282e6a4d0f1b3c597";
        for (image, policy, expected) in [
            ("q/lab", None, true),
            ("q/lab:latest", None, true),
            ("q/lab:1", None, false),
            ("q/lab:latest-1", None, false),
            (&format!("q/lab@{digest}"), None, false),
            (&format!("q/lab:latest@{digest}"), None, false),
            ("q/lab:1", Some("Always"), true),
            ("q/lab:latest", Some("IfNotPresent"), false),
            ("q/lab", Some("Never"), false),
        ] {
            assert_eq!(is_pulled_always(policy, &image.parse().unwrap()), expected, "{image} {policy:?}");
        }
    }
}
