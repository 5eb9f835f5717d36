//! Media types, as the OCI image specification (media-types.md) and Docker's image manifest v2.2 name them.

/// OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer: tar.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer: tar, gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer: tar, zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The two bytes `{}`, for manifests that have no configuration.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker manifest list, read from other registries.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker manifest v2.2, read from other registries.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// CycloneDX SBOM as JSON.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

/// Whether the media type names an index (OCI) or a manifest list (Docker).
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_LIST)
}
