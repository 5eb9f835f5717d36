//! What each node is missing: from what it says it has, and from what the registries say the images are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::disk::{Disk, Fit};

/// What is known of a node that images go to.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// `metadata.name`.
    pub name: String,
    /// `linux/amd64`, as its kubelet says.
    pub platform: String,
    /// The names that its kubelet lists (`status.images[].names`): `repository:tag` and `repository@digest`, written
    /// out. A kubelet lists the 50 largest, unless it is told otherwise.
    pub images: BTreeSet<String>,
    /// Nothing where the cluster does not tell.
    pub disk: Option<Disk>,
}

/// What an image is, for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The digests that name it: of its index and of its manifest.
    pub digests: Vec<String>,
    /// Its layers and its configuration: digest and bytes.
    pub blobs: Vec<(String, u64)>,
}

/// An image that is to be on nodes.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// As it is written.
    pub image: String,
    /// With registry, `library/` and tag written out.
    pub normalized: String,
    /// `registry/repository`.
    pub repository: String,
    /// `Always`: an older image under the same tag is no help.
    pub always: bool,
    /// By platform. Nothing where its registry could not be asked.
    pub contents: BTreeMap<String, Contents>,
    /// The nodes that it goes to, by name.
    pub nodes: BTreeSet<String>,
}

/// How an image is on a node before anything is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Have {
    /// It is there.
    Present,
    /// The tag is there, but has moved since: a kubelet that pulls only what is missing leaves the older one.
    Older,
    /// It has to be pulled.
    Missing,
    /// The image is not made for the node's platform.
    WrongPlatform,
}

/// An image on a node, before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImagePlan {
    /// As it is written.
    pub image: String,
    /// How it is there.
    pub have: Have,
    /// Bytes that it adds to what has to be pulled; nothing where no registry told.
    pub missing_bytes: Option<u64>,
}

/// What one node needs.
#[derive(Clone, Debug, Serialize)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Its images, in the order in which they are wanted.
    pub images: Vec<ImagePlan>,
    /// Bytes that it has to pull: each layer once, and none that an image on the node has.
    pub missing_bytes: u64,
    /// Images whose size no registry told.
    pub unknown_sizes: usize,
    /// Whether its disk takes that; nothing where the cluster does not tell.
    pub disk: Option<Fit>,
}

/// What each node is missing, in the order of `nodes`; nodes that none of the images goes to are left out.
/// `known` is what is known of other images that nodes may have, by the names of their digests.
pub fn plan(nodes: &[NodeFacts], wanted: &[Wanted], known: &BTreeMap<String, Contents>) -> Vec<NodePlan> {
    nodes.iter().filter_map(|node| one(node, wanted, known)).collect()
}

fn one(node: &NodeFacts, wanted: &[Wanted], known: &BTreeMap<String, Contents>) -> Option<NodePlan> {
    let mine: Vec<&Wanted> = wanted.iter().filter(|image| image.nodes.contains(&node.name)).collect();
    if mine.is_empty() {
        return None;
    }
    let had: Vec<(&Wanted, Have)> = mine.iter().map(|image| (*image, have(node, image))).collect();
    let present = had.iter().filter(|(_, have)| *have == Have::Present);
    let mut there: BTreeSet<&str> = node
        .images
        .iter()
        .filter_map(|name| known.get(name))
        .chain(present.filter_map(|(image, _)| image.contents.get(&node.platform)))
        .flat_map(|contents| contents.blobs.iter().map(|(digest, _)| digest.as_str()))
        .collect();
    let mut images = Vec::with_capacity(had.len());
    for (image, have) in had {
        let pulls = have == Have::Missing || have == Have::Older && image.always;
        let missing_bytes = match image.contents.get(&node.platform) {
            _ if !pulls => Some(0),
            None => None,
            Some(contents) => {
                let new = contents.blobs.iter().filter(|(digest, _)| there.insert(digest));
                Some(new.map(|(_, bytes)| bytes).sum())
            }
        };
        images.push(ImagePlan { image: image.image.clone(), have, missing_bytes });
    }
    let missing_bytes = images.iter().filter_map(|image| image.missing_bytes).sum();
    Some(NodePlan {
        name: node.name.clone(),
        unknown_sizes: images.iter().filter(|image| image.missing_bytes.is_none()).count(),
        images,
        missing_bytes,
        disk: node.disk.map(|disk| disk.fit(missing_bytes)),
    })
}

fn have(node: &NodeFacts, image: &Wanted) -> Have {
    let named = node.images.contains(&image.normalized);
    match image.contents.get(&node.platform) {
        Some(contents) => {
            let same = contents
                .digests
                .iter()
                .any(|digest| node.images.contains(&format!("{}@{digest}", image.repository)));
            match (same, named) {
                (true, _) => Have::Present,
                (false, true) => Have::Older,
                (false, false) => Have::Missing,
            }
        }
        None if !image.contents.is_empty() => Have::WrongPlatform,
        None if named => Have::Present,
        None => Have::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(digest: &str, blobs: &[(&str, u64)]) -> Contents {
        Contents {
            digests: vec![digest.to_owned()],
            blobs: blobs.iter().map(|(digest, bytes)| ((*digest).to_owned(), *bytes)).collect(),
        }
    }

    fn wanted(tag: &str, contents: Option<Contents>) -> Wanted {
        Wanted {
            image: format!("r/lab:{tag}"),
            normalized: format!("r/lab:{tag}"),
            repository: "r/lab".to_owned(),
            contents: contents.map(|contents| ("linux/amd64".to_owned(), contents)).into_iter().collect(),
            nodes: BTreeSet::from(["n1".to_owned()]),
            ..Wanted::default()
        }
    }

    fn node(images: &[&str]) -> NodeFacts {
        NodeFacts {
            name: "n1".to_owned(),
            platform: "linux/amd64".to_owned(),
            images: images.iter().map(|&name| name.to_owned()).collect(),
            disk: Some(Disk::with_defaults(1_000, 1_000)),
        }
    }

    #[test]
    fn each_layer_is_counted_once_and_none_that_the_node_has() {
        let old = contents("sha256:old", &[("base", 100), ("python", 20)]);
        let new = contents("sha256:new", &[("base", 100), ("python-2", 25), ("config", 1)]);
        let other = contents("sha256:other", &[("base", 100), ("python-2", 25), ("r", 40)]);
        let known = BTreeMap::from([("r/lab@sha256:old".to_owned(), old)]);
        let wanted = [wanted("2", Some(new)), wanted("3", Some(other))];
        let plans = plan(&[node(&["r/lab@sha256:old", "r/lab:1"])], &wanted, &known);
        assert_eq!(plans[0].missing_bytes, 25 + 1 + 40);
        let images: Vec<_> =
            plans[0].images.iter().map(|one| (one.image.as_str(), one.have, one.missing_bytes)).collect();
        assert_eq!(images, [("r/lab:2", Have::Missing, Some(26)), ("r/lab:3", Have::Missing, Some(40))]);
        let bare = plan(&[node(&[])], &wanted, &known);
        assert_eq!(bare[0].missing_bytes, 100 + 25 + 1 + 40);
        assert_eq!(bare[0].disk, Some(Fit::Fits));
    }

    #[test]
    fn how_an_image_is_there() {
        let new = contents("sha256:new", &[("base", 100)]);
        let cases = [
            (Some(new.clone()), vec!["r/lab@sha256:new"], false, Have::Present, 0),
            (Some(new.clone()), vec!["r/lab:2", "r/lab@sha256:old"], false, Have::Older, 0),
            (Some(new.clone()), vec!["r/lab:2", "r/lab@sha256:old"], true, Have::Older, 100),
            (Some(new), vec![], false, Have::Missing, 100),
            (None, vec!["r/lab:2"], false, Have::Present, 0),
            (None, vec![], false, Have::Missing, 0),
        ];
        for (contents, images, always, have, bytes) in cases {
            let unknown = contents.is_none() && have == Have::Missing;
            let image = Wanted { always, ..wanted("2", contents) };
            let plans = plan(&[node(&images)], &[image], &BTreeMap::new());
            assert_eq!((plans[0].images[0].have, plans[0].missing_bytes), (have, bytes), "{images:?}");
            assert_eq!(plans[0].unknown_sizes, usize::from(unknown));
        }
    }

    #[test]
    fn other_platforms_and_other_nodes() {
        let image = wanted("2", Some(contents("sha256:new", &[("base", 100)])));
        let arm = NodeFacts { platform: "linux/arm64".to_owned(), ..node(&[]) };
        assert_eq!(
            plan(&[arm], std::slice::from_ref(&image), &BTreeMap::new())[0].images[0].have,
            Have::WrongPlatform
        );
        let elsewhere = NodeFacts { name: "n2".to_owned(), ..node(&[]) };
        assert!(plan(&[elsewhere], &[image], &BTreeMap::new()).is_empty());
    }
}
