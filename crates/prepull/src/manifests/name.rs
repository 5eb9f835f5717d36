//! Names that are new for each image set: a DaemonSet that is made again under its old name, while its pods are
//! ending, can be forgotten by Kubernetes 1.36.3.

use sha2::{Digest, Sha256};

use super::daemonset::Puller;

/// Kubernetes puts 11 characters behind a DaemonSet's name in labels and names of its pods.
const LONGEST: usize = 63 - 11;
/// Hexadecimal digits of a set's hash.
const HASH: usize = 12;

/// 12 lower-case hexadecimal digits that are the same for the same group, images and way of pulling.
pub fn hash(puller: &Puller<'_>) -> String {
    let group = puller.placement;
    let images: Vec<_> = puller.images.iter().map(|one| (&one.reference, &one.pull_policy)).collect();
    let said = serde_json::json!({
        "instance": puller.instance,
        "mode": format!("{:?}", puller.mode),
        "own": puller.own_image,
        "images": images,
        "node_selector": group.node_selector,
        "tolerations": group.tolerations,
        "affinity": group.affinity,
        "extended_resources": group.extended_resources,
        "pull_secrets": puller.pull_secrets,
    });
    let digest = Sha256::digest(said.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..HASH].to_owned()
}

/// `INSTANCE-WORD-HASH`, a valid name for whatever the instance is called; the hash keeps apart what is cut.
pub fn name(instance: &str, word: &str, hash: &str) -> String {
    let room = LONGEST - word.len() - hash.len() - 2;
    let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = instance.chars().map(valid).take(room).collect();
    let text = text.trim_matches('-');
    if text.is_empty() { format!("{word}-{hash}") } else { format!("{text}-{word}-{hash}") }
}
