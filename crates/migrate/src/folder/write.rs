//! An image folder as files, and its section of `perijove.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::steps::Steps;
use super::{Content, Repository};
use crate::Error;
use crate::dockerfile::pip;
use crate::image::Retired;

/// What goes into a folder.
pub struct Order<'a> {
    pub name: &'a str,
    pub image: Retired,
    pub version: Option<String>,
    pub marker: &'a str,
    pub steps: &'a Steps,
    pub repository: &'a Repository,
    pub registry: Option<&'a str>,
}

/// What a hub and a lab need from Debian where no image of the repository gives it.
const HUB_DEBS: &str =
    "base-files\nca-certificates\nlibstdc++6\nmedia-types\nnetbase\npython3\ntini\ntzdata\n";
const LAB_DEBS: &str = "base-files\nbash\nca-certificates\ncoreutils\ndash\ngit\nlibstdc++6\nmedia-types\nnetbase\n\
                        openssh-client\nprocps\npython3\npython3-venv\ntini\ntzdata\n";

impl Order<'_> {
    /// The image of the repository that it stands on.
    fn parent(&self) -> Option<&'static str> {
        let parent = if self.image.is_hub() { "hub" } else { "lab" };
        (self.repository.images.contains_key(parent) && self.name != parent).then_some(parent)
    }

    /// The files below `images/NAME/`.
    pub fn files(&self) -> BTreeMap<String, Content> {
        let mut files = BTreeMap::new();
        files.insert("requirements.in".to_owned(), Content::Text(self.requirements()));
        let debs = self.debs();
        if !debs.is_empty() {
            files.insert("debs.in".to_owned(), Content::Text(debs));
        }
        for (target, source) in &self.steps.files {
            files.insert(format!("rootfs{target}"), Content::Copy(source.clone()));
        }
        files
    }

    fn requirements(&self) -> String {
        let mut text = format!("{}\n", self.marker);
        let parent = self.parent();
        if let Some(parent) = parent {
            let _ = writeln!(
                text,
                "# At exactly the versions of the image it stands on.\n-c ../{parent}/requirements.txt"
            );
        }
        let mut asked: Vec<String> = Vec::new();
        let named = |all: &[String], name: &str| all.iter().any(|line| same(pip::bare(line), name));
        if !named(&self.steps.python, "jupyterhub") {
            asked.push(match (&self.version, parent) {
                (Some(version), None) => format!("jupyterhub=={version}"),
                _ => "jupyterhub".to_owned(),
            });
        }
        if !self.image.is_hub() {
            for name in ["jupyterlab", "notebook"] {
                if !named(&self.steps.python, name) {
                    asked.push(name.to_owned());
                }
            }
        }
        for name in &self.steps.python {
            if !asked.contains(name) {
                asked.push(name.clone());
            }
        }
        text.push_str(&asked.join("\n"));
        text.push('\n');
        text
    }

    fn debs(&self) -> String {
        let mut asked: Vec<&str> = Vec::new();
        let base = match (self.parent(), self.image.is_hub()) {
            (Some(_), _) => "",
            (None, true) => HUB_DEBS,
            (None, false) => LAB_DEBS,
        };
        for name in base.lines().chain(self.steps.debs.iter().map(String::as_str)) {
            if !asked.contains(&name) {
                asked.push(name);
            }
        }
        if asked.is_empty() {
            return String::new();
        }
        format!("{}\n{}\n", self.marker, asked.join("\n"))
    }

    /// The new text of `perijove.toml`.
    pub fn toml(&self) -> Result<String, Error> {
        let mut text = self.repository.text.clone().unwrap_or_else(|| self.new_repository());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let section = self.section();
        let section = if text.contains("\r\n") { section.replace('\n', "\r\n") } else { section };
        text.push_str(if text.contains("\r\n") { "\r\n" } else { "\n" });
        text.push_str(&section);
        let read: Result<toml::Table, _> = toml::from_str(&text);
        read.map_err(|error| Error::Repository { reason: error.message().to_owned() })?;
        Ok(text)
    }

    fn new_repository(&self) -> String {
        let registries: Vec<String> = self.registry.map(str::to_owned).into_iter().collect();
        format!(
            "[repository]\n# Where `perijove release` sends the images\nregistries = {}\n\
             platforms = [\"linux/amd64\", \"linux/arm64\"]\ndefault-branch = \"main\"\n",
            list(&registries)
        )
    }

    fn section(&self) -> String {
        let (name, steps) = (self.name, self.steps);
        let parent = self.parent();
        let mut text = format!("{}\n[image.{}]\nversion-from = \"jupyterhub\"\n", self.marker, key(name));
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        line(
            "base",
            match parent {
                Some(parent) => format!("{{ parent = {} }}", quoted(parent)),
                None => "{ debian = \"trixie\" }".to_owned(),
            },
        );
        line("python", quoted("requirements.txt"));
        if !steps.files.is_empty() {
            line("files", quoted("rootfs"));
        }
        let workdir = if self.image.is_hub() { "/srv/jupyterhub" } else { "/home/jovyan" };
        let mut env = steps.env.clone();
        if parent.is_none() {
            for (name, value) in
                [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/home/jovyan"), ("LANG", "C.UTF-8")]
            {
                env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        // What it writes goes where it runs (unless files of rootfs lie there, whose folders are root's) or into its home.
        let mut folders: Vec<&str> = Vec::new();
        if parent.is_none() {
            folders.extend(["/home/jovyan", steps.workdir.as_deref().unwrap_or(workdir)]);
        }
        folders.extend(steps.directories.iter().map(String::as_str));
        let mut known = BTreeSet::new();
        folders.retain(|path| known.insert(*path));
        if !folders.is_empty() {
            let folders = folders.iter().map(|path| format!("{{ path = {} }}", quoted(path)));
            line("directories", format!("[{}]", folders.collect::<Vec<_>>().join(", ")));
        }
        let user = steps.user.clone().or_else(|| parent.is_none().then(|| "1000:1000".to_owned()));
        if let Some(user) = user {
            line("user", quoted(&user));
        }
        if let Some(dir) = steps.workdir.clone().or_else(|| parent.is_none().then(|| workdir.to_owned())) {
            line("workdir", quoted(&dir));
        }
        if !env.is_empty() {
            line("env", table(&env));
        }
        let entrypoint = steps.entrypoint.clone();
        let tini = || parent.is_none().then(|| vec!["tini".to_owned(), "--".to_owned()]);
        if let Some(words) = entrypoint.or_else(tini) {
            line("entrypoint", list(&words));
        }
        let usual = if self.image.is_hub() { "jupyterhub" } else { "jupyterhub-singleuser" };
        let none_needed = parent.is_some() || steps.entrypoint.is_some();
        if let Some(words) = steps.command.clone().or_else(|| (!none_needed).then(|| vec![usual.to_owned()]))
        {
            line("command", list(&words));
        }
        if !steps.ports.is_empty() {
            line("ports", list(&steps.ports));
        }
        if !steps.labels.is_empty() {
            line("labels", table(&steps.labels));
        }
        let program = if self.image.is_hub() { "jupyterhub" } else { "jupyterhub-singleuser" };
        let _ = write!(
            text,
            "\n[[image.{}.test]]\nrun = [{}, \"--version\"]\nexpect = \"{{version}}\"\n",
            key(name),
            quoted(program)
        );
        text
    }
}

/// Names of Python projects are equal as PEP 503 says.
fn same(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    plain(a) == plain(b)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn key(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare && !name.is_empty() { name.to_owned() } else { quoted(name) }
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

fn table(all: &BTreeMap<String, String>) -> String {
    let pairs = all.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value)));
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}
