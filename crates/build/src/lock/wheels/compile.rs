//! Asking uv which versions a platform gets.

use std::collections::BTreeSet;
use std::path::Path;

use perijove_oci::Platform;

use super::requirement::is_project_name;
use super::target::PythonTarget;
use crate::lock::index::Index;
use crate::lock::program::{UV, any_python, last_words};
use crate::lock::requirements::{Pin, RequirementsLock};
use crate::{Error, Result};

/// Which pins of the present lock may move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// Only those that the input no longer allows.
    #[default]
    Nothing,
    /// All.
    All,
    /// These projects.
    Packages(Vec<String>),
}

/// What one run is about.
pub struct Question<'a> {
    /// The `requirements.in`.
    pub input: &'a Path,
    /// The Python.
    pub target: &'a PythonTarget,
    /// The present lock, whose pins are preferred.
    pub old: Option<&'a RequirementsLock>,
    /// Which of them may move.
    pub upgrade: &'a Upgrade,
}

/// One platform's answer.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The platform.
    pub platform: Platform,
    /// Every pin, with the hashes of all files of its version and what it is needed by.
    pub pins: Vec<Pin>,
}

impl Question<'_> {
    /// uv's answer for `platform`, without the source distributions of the projects in `only_wheels`.
    pub async fn ask(
        &self,
        index: &Index,
        platform: &Platform,
        only_wheels: &BTreeSet<&str>,
    ) -> Result<Resolution> {
        let folder = self.input.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = self.input.file_name().unwrap_or(self.input.as_os_str());
        let temporary = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
        let answer = temporary.path().join("requirements.txt");
        if *self.upgrade != Upgrade::All {
            std::fs::write(&answer, self.preferences(platform)?).map_err(Error::io(&answer))?;
        }
        let mut command = index.uv();
        command.current_dir(folder).args(["pip", "compile", "--quiet", "--no-header", "--generate-hashes"]);
        command.args(["--annotation-style", "line", "--no-python-downloads"]);
        command.args(["--python-version", &format!("{}.{}", self.target.python.0, self.target.python.1)]);
        command.args(["--python-platform", &self.target.uv_platform(platform)?]);
        command.args(any_python());
        command.args(only_wheels.iter().flat_map(|p| ["--only-binary", p]));
        match self.upgrade {
            Upgrade::Nothing => {}
            Upgrade::All => {
                command.arg("--upgrade");
            }
            Upgrade::Packages(names) => {
                if let Some(bad) = names.iter().find(|n| !is_project_name(n)) {
                    return Err(Error::Input {
                        place: "--upgrade-package".to_owned(),
                        reason: format!("`{bad}` is not a project name"),
                        hint: "name a Python project, as `jupyterhub`".to_owned(),
                    });
                }
                command.args(names.iter().flat_map(|n| ["--upgrade-package", n]));
            }
        }
        command.arg("-o").arg(&answer).arg("--").arg(name);
        let output = UV.run(command, b"").await?;
        if !output.status.success() {
            return Err(UV.failed(
                format!("no versions were found for {platform} ({}):\n{}", self.target, last_words(&output)),
                "change requirements.in so that the versions agree, and check that the package index is the right one",
            ));
        }
        let text = std::fs::read_to_string(&answer).map_err(Error::io(&answer))?;
        let pins = RequirementsLock::parse(&text, "uv's answer")?.pins;
        Ok(Resolution { platform: platform.clone(), pins })
    }

    /// The pins of the present lock that hold on `platform`, as uv takes preferences from an output file.
    fn preferences(&self, platform: &Platform) -> Result<String> {
        let environment = self.target.markers(platform)?;
        let pins = self.old.iter().flat_map(|lock| &lock.pins);
        let lines = pins
            .filter(|pin| pin.marker.evaluate(&environment, &[]))
            .map(|pin| format!("{}=={}\n", pin.name, pin.version));
        Ok(lines.collect())
    }
}
