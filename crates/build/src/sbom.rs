//! The software bill of materials: CycloneDX 1.6 JSON, one a platform, made of the parts alone.

use perijove_oci::Digest;
use serde_json::{Value, json};

use crate::part::{Part, PartKind, Source};

/// Artifact type and media type of the SBOM's blob.
pub const MEDIA_TYPE: &str = perijove_oci::media::CYCLONEDX;

/// The SBOM of an image: `name`, `version`, and its parts in the order of their package URLs. `created` is an
/// RFC 3339 time. The serial number follows from the content, so equal images have equal SBOMs.
pub fn sbom(name: &str, version: &str, created: &str, manifest: &Digest, parts: &[&Part]) -> Vec<u8> {
    let mut sorted: Vec<&Part> = parts.to_vec();
    sorted.sort_by(|a, b| (&a.purl, &a.key).cmp(&(&b.purl, &b.key)));
    sorted.dedup_by(|a, b| a.purl == b.purl && a.key == b.key);
    let components: Vec<Value> = sorted.iter().map(|part| component(part)).collect();
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
    if let Source::Data(entries) = &part.source {
        let places: Vec<Value> =
            entries.iter().map(|(e, _)| json!({ "location": format!("/{}", e.path) })).collect();
        component["evidence"] = json!({ "occurrences": places });
    }
    component
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
        let one = sbom("hub", "1.0", "2026-01-01T00:00:00Z", &manifest, &[&a, &b]);
        assert_eq!(one, sbom("hub", "1.0", "2026-01-01T00:00:00Z", &manifest, &[&b, &a, &a]));
        let value: Value = serde_json::from_slice(&one).unwrap();
        assert_eq!(value["components"].as_array().unwrap().len(), 2);
        assert_eq!(value["serialNumber"].as_str().unwrap().len(), 45);
    }
}
