//! The software bill of materials: CycloneDX 1.6 JSON, one a platform, made of the parts alone.

use perijove_oci::Digest;
use serde_json::{Value, json};

use crate::image::Facts;
use crate::materialise::{CA_BUNDLE, COMMANDS};
use crate::part::{Part, PartKind, Source};

/// Artifact type and media type of the SBOM's blob.
pub const MEDIA_TYPE: &str = perijove_oci::media::CYCLONEDX;

/// The SBOM of an image on one platform: what `facts` say of it, its base from a registry if it has one, and its
/// parts in the order of their package URLs. The serial number follows from the content, so equal images have
/// equal SBOMs.
///
/// Which file is whose: Debian packages and wheels have their own lists in the image
/// (`var/lib/dpkg/status.d/NAME.md5sums`, `RECORD`); for all else `evidence.occurrences` names the files, or the
/// folder of an npm package.
pub fn sbom(facts: &Facts, manifest: &Digest, parts: &[&Part]) -> Vec<u8> {
    document(facts, manifest, parts, true)
}

/// The SBOM of an image that others added to: as [`sbom`], and it says of itself that more is in the image than
/// `parts` (CycloneDX 1.6, `compositions`).
pub fn partial(facts: &Facts, manifest: &Digest, parts: &[&Part]) -> Vec<u8> {
    document(facts, manifest, parts, false)
}

fn document(facts: &Facts, manifest: &Digest, parts: &[&Part], whole: bool) -> Vec<u8> {
    let Facts { title: name, version, created, .. } = facts;
    let mut sorted: Vec<&Part> = parts.to_vec();
    sorted.sort_by(|a, b| (&a.purl, &a.key).cmp(&(&b.purl, &b.key)));
    sorted.dedup_by(|a, b| a.purl == b.purl && a.key == b.key);
    let base = facts.base.iter().map(|(reference, digest)| base(reference, digest));
    let components: Vec<Value> = base.chain(sorted.iter().map(|part| component(part))).collect();
    let mut bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": { "components": [{
                "type": "application", "name": "perijove", "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": {
                "type": "container",
                "bom-ref": manifest.to_string(),
                "name": name,
                "version": version,
                "purl": format!("pkg:oci/{name}@{}", manifest.to_string().replace(':', "%3A")),
            },
        },
        "components": components,
    });
    if !whole {
        bom["compositions"] = json!([{ "aggregate": "incomplete", "assemblies": [manifest.to_string()] }]);
    }
    let serial = uuid(&Digest::sha256(bom.to_string().as_bytes()));
    bom["serialNumber"] = json!(format!("urn:uuid:{serial}"));
    bom.to_string().into_bytes()
}

fn component(part: &Part) -> Value {
    let kind = match part.kind {
        PartKind::Deb | PartKind::Wheel | PartKind::Npm => "library",
        PartKind::Effects | PartKind::Files => "data",
    };
    let mut component = json!({
        "type": kind,
        "bom-ref": format!("{}#{}", part.purl, part.key.short()),
        "name": part.name,
        "purl": part.purl,
        "properties": [{ "name": "perijove:part", "value": part.key.to_string() }],
    });
    if !part.version.is_empty() {
        component["version"] = json!(part.version);
    }
    let digest = match &part.source {
        Source::Deb(deb) | Source::CaBundle(deb) => Some(&deb.digest),
        Source::Wheel { wheel, .. } => Some(&wheel.digest),
        Source::Npm { package, .. } => Some(&package.integrity),
        Source::Files { .. } | Source::Data(_) => None,
    };
    if let Some(digest) = digest {
        let algorithm = if digest.hex().len() == 128 { "SHA-512" } else { "SHA-256" };
        component["hashes"] = json!([{ "alg": algorithm, "content": digest.hex() }]);
    }
    if let Some(licence) = licence(part) {
        component["licenses"] = json!([{ "license": { "name": licence } }]);
    }
    let places = places(part);
    if !places.is_empty() {
        let places: Vec<Value> =
            places.iter().map(|path| json!({ "location": format!("/{path}") })).collect();
        component["evidence"] = json!({ "occurrences": places });
    }
    component
}

/// The licence, where a lock says it: npm's do. What only a package says would be known for those that this build
/// happens to unpack, and unknown for those that lie in a previous release. As a name, for it is no more than what
/// the package's author wrote; an `expression` would promise SPDX.
fn licence(part: &Part) -> Option<&str> {
    match &part.source {
        Source::Npm { package, .. } => package.licence.as_deref(),
        _ => None,
    }
}

/// Paths of what no list in the image names. They follow from the locks alone: an SBOM must not depend on which
/// packages happen to lie in the cache.
fn places(part: &Part) -> Vec<String> {
    match &part.source {
        Source::Data(entries) => entries.iter().map(|(entry, _)| entry.path.clone()).collect(),
        Source::Files { paths, .. } => paths.clone(),
        Source::CaBundle(_) => vec![CA_BUNDLE.to_owned()],
        Source::Npm { package, prefix, linked, .. } => {
            let commands = package.bin.keys().filter(|_| *linked);
            let commands =
                commands.map(|name| format!("{COMMANDS}/{}", name.rsplit('/').next().unwrap_or(name)));
            std::iter::once(format!("{prefix}/{}", package.path)).chain(commands).collect()
        }
        Source::Deb(_) | Source::Wheel { .. } => Vec::new(),
    }
}

/// The image that ours stands on: its own SBOM, where it has one, says what is in it.
fn base(reference: &str, digest: &str) -> Value {
    let repository = reference.split('@').next().unwrap_or(reference);
    let name = repository.rsplit('/').next().unwrap_or(repository).split(':').next().unwrap_or(repository);
    json!({
        "type": "container",
        "bom-ref": format!("base#{digest}"),
        "name": repository,
        "version": digest,
        "purl": format!("pkg:oci/{name}@{}?repository_url={repository}", digest.replace(':', "%3A")),
    })
}

/// A version 8 UUID (RFC 9562, section 5.8) from a digest.
fn uuid(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_make_equal_bytes_in_any_order() {
        let part = |name: &str| Part {
            purl: format!("pkg:generic/{name}@1"),
            name: name.to_owned(),
            version: "1".to_owned(),
            kind: PartKind::Files,
            key: Digest::sha256(name.as_bytes()),
            size_bytes: 0,
            changes: 0,
            without: Vec::new(),
            source: Source::Data(Vec::new()),
        };
        let (a, b) = (part("a"), part("b"));
        let manifest = Digest::sha256(b"m");
        let facts = Facts { title: "hub".into(), version: "1.0".into(), ..Facts::default() };
        let one = sbom(&facts, &manifest, &[&a, &b]);
        assert_eq!(one, sbom(&facts, &manifest, &[&b, &a, &a]));
        let value: Value = serde_json::from_slice(&one).unwrap();
        assert_eq!(value["components"].as_array().unwrap().len(), 2);
        let base = Some(("127.0.0.1:5000/team/base@sha256:ab".to_owned(), "sha256:ab".to_owned()));
        let on_base = sbom(&Facts { base, ..facts.clone() }, &manifest, &[&a]);
        let value: Value = serde_json::from_slice(&on_base).unwrap();
        assert_eq!(
            value["components"][0]["purl"],
            "pkg:oci/base@sha256%3Aab?repository_url=127.0.0.1:5000/team/base"
        );
        assert!(value.get("compositions").is_none());
        let partial: Value = serde_json::from_slice(&partial(&facts, &manifest, &[&a])).unwrap();
        assert_eq!(partial["compositions"][0]["aggregate"], "incomplete");
        assert_eq!(partial["compositions"][0]["assemblies"][0], partial["metadata"]["component"]["bom-ref"]);
        assert_eq!(value["serialNumber"].as_str().unwrap().len(), 45);
    }
}
