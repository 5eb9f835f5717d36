//! What a builder is asked for, as command lines. Pure, but for the image id that buildah leaves in a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::tool::Tool;
use crate::layer::Compression;
use crate::{Error, Result};

/// What a builder is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The build context.
    pub folder: PathBuf,
    /// The Dockerfile's path.
    pub dockerfile: PathBuf,
    /// `linux/amd64`.
    pub platform: String,
    /// Build arguments, by name.
    pub arguments: Vec<(String, String)>,
    /// Time of all that is made, seconds since 1970.
    pub epoch: u64,
    /// How layers are compressed.
    pub compression: Compression,
    /// The base from this repository, by the name that BASE_IMAGE has. It lies in [`Order::base`].
    pub parent: Option<String>,
    /// Whether the base's registry speaks plain HTTP.
    pub plain_http: bool,
    /// How buildah keeps RUN apart, where the environment does not say it.
    pub isolation: Option<&'static str>,
    /// A folder of this build alone.
    pub work: PathBuf,
}

/// The name of the base in its layout.
pub const BASE_TAG: &str = "base";

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Program and arguments.
    pub words: Vec<OsString>,
    /// Variables on top of this process's.
    pub env: Vec<(&'static str, OsString)>,
}

impl Order {
    /// Where the base lies: an archive for buildah, a layout for docker.
    pub fn base(&self) -> PathBuf {
        self.work.join("base")
    }

    /// Where the built image's layout will be.
    pub fn result(&self) -> PathBuf {
        self.work.join("result")
    }

    /// buildah's storage.
    pub fn storage(&self) -> PathBuf {
        self.work.join("storage")
    }

    fn image_id(&self) -> PathBuf {
        self.work.join("image-id")
    }

    /// What to run, one after the other; then [`Order::finish`].
    pub fn steps(&self, tool: Tool, root: bool) -> Vec<Step> {
        match tool {
            Tool::Docker => vec![self.docker()],
            Tool::Buildah => {
                let import = self.parent.as_ref().map(|_| {
                    let base = joined("docker-archive:", &self.base());
                    self.buildah(root, ["pull".into(), "--quiet".into(), base])
                });
                import.into_iter().chain([self.build(root)]).collect()
            }
        }
    }

    /// What writes the result, after the steps. docker writes it at once.
    pub fn finish(&self, tool: Tool, root: bool) -> Result<Option<Step>> {
        if tool == Tool::Docker {
            return Ok(None);
        }
        let path = self.image_id();
        let id = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        Ok(Some(self.push(root, id.trim())))
    }

    fn push(&self, root: bool, id: &str) -> Step {
        let mut words: Vec<OsString> = vec!["push".into(), "--quiet".into()];
        if self.compression == Compression::Zstd {
            words.extend(["--compression-format".into(), "zstd".into()]);
        }
        words.extend([id.into(), joined("oci:", &self.result())]);
        self.buildah(root, words)
    }

    fn build(&self, root: bool) -> Step {
        let mut words: Vec<OsString> =
            ["build", "--format", "oci", "--platform", &self.platform].map(OsString::from).to_vec();
        // No `--layers`: in buildah 1.28 the cache key of RUN --mount=from=STAGE leaves the stage out, so that a
        // changed stage gives the old image, and a cached one an empty mount. An image is built from nothing.
        words.push("--layers=false".into());
        // All there is lies in this build's own storage; a registry is asked only for what does not.
        words.push("--pull=false".into());
        words.push("--identity-label=false".into());
        words.extend(["--timestamp".into(), self.epoch.to_string().into()]);
        if self.plain_http {
            words.push("--tls-verify=false".into());
        }
        words.extend(self.build_arguments());
        words.extend(["--iidfile".into(), self.image_id().into()]);
        words.extend(["--file".into(), (&self.dockerfile).into(), (&self.folder).into()]);
        self.buildah(root, words)
    }

    fn build_arguments(&self) -> Vec<OsString> {
        let words =
            |(name, value): &(String, String)| ["--build-arg".into(), format!("{name}={value}").into()];
        self.arguments.iter().flat_map(words).collect()
    }

    /// buildah with a storage of its own. For root it runs in namespaces of its own, so that its mounts and all
    /// it has started are gone when it ends, however it ends; for others it makes them itself.
    fn buildah(&self, root: bool, words: impl IntoIterator<Item = OsString>) -> Step {
        let mut all: Vec<OsString> = Vec::new();
        if root {
            let flags = ["unshare", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child"];
            all.extend(flags.into_iter().chain(["--mount-proc", "--"]).map(OsString::from));
        }
        let storage = self.storage();
        all.extend(["buildah".into(), "--root".into(), storage.join("root").into()]);
        all.extend(["--runroot".into(), storage.join("run").into()]);
        all.extend(words);
        // RUN cache mounts lie in TMPDIR, whatever the storage.
        let mut env = vec![("TMPDIR", storage.join("tmp").into())];
        env.extend(self.isolation.map(|kind| ("BUILDAH_ISOLATION", kind.into())));
        Step { words: all, env }
    }

    /// BuildKit's cache stays on: it keys its mounts right.
    fn docker(&self) -> Step {
        let mut words: Vec<OsString> =
            ["docker", "buildx", "build", "--progress", "plain", "--platform", &self.platform]
                .map(OsString::from)
                .to_vec();
        // Attestations would be a second manifest; ours are made for every image alike.
        words.extend(["--provenance=false".into(), "--sbom=false".into()]);
        words.extend(self.build_arguments());
        if let Some(parent) = &self.parent {
            // By tag: some versions of buildx do not take a digest here.
            let mut context = joined(&format!("{parent}=oci-layout://"), &self.base());
            context.push(format!(":{BASE_TAG}"));
            words.extend(["--build-context".into(), context]);
        }
        let mut output = joined("type=oci,tar=false,rewrite-timestamp=true,dest=", &self.result());
        if self.compression == Compression::Zstd {
            output.push(",compression=zstd");
        }
        words.extend(["--output".into(), output]);
        words.extend(["--file".into(), (&self.dockerfile).into(), (&self.folder).into()]);
        Step { words, env: vec![("SOURCE_DATE_EPOCH", self.epoch.to_string().into())] }
    }
}

fn joined(before: &str, path: &Path) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            folder: "/r/images/app".into(),
            dockerfile: "/r/images/app/Dockerfile".into(),
            platform: "linux/arm64".into(),
            arguments: vec![
                ("BASE_IMAGE".into(), "localhost/hub:1.0".into()),
                ("VERSION".into(), "1.0".into()),
            ],
            epoch: 1_700_000_000,
            compression: Compression::Zstd,
            parent: Some("localhost/hub:1.0".into()),
            plain_http: false,
            isolation: Some("chroot"),
            work: "/w".into(),
        }
    }

    fn text(steps: &[Step]) -> String {
        let line = |step: &Step| {
            let words: Vec<_> = step.words.iter().map(|w| w.to_string_lossy()).collect();
            let env: Vec<_> = step.env.iter().map(|(n, v)| format!("{n}={} ", v.to_string_lossy())).collect();
            format!("{}{}", env.concat(), words.join(" "))
        };
        steps.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn command_lines() {
        let alone = Order { parent: None, plain_http: true, isolation: None, ..order() };
        let finish = order().push(true, "sha256:ab");
        insta::assert_snapshot!(
            [
                text(&order().steps(Tool::Docker, true)),
                text(&order().steps(Tool::Buildah, false)),
                text(&alone.steps(Tool::Buildah, true)),
                text(&[finish]),
            ]
            .join("\n\n")
        );
    }
}
