//! `requirements.in`: what a person asks for, and whether a lock still answers it.

use std::path::{Path, PathBuf};

use pep440_rs::VersionSpecifiers;
use perijove_oci::Digest;

use super::requirement::{Problem, Requirement};
use super::target::PythonTarget;
use crate::lock::requirements::{NO_ADDRESS, RequirementsLock};
use crate::{Error, Result};

/// A `requirements.in` with the files that it names.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it lies.
    pub path: PathBuf,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    text: String,
    requirement: Requirement,
    constraint: bool,
}

/// How deep and how wide `-r` and `-c` may go.
const MAX_FILES: usize = 100;

impl Input {
    /// Reads the file and those that it names with `-r` and `-c`. Comments, order of empty lines and spelling of
    /// white space do not count. Fails with file and line on what a lock cannot hold: addresses, paths, options.
    pub fn read(path: &Path) -> Result<Self> {
        let mut input = Input { path: path.to_owned(), lines: Vec::new() };
        let mut seen = Vec::new();
        input.add(path, false, &mut seen)?;
        Ok(input)
    }

    fn add(&mut self, path: &Path, constraint: bool, seen: &mut Vec<PathBuf>) -> Result<()> {
        if seen.iter().any(|p| p == path) {
            return Ok(());
        }
        seen.push(path.to_owned());
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let mut logical = String::new();
        let mut start = 0;
        let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate().peekable();
        while let Some((at, line)) = lines.next() {
            if logical.is_empty() {
                start = at + 1;
            }
            if let Some(part) = line.trim_end().strip_suffix('\\').filter(|_| lines.peek().is_some()) {
                logical.push_str(part);
                logical.push(' ');
                continue;
            }
            logical.push_str(line);
            let place = format!("{}:{start}", path.display());
            let line = std::mem::take(&mut logical);
            self.line(path, &place, &without_comment(&line), constraint, seen)?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        file: &Path,
        place: &str,
        line: &str,
        constraint: bool,
        seen: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let fail = |reason: String, hint: &str| {
            Err(Error::Input { place: place.to_owned(), reason, hint: hint.to_owned() })
        };
        if line.is_empty() {
            return Ok(());
        }
        if let Some((constraint_file, name)) = include(line) {
            if seen.len() >= MAX_FILES || name.contains("://") {
                return fail(
                    format!("`{name}` cannot be read in"),
                    "name a file that lies beside requirements.in",
                );
            }
            let other = file.parent().unwrap_or(Path::new("")).join(name);
            return self.add(&other, constraint || constraint_file, seen);
        }
        if line.starts_with('-') {
            let option = line.split([' ', '=']).next().unwrap_or(line);
            return fail(
                format!("`{option}` does not belong in requirements.in"),
                "say where packages come from in uv.toml, the UV_ variables, or PERIJOVE_PYTHON_INDEX; \
                 editable and local packages go into the image's `files` folder",
            );
        }
        let text = line.find(" --").map_or(line, |at| line[..at].trim_end()).to_owned();
        match text.parse() {
            Ok(requirement) => self.lines.push(Line { text, requirement, constraint }),
            Err(Problem::Malformed(why)) => {
                return fail(format!("`{text}` is not a requirement: {why}"), "write it as `name>=1.0`");
            }
            Err(Problem::Address(name)) => {
                return fail(format!("{name} is given by its address"), NO_ADDRESS);
            }
        }
        Ok(())
    }

    /// The digest that a lock of this input for `target` carries.
    pub fn digest(&self, target: &PythonTarget) -> Digest {
        let mut lines: Vec<String> = self
            .lines
            .iter()
            .map(|l| format!("{}{}", if l.constraint { "-c " } else { "" }, l.text))
            .collect();
        lines.sort();
        lines.dedup();
        let mut platforms: Vec<String> = target.platforms.iter().map(ToString::to_string).collect();
        platforms.sort();
        Digest::sha256(format!("{target}\n{}\n{}\n", platforms.join(" "), lines.join("\n")).as_bytes())
    }

    /// The projects that are asked for by name (constraints ask for nothing), and in which versions.
    pub fn wanted(&self) -> impl Iterator<Item = (&str, &VersionSpecifiers)> {
        let lines = self.lines.iter().filter(|line| !line.constraint);
        lines.map(|line| (line.requirement.name.as_str(), &line.requirement.versions))
    }

    /// Why the lock is behind this input, or `None`. Needs no network. Any lock is checked by its pins; one that
    /// Perijove wrote also by the digest of its input, so that a changed platform or Python version is seen.
    pub fn check(&self, lock: &RequirementsLock, target: &PythonTarget) -> Result<Option<String>> {
        for platform in &target.platforms {
            let environment = target.markers(platform)?;
            for line in &self.lines {
                let Requirement { name, versions, marker } = &line.requirement;
                if !marker.evaluate(&environment, &[]) {
                    continue;
                }
                let pins =
                    || lock.pins.iter().filter(|p| p.name == *name && p.marker.evaluate(&environment, &[]));
                if let Some(pin) = pins().find(|p| !versions.is_empty() && !versions.contains(&p.version)) {
                    return Ok(Some(format!(
                        "{name}: {} wants `{}`, the lock has {}",
                        self.name(),
                        line.text,
                        pin.version
                    )));
                }
                if !line.constraint && pins().next().is_none() {
                    return Ok(Some(format!(
                        "{name}: {} wants it, the lock does not have it for {platform}",
                        self.name()
                    )));
                }
            }
        }
        Ok(match &lock.input {
            Some(digest) if *digest != self.digest(target) => Some(format!(
                "{}, the Python version, glibc or the platforms changed since it was locked",
                self.name()
            )),
            _ => None,
        })
    }

    fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }
}

fn without_comment(line: &str) -> String {
    let end = line
        .char_indices()
        .find(|&(at, c)| c == '#' && (at == 0 || line[..at].ends_with(|c: char| c.is_whitespace())));
    let line = end.map_or(line, |(at, _)| &line[..at]);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `-r FILE` or `-c FILE` in any of pip's spellings; whether it holds constraints, and the file.
fn include(line: &str) -> Option<(bool, &str)> {
    for (option, constraint) in
        [("--requirement", false), ("--constraint", true), ("-r", false), ("-c", true)]
    {
        if let Some(rest) = line.strip_prefix(option) {
            let long = option.starts_with("--");
            if !long || rest.starts_with(['=', ' ']) {
                return Some((constraint, rest.trim_start_matches(['=', ' ']).trim()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target() -> PythonTarget {
        let platforms = ["linux/amd64", "linux/arm64"].map(|p| p.parse().unwrap()).to_vec();
        PythonTarget { python: (3, 13), glibc: (2, 41), platforms }
    }

    fn input(text: &str) -> Result<Input> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requirements.in");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("more.in"), "six>=1\n-r requirements.in\n").unwrap();
        std::fs::write(folder.path().join("limits.txt"), "tornado<7\n").unwrap();
        Input::read(&path)
    }

    fn lock(pins: &[&str], digest: Option<&Digest>) -> RequirementsLock {
        let head = digest.map_or_else(String::new, |d| format!("# input: {d}\n"));
        let hash = "0".repeat(64);
        let text: String = pins.iter().map(|p| format!("{p} --hash=sha256:{hash}\n")).collect();
        RequirementsLock::parse(&(head + &text), "requirements.txt").unwrap()
    }

    #[test]
    fn spelling_does_not_count_but_content_does() {
        let digest = |text: &str| input(text).unwrap().digest(&target());
        let one = digest("jupyterhub>=5 # the hub\n\n-r more.in\n--constraint=limits.txt");
        assert_eq!(one, digest("# order and spacing are free\n-climits.txt\n  six>=1\njupyterhub>=5\n"));
        assert_ne!(one, digest("jupyterhub>=5"));
        let other = PythonTarget { python: (3, 12), ..target() };
        assert_ne!(one, input("jupyterhub>=5\n-r more.in\n-c limits.txt").unwrap().digest(&other));
    }

    #[test]
    fn says_why_a_lock_is_behind() {
        let asked = input(
            "a>=2\nb[x]\nc; platform_machine == 'aarch64'\nd; sys_platform == 'win32'\n-c limits.txt\n",
        )
        .unwrap();
        let c = "c==1; platform_machine == 'aarch64'";
        let right = asked.digest(&target());
        let wrong = Digest::sha256(b"");
        for (pins, digest, want) in [
            (&["a==2", "b==1", c][..], Some(&right), None),
            (&["a==2", "b==1", c, "tornado==6"], None, None),
            (&["a==1", "b==1", c], Some(&right), Some("a: requirements.in wants `a>=2`, the lock has 1")),
            (
                &["a==2", c],
                None,
                Some("b: requirements.in wants it, the lock does not have it for linux/amd64"),
            ),
            (
                &["a==2", "b==1"],
                None,
                Some("c: requirements.in wants it, the lock does not have it for linux/arm64"),
            ),
            (
                &["a==2", "b==1", c, "tornado==8"],
                None,
                Some("tornado: requirements.in wants `tornado<7`, the lock has 8"),
            ),
            (
                &["a==2", "b==1", c],
                Some(&wrong),
                Some(
                    "requirements.in, the Python version, glibc or the platforms changed since it was locked",
                ),
            ),
        ] {
            let reason = asked.check(&lock(pins, digest), &target()).unwrap();
            assert_eq!(reason.as_deref(), want, "{pins:?}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (line, want) in [
            ("--index-url http://127.0.0.1/", "`--index-url` does not belong"),
            ("-e .", "`-e` does not belong"),
            ("x @ git+https://127.0.0.1/x", "x is given by its address"),
            ("./x", "is not a requirement"),
            ("-r http://127.0.0.1/x", "cannot be read in"),
        ] {
            let error = input(&format!("a\\\n>=1\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains("requirements.in:3: ") && error.contains(want), "{error}");
        }
        assert!(input("-r missing.in").unwrap_err().to_string().contains("missing.in"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z=#\\\\ \n>;.-]{0,60}") {
            let _ = input(&text);
        }
    }
}
