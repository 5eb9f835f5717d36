//! Gathers images and places as they are found: an image once, however it is spelled, and a group for each place.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use perijove_oci::Reference;

use super::node::{Node, Places};
use super::pod::{self, Open, Used};
use super::policy::Policies;
use super::set::{FileLine, Group, Image, ImageSet, Note, Placement, Role, Unknown};
use super::sources::overrides::ANY;
use super::spawner::{Attr, Settings, Store};
use crate::Error;

/// The settings that decide a place; those of containers, since containers ask for resources.
const PLACING: [Attr; 9] = [
    Attr::NodeSelector,
    Attr::Tolerations,
    Attr::NodeAffinityRequired,
    Attr::InitContainers,
    Attr::ExtraContainers,
    Attr::ExtraContainerConfig,
    Attr::ExtraPodConfig,
    Attr::ExtraResourceLimits,
    Attr::ExtraResourceGuarantees,
];

#[derive(Default)]
struct Draft {
    image: String,
    normalized: String,
    roles: BTreeSet<Role>,
    sources: Vec<(String, FileLine)>,
    seen: HashSet<u32>,
    policies: Policies,
    secrets: Vec<String>,
    groups: BTreeSet<usize>,
}

/// What has been found so far.
pub struct Gathered<'p> {
    places: &'p Places,
    drafts: Vec<Draft>,
    by_text: HashMap<String, usize>,
    by_reference: HashMap<String, usize>,
    groups: Vec<(Placement, BTreeSet<usize>, Vec<String>)>,
    by_place: HashMap<String, usize>,
    by_settings: HashMap<[u32; PLACING.len()], Option<usize>>,
    pods: HashSet<Settings>,
    unknown: Vec<Unknown>,
    notes: Vec<Note>,
    told: HashSet<(String, String)>,
}

impl<'p> Gathered<'p> {
    /// Nothing yet.
    pub fn new(places: &'p Places) -> Self {
        Gathered {
            places,
            drafts: Vec::new(),
            by_text: HashMap::new(),
            by_reference: HashMap::new(),
            groups: Vec::new(),
            by_place: HashMap::new(),
            by_settings: HashMap::new(),
            pods: HashSet::new(),
            unknown: Vec::new(),
            notes: Vec::new(),
            told: HashSet::new(),
        }
    }

    /// Another deployment's settings are numbered anew.
    pub fn next_deployment(&mut self) {
        self.by_settings.clear();
        self.pods.clear();
    }

    /// A pod with these settings can be started.
    pub fn pod(&mut self, store: &Store, settings: &Settings) -> Result<(), Error> {
        if !self.pods.insert(*settings) {
            return Ok(());
        }
        let group = self.group_of(store, settings);
        let secrets = pod::pull_secrets(store, settings);
        self.open(secrets.open.as_ref());
        for used in pod::images(store, settings) {
            if let (Some(image), Some(group)) = (self.image(&used)?, group) {
                self.land(image, group, &secrets.names);
            }
        }
        Ok(())
    }

    /// The group of a pod with these settings, made if there is none; none where its place cannot be known.
    pub fn group_of(&mut self, store: &Store, settings: &Settings) -> Option<usize> {
        let key = PLACING.map(|attr| settings.number(attr));
        if let Some(group) = self.by_settings.get(&key) {
            return *group;
        }
        let landing = pod::landing(store, settings);
        self.open(&landing.open);
        let group = landing.placement.map(|placement| self.group(placement));
        self.by_settings.insert(key, group);
        group
    }

    /// Texts that only the user's name or words complete.
    fn open<'o, 'n: 'o>(&mut self, open: impl IntoIterator<Item = &'o Open<'n>>) {
        for Open { what, node, text } in open {
            let reason = match text.contains(ANY) {
                true => format!("unlisted_choice: {what} template '{}'", text.replace(ANY, "{value}")),
                false => format!("the {what} is another one for each user: `{text}`"),
            };
            self.unknown(node, &reason);
        }
    }

    fn group(&mut self, placement: Placement) -> usize {
        let mut tolerations: Vec<String> = placement.tolerations.iter().map(ToString::to_string).collect();
        tolerations.sort();
        tolerations.dedup();
        let mut terms: Vec<String> = placement.affinity.iter().map(ToString::to_string).collect();
        terms.sort();
        terms.dedup();
        let key = format!(
            "{:?} {tolerations:?} {terms:?} {:?}",
            placement.node_selector, placement.extended_resources
        );
        let next = self.groups.len();
        *self.by_place.entry(key).or_insert_with(|| {
            self.groups.push((placement, BTreeSet::new(), Vec::new()));
            next
        })
    }

    /// The groups that pods of this deployment land in.
    pub fn landed(&self) -> Vec<usize> {
        let groups: BTreeSet<usize> = self.by_settings.values().copied().flatten().collect();
        groups.into_iter().collect()
    }

    /// Whether an image is in some group already.
    pub fn is_placed(&self, image: usize) -> bool {
        !self.drafts[image].groups.is_empty()
    }

    /// `image` is needed in `group` and pulled with `secrets`.
    pub fn land(&mut self, image: usize, group: usize, secrets: &[String]) {
        let draft = &mut self.drafts[image];
        draft.groups.insert(group);
        let (_, images, known) = &mut self.groups[group];
        images.insert(image);
        for secret in secrets {
            for list in [&mut draft.secrets, &mut *known] {
                if !list.contains(secret) {
                    list.push(secret.clone());
                }
            }
        }
    }

    /// An image was found; none where only a user or code could complete its name.
    pub fn image(&mut self, used: &Used) -> Result<Option<usize>, Error> {
        let text = self.places.text(used.image)?;
        if text.contains(ANY) {
            return Ok(None);
        }
        if text.starts_with("ENC[") {
            self.unknown(used.image, "encrypted");
            return Ok(None);
        }
        if used.template && text.contains('{') {
            self.unknown(used.image, &format!("the image is another one for each user: `{text}`"));
            return Ok(None);
        }
        let index = match self.by_text.get(text) {
            Some(index) => *index,
            None => self.register(text, used.image)?,
        };
        let draft = &mut self.drafts[index];
        draft.roles.insert(used.role);
        draft.policies.add(used.policy);
        if draft.seen.insert(used.image.path) {
            let place = self.places.of(used.image);
            draft.sources.push((place.key_path, FileLine { file: place.file, line: place.line }));
        }
        Ok(Some(index))
    }

    fn register(&mut self, text: &str, node: &Node) -> Result<usize, Error> {
        let reference: Reference =
            text.parse().map_err(|error| Error::Reference { place: self.places.of(node), error })?;
        if reference.tag.is_none() && reference.digest.is_none() {
            self.note(node, &format!("`{text}` has no tag: whatever `latest` is at the time is pulled"));
        }
        let normalized = normalized(&reference);
        let next = self.drafts.len();
        let index = *self.by_reference.entry(normalized.clone()).or_insert(next);
        if index == next {
            self.drafts.push(Draft { image: text.to_owned(), normalized, ..Draft::default() });
        }
        self.by_text.insert(text.to_owned(), index);
        Ok(index)
    }

    /// Something cannot be known.
    pub fn unknown(&mut self, node: &Node, reason: &str) {
        let place = self.places.of(node);
        if self.told.insert((place.key_path.clone(), reason.to_owned())) {
            self.unknown.push(Unknown {
                source: place.key_path,
                reason: reason.to_owned(),
                file: place.file,
                line: place.line,
            });
        }
    }

    /// Something may not be as meant.
    pub fn note(&mut self, node: &Node, text: &str) {
        let place = self.places.of(node);
        self.notes.push(Note {
            source: place.key_path,
            text: text.to_owned(),
            file: place.file,
            line: place.line,
        });
    }

    /// The set. Groups that no image is for are left out.
    pub fn finish(
        self,
        mut notes: Vec<Note>,
        puller_tolerations: Vec<serde_json::Value>,
        version: &str,
    ) -> ImageSet {
        let kept: BTreeMap<usize, usize> = self
            .groups
            .iter()
            .enumerate()
            .filter(|(_, (_, images, _))| !images.is_empty())
            .enumerate()
            .map(|(new, (old, _))| (old, new))
            .collect();
        let groups: Vec<Group> = self
            .groups
            .into_iter()
            .filter(|(_, images, _)| !images.is_empty())
            .map(|(placement, images, pull_secrets)| Group {
                placement,
                images: images.into_iter().map(|image| self.drafts[image].image.clone()).collect(),
                pull_secrets,
            })
            .collect();
        let images = self.drafts.into_iter().map(|draft| draft.finish(&kept, &groups)).collect();
        notes.extend(self.notes);
        ImageSet {
            images,
            groups,
            unknown: self.unknown,
            notes,
            puller_tolerations,
            z2jh_version: version.to_owned(),
        }
    }
}

impl Draft {
    fn finish(self, kept: &BTreeMap<usize, usize>, groups: &[Group]) -> Image {
        let own: Vec<usize> = self.groups.iter().filter_map(|group| kept.get(group).copied()).collect();
        let mut placements = own.iter().map(|group| &groups[*group].placement);
        let mut common = placements.next().cloned().unwrap_or_default();
        for other in placements {
            common.node_selector.retain(|label, value| other.node_selector.get(label) == Some(value));
            common.tolerations.retain(|toleration| other.tolerations.contains(toleration));
            if common.affinity != other.affinity {
                common.affinity.clear();
            }
        }
        let (sources, places) = self.sources.into_iter().unzip();
        let pull_policy = self.policies.strictest(&self.normalized);
        Image {
            image: self.image,
            normalized: self.normalized,
            roles: self.roles.into_iter().collect(),
            sources,
            places,
            pull_policy,
            pull_secrets: self.secrets,
            node_selector: common.node_selector,
            tolerations: common.tolerations,
            affinity: common.affinity,
            groups: own,
        }
    }
}

/// Registry, `library/` and `:latest` written out.
fn normalized(reference: &Reference) -> String {
    let mut reference = reference.clone();
    if matches!(reference.registry.as_str(), "index.docker.io" | "registry-1.docker.io") {
        "docker.io".clone_into(&mut reference.registry);
    }
    if reference.registry == "docker.io" && !reference.repository.contains('/') {
        reference.repository.insert_str(0, "library/");
    }
    if reference.tag.is_none() && reference.digest.is_none() {
        reference.tag = Some("latest".to_owned());
    }
    reference.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_has_one_normal_name() {
        for (text, expected) in [
            ("python", "docker.io/library/python:latest"),
            ("docker.io/python:3", "docker.io/library/python:3"),
            ("index.docker.io/library/python:3", "docker.io/library/python:3"),
            ("pangeo/ml:1", "docker.io/pangeo/ml:1"),
            ("quay.io/a/b", "quay.io/a/b:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
        ] {
            assert_eq!(normalized(&text.parse().unwrap()), expected);
        }
    }
}
