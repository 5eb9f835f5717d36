//! What a `pip install` asks for.

use std::sync::LazyLock;

use regex::Regex;

/// A read command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pip {
    /// Names with their versions, as requirements.
    pub names: Vec<String>,
    /// Files of requirements.
    pub files: Vec<String>,
    /// Words that a list of names cannot say: addresses, paths, flags that change what is installed.
    pub others: Vec<String>,
    /// `--require-hashes`.
    pub hashes: bool,
    /// Only the installers themselves were asked for.
    pub nothing: bool,
}

/// Flags that change nothing about which packages come.
const QUIET: [&str; 21] = [
    "--no-cache-dir",
    "--no-cache",
    "-U",
    "--upgrade",
    "-q",
    "--quiet",
    "-qq",
    "-v",
    "--verbose",
    "--no-input",
    "--disable-pip-version-check",
    "--break-system-packages",
    "--prefer-binary",
    "--user",
    "--system",
    "--no-warn-script-location",
    "--force-reinstall",
    "--ignore-installed",
    "-I",
    "--compile",
    "--no-compile",
];
/// Flags with a value that change nothing about which packages come either.
const HARMLESS: [&str; 12] = [
    "--timeout",
    "--retries",
    "--default-timeout",
    "--progress-bar",
    "--trusted-host",
    "--cache-dir",
    "--log",
    "--proxy",
    "--cert",
    "--upgrade-strategy",
    "--root-user-action",
    "--exists-action",
];
/// Flags with a value that change which packages come, or where they go.
const CHANGES: [&str; 24] = [
    "-c",
    "--constraint",
    "-e",
    "--editable",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "-t",
    "--target",
    "--prefix",
    "--root",
    "--src",
    "--platform",
    "--python-version",
    "--implementation",
    "--abi",
    "--only-binary",
    "--no-binary",
    "--config-settings",
    "-p",
    "--python",
    "--group",
];
/// Installers themselves, which the image does without.
const TOOLS: [&str; 5] = ["pip", "setuptools", "wheel", "uv", "pipenv"];

impl Pip {
    /// Whether hashes say what comes: `hashed` looks into a file of requirements.
    pub fn is_locked(&self, hashed: impl Fn(&String) -> bool) -> bool {
        let only_files = self.names.is_empty() && self.others.is_empty() && !self.files.is_empty();
        self.hashes || self.nothing || (only_files && self.files.iter().all(hashed))
    }
}

/// Reads a command's words; none where it installs nothing by pip.
pub fn read(words: &[String]) -> Option<Pip> {
    let program = words.first()?.rsplit('/').next()?;
    let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = match stem {
        "pip" => &words[1..],
        "python" if words.get(1).is_some_and(|w| w == "-m") && words.get(2).is_some_and(|w| w == "pip") => {
            &words[3..]
        }
        "uv" if words.get(1).is_some_and(|w| w == "pip") => &words[2..],
        _ => return None,
    };
    let mut rest = rest.iter().skip_while(|word| word.starts_with('-'));
    if rest.next()? != "install" {
        return None;
    }
    let (mut pip, mut tools) = (Pip::default(), false);
    while let Some(word) = rest.next() {
        match word.as_str() {
            flag if QUIET.contains(&flag) => {}
            "--require-hashes" => pip.hashes = true,
            "-r" | "--requirement" => pip.files.extend(rest.next().cloned()),
            file if file.starts_with("--requirement=") => {
                pip.files.push(file["--requirement=".len()..].to_owned());
            }
            file if file.starts_with("-r") && file.len() > 2 => pip.files.push(file[2..].to_owned()),
            flag if HARMLESS.contains(&flag) => drop(rest.next()),
            flag if flag.split_once('=').is_some_and(|(name, _)| HARMLESS.contains(&name)) => {}
            flag if CHANGES.contains(&flag) => {
                pip.others.push(word.clone());
                pip.others.extend(rest.next().cloned());
            }
            name if is_requirement(name) => {
                let upgrade = TOOLS.contains(&bare(name));
                if upgrade {
                    tools = true;
                } else {
                    pip.names.push(name.to_owned());
                }
            }
            other => pip.others.push(other.to_owned()),
        }
    }
    pip.nothing = tools && pip.names.is_empty() && pip.files.is_empty() && pip.others.is_empty();
    Some(pip)
}

/// The project's name in a requirement.
pub fn bare(requirement: &str) -> &str {
    let end = requirement.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
    requirement[..end.unwrap_or(requirement.len())].trim()
}

/// Whether it is a name with extras and versions: no path, address or flag.
pub fn is_requirement(text: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._, -]*\])?\s*(?:(?:==|>=|<=|~=|!=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*(?:;.*)?$").ok()
    });
    NAME.as_ref().is_some_and(|name| name.is_match(text)) && !text.ends_with(".whl") && !text.ends_with(".gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Pip> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        read(&words)
    }

    #[test]
    fn names_files_and_the_rest() {
        for (text, names, files, others) in [
            (
                "pip install --no-cache-dir dockerspawner==13.0 oauthenticator[googlegroups]>=16,<18",
                "dockerspawner==13.0 oauthenticator[googlegroups]>=16,<18",
                "",
                "",
            ),
            ("python3 -m pip install -U pip notebook", "notebook", "", ""),
            ("/opt/conda/bin/pip3.9 install --upgrade pip", "", "", ""),
            ("pip --no-cache-dir install -r a.txt -rb.txt --requirement=c.txt", "", "a.txt b.txt c.txt", ""),
            (
                "pip install git+https://x/y --pre . ./z https://x/y.whl -e .",
                "",
                "",
                "git+https://x/y --pre . ./z https://x/y.whl -e .",
            ),
            ("uv pip install --system numpy", "numpy", "", ""),
            ("pip install oauthenticator==0.8.*", "oauthenticator==0.8.*", "", ""),
            // The word behind a flag is no package.
            ("pip install --progress-bar off --trusted-host x.test --log=y numpy", "numpy", "", ""),
            (
                "pip install -c constraints.txt --index-url https://x.test/y --target lib numpy",
                "numpy",
                "",
                "-c constraints.txt --index-url https://x.test/y --target lib",
            ),
        ] {
            let pip = of(text).unwrap();
            assert_eq!(
                (pip.names.join(" "), pip.files.join(" "), pip.others.join(" ")),
                (names.into(), files.into(), others.into())
            );
        }
        for text in ["pip list", "conda install x", "python setup.py install", "pip", ""] {
            assert_eq!(of(text), None, "{text}");
        }
        assert!(of("pip install --require-hashes -r x").unwrap().hashes);
        assert_eq!(bare("a.b-c[d]>=1"), "a.b-c");
    }
}
