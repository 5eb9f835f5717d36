//! What `perijove.toml` may not say of an image from a Dockerfile.

use crate::config::{Base, Image};

/// What is wrong with the settings of `image` besides its Dockerfile, and what to do: a key that would have no
/// effect is an error, not silence.
pub fn conflict(image: &Image) -> Option<(String, &'static str)> {
    image.dockerfile.as_ref()?;
    let keys = [
        ("files", image.files.is_some()),
        ("user", image.user.is_some()),
        ("user-name", image.user_name.is_some()),
        ("home", image.home.is_some()),
        ("directories", !image.directories.is_empty()),
        ("env", !image.env.is_empty()),
        ("workdir", image.workdir.is_some()),
        ("entrypoint", image.entrypoint.is_some()),
        ("command", image.command.is_some()),
        ("ports", !image.ports.is_empty()),
        ("labels", !image.labels.is_empty()),
    ];
    if let Some((key, _)) = keys.into_iter().find(|(_, set)| *set) {
        let reason = format!("`{key}` has no effect on an image from a Dockerfile");
        return Some((reason, "say it in the Dockerfile"));
    }
    let Some(Base::Debian(codename)) = &image.base else { return None };
    Some((
        format!("an image from a Dockerfile cannot stand on packages of {codename}"),
        "make them an image of its own and say base = { parent = \"…\" }, or say FROM in the Dockerfile",
    ))
}
