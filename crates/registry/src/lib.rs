//! The embedded OCI registry: HTTP in front, a content-addressed store behind.
