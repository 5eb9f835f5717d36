//! What a file is, by its name and its first line.

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Dockerfile or Containerfile.
    Dockerfile,
    /// Compose, Kubernetes, Helm, workflows; JSON is YAML.
    Yaml,
    /// Shell scripts, Makefiles, files of variables.
    Shell,
    /// Python, Terraform: references are literals.
    Literals,
}

/// Endings of templates, which are read as what they become.
const TEMPLATES: [&str; 7] = [".gotmpl", ".j2", ".jinja2", ".jinja", ".tpl", ".tmpl", ".template"];

/// Endings and whole names, in lower case.
const ENDINGS: [(&str, Kind); 19] = [
    (".dockerfile", Kind::Dockerfile),
    (".containerfile", Kind::Dockerfile),
    (".yaml", Kind::Yaml),
    (".yml", Kind::Yaml),
    (".json", Kind::Yaml),
    (".sh", Kind::Shell),
    (".bash", Kind::Shell),
    (".zsh", Kind::Shell),
    (".ksh", Kind::Shell),
    (".env", Kind::Shell),
    (".mk", Kind::Shell),
    (".py", Kind::Literals),
    (".tf", Kind::Literals),
    (".tfvars", Kind::Literals),
    (".hcl", Kind::Literals),
    (".nomad", Kind::Literals),
    ("makefile", Kind::Shell),
    ("justfile", Kind::Shell),
    ("/.env", Kind::Shell),
];

/// The kind of a file; none where it holds nothing that is looked for. `path` is parted by `/`.
pub fn of(path: &str, text: &str) -> Option<Kind> {
    let lower = format!("/{}", path.to_ascii_lowercase());
    let bare = TEMPLATES.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    let name = bare.rsplit('/').next().unwrap_or(bare);
    for rest in ["dockerfile", "containerfile"].iter().filter_map(|stem| name.strip_prefix(stem)) {
        // Dockerfile, Dockerfile.hub, Dockerfile-hub; not Dockerfile.md
        let other = [".md", ".rst", ".txt", ".dockerignore", ".py", ".sh", ".yml", ".yaml", ".json"];
        if rest.is_empty()
            || (rest.starts_with(['.', '-', '_']) && !other.iter().any(|end| rest.ends_with(end)))
        {
            return Some(Kind::Dockerfile);
        }
    }
    // Locks of other programs are long and name no image.
    if ["package-lock.json", "composer.lock", "tsconfig.json", "package.json"].contains(&name) {
        return None;
    }
    // env.yaml is YAML, env.example a file of variables.
    if let Some((_, kind)) = ENDINGS.iter().find(|(ending, _)| bare.ends_with(ending)) {
        return Some(*kind);
    }
    if name.starts_with(".env") || name.starts_with("env.") {
        return Some(Kind::Shell);
    }
    let first = text.lines().next().filter(|line| line.starts_with("#!"))?;
    let program = first.rsplit(['/', ' ']).find(|word| !word.starts_with('-')).unwrap_or("");
    match program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "sh" | "bash" | "dash" | "zsh" | "ksh" => Some(Kind::Shell),
        "python" => Some(Kind::Literals),
        _ => None,
    }
}

/// Whether another program has yet to fill in the text.
pub fn is_template(path: &str, text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || TEMPLATES.iter().any(|ending| path.ends_with(ending))
}

/// Whether it is run as commands from its first line to its last: no Makefile, no variables.
pub fn is_script(path: &str, text: &str) -> bool {
    text.starts_with("#!") || [".sh", ".bash", ".zsh", ".ksh"].iter().any(|ending| path.ends_with(ending))
}

/// Whether it is the hub's configuration.
pub fn is_hub_configuration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.contains("jupyterhub") && name.contains("config") && name.ends_with(".py")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_read() {
        for (path, text, kind) in [
            ("Dockerfile", "", Some(Kind::Dockerfile)),
            ("a/Dockerfile.hub", "", Some(Kind::Dockerfile)),
            ("hub.Dockerfile", "", Some(Kind::Dockerfile)),
            ("hub.dockerfile", "", Some(Kind::Dockerfile)),
            ("Containerfile", "", Some(Kind::Dockerfile)),
            ("Dockerfile.j2", "", Some(Kind::Dockerfile)),
            ("Dockerfile.md", "", None),
            ("Dockerfile.dockerignore", "", None),
            ("docker-compose.yml", "", Some(Kind::Yaml)),
            ("compose.yaml.tpl", "", Some(Kind::Yaml)),
            (".env", "", Some(Kind::Shell)),
            (".env.example", "", Some(Kind::Shell)),
            ("deploy/prod.env", "", Some(Kind::Shell)),
            ("env.example", "", Some(Kind::Shell)),
            (".envrc", "", Some(Kind::Shell)),
            ("env.yaml", "", Some(Kind::Yaml)),
            (".env.yml", "", Some(Kind::Yaml)),
            ("env.yaml.j2", "", Some(Kind::Yaml)),
            ("values.yaml.gotmpl", "", Some(Kind::Yaml)),
            ("env.py", "", Some(Kind::Literals)),
            ("Makefile", "", Some(Kind::Shell)),
            ("run", "#!/usr/bin/env bash\n", Some(Kind::Shell)),
            ("run", "#!/usr/bin/python3.11 -u\n", Some(Kind::Literals)),
            ("run", "#!/usr/bin/perl\n", None),
            ("jupyterhub_config.py", "", Some(Kind::Literals)),
            ("main.tf", "", Some(Kind::Literals)),
            ("README.md", "", None),
            ("package-lock.json", "", None),
            ("devcontainer.json", "", Some(Kind::Yaml)),
        ] {
            assert_eq!(of(path, text), kind, "{path}");
        }
        assert!(is_hub_configuration("a/jupyterhub_config.py") && !is_hub_configuration("a/config.py"));
    }
}
