//! Runs an image: docker, podman, runc or the built-in runtime.
