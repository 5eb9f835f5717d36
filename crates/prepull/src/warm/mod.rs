//! Brings images to nodes from outside of the cluster, and leaves nothing behind.
//!
//! `survey` says before it starts what each node is missing, how many bytes that is, whether its disk takes it and how
//! long it will be (`plan`, `disk`: pure). `run` makes a puller for each group of nodes, wave by wave (`waves`: pure),
//! has the [`crate::awaiter`] wait for each wave, and deletes what it has made however it ends.

mod cluster;
pub mod disk;
pub mod plan;
mod registry;
mod run;
mod survey;
pub mod waves;

pub use cluster::Cluster;
pub use disk::{Disk, Fit};
pub use plan::{Have, ImagePlan, NodePlan};
pub use run::{Options, Warmed, run};
pub use survey::{Rate, Survey, SurveyedNode, survey};
pub use waves::Waves;

use serde_json::Value;

use crate::awaiter::model::PodSpec;
use crate::imageset::{ImageSet, Placement};
use crate::manifests::{Mode, Pulled, Puller};

/// Images for the same nodes.
#[derive(Clone, Debug)]
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

    /// The puller of this group.
    fn puller<'a>(&'a self, with: &Puller<'a>) -> Puller<'a> {
        Puller {
            placement: &self.placement,
            images: &self.images,
            pull_secrets: &self.pull_secrets,
            tolerations: &self.tolerations,
            ..with.clone()
        }
    }

    /// Where its pods land, as the awaiter reads it.
    fn pod_spec(&self) -> PodSpec {
        let none = std::collections::BTreeMap::new();
        let placement = Placement::default();
        let with = Puller {
            name: "",
            labels: &none,
            annotations: &none,
            placement: &placement,
            only: &[],
            tolerations: &[],
            images: &[],
            pull_secrets: &[],
            mode: Mode::Noop,
            own_image: "",
        };
        let set = self.puller(&with).daemon_set();
        let spec = set.pointer("/spec/template/spec").cloned().unwrap_or_default();
        serde_json::from_value(spec).unwrap_or_default()
    }
}
