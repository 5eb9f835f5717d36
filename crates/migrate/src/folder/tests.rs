//! The folders that Dockerfiles become.

use super::*;
use crate::Entry;

/// Files beside a Dockerfile.
struct Files(&'static [(&'static str, &'static str)]);

impl Tree for Files {
    fn look(&self, _: &str, below: &str) -> Entry {
        let inside = format!("{below}/");
        match self.0.iter().find(|(path, _)| *path == below || path.starts_with(&inside)) {
            Some((path, text)) if *path == below => Entry::File(Some((*text).to_owned())),
            Some(_) => Entry::Folder,
            None => Entry::Nothing,
        }
    }
}

/// All of a folder, as text.
fn shown(folder: &Folder) -> String {
    let mut text = format!("image {}{}\n", folder.name, if folder.there { " (there)" } else { "" });
    for (path, content) in &folder.files {
        match content {
            Content::Text(content) => text.push_str(&format!("--- {path}\n{content}")),
            Content::Copy(from) => text.push_str(&format!("--- {path} = {from}\n")),
        }
    }
    text.push_str(&format!("--- perijove.toml\n{}", folder.toml));
    for left in &folder.left {
        text.push_str(&format!("left: {}: {}: {}\n", left.line, left.source, left.why));
    }
    text
}

#[test]
fn a_hub_of_its_own() {
    let files = Files(&[
        ("jupyterhub_config.py", "c = get_config()\n"),
        ("requirements.txt", "oauthenticator>=16 # who\n-e .\nnumpy==1.0 \\\n  --hash=sha256:00\n"),
        ("templates/page.html", ""),
    ]);
    let text = "\
ARG JUPYTERHUB_VERSION=5.2.1
FROM quay.io/jupyterhub/jupyterhub-onbuild:${JUPYTERHUB_VERSION}
LABEL maintainer=\"Hub team\"
USER root
RUN apt-get update && apt-get install -yq --no-install-recommends git \\
      libpq5 \\
 && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/requirements.txt
RUN python3 -m pip install --no-cache-dir -r /tmp/requirements.txt 'dockerspawner==13.0.0' && \\
    pip install git+https://example.invalid/x
RUN useradd -m admin
COPY templates /srv/jupyterhub/templates
COPY --chown=1000 missing.py ./
ENV A=b PATH=/opt/x:$PATH
WORKDIR /srv/jupyterhub
EXPOSE 8000
USER 1000
HEALTHCHECK CMD true
CMD [\"jupyterhub\", \"-f\", \"/srv/jupyterhub/jupyterhub_config.py\"]
";
    let repository = Repository::default();
    let folder = plan("deploy/hub/Dockerfile", text, &files, &repository, Some("registry.example/team"));
    insta::assert_snapshot!(shown(&folder.unwrap().unwrap()));
}

#[test]
fn one_that_stands_on_the_repositorys_images() {
    let text = "FROM jupyterhub/singleuser:latest\nUSER root\nRUN pip install numpy pandas jupyterlab\nUSER ${NB_UID}\n";
    let mut repository = Repository {
        text: Some(
            "[image.hub]\nbase = { debian = \"trixie\" }\n[image.lab]\nbase = { debian = \"trixie\" }"
                .to_owned(),
        ),
        images: [("hub".to_owned(), None), ("lab".to_owned(), None)].into(),
    };
    let folder = plan("lab/Dockerfile", text, &crate::Nothing, &repository, None).unwrap().unwrap();
    insta::assert_snapshot!(shown(&folder));
    // The next run finds it.
    let Some(Content::Text(asked)) = folder.files.get("requirements.in") else { panic!() };
    repository.images.insert(folder.name.clone(), asked.lines().next().map(str::to_owned));
    let again = plan("lab/Dockerfile", text, &crate::Nothing, &repository, None).unwrap().unwrap();
    assert_eq!((again.name, again.there, again.files.len()), (folder.name, true, 0));
}

#[test]
fn names_come_from_where_the_dockerfile_lies() {
    for (path, name) in [
        ("Dockerfile", "hub"),
        ("./docker/Dockerfile", "hub"),
        ("images/My_Hub/Dockerfile", "my-hub"),
        ("Dockerfile.jupyterhub", "jupyterhub"),
        ("course.Dockerfile", "course"),
        ("../Dockerfile", "hub"),
    ] {
        let folder =
            plan(path, "FROM jupyterhub/jupyterhub\n", &crate::Nothing, &Repository::default(), None);
        assert_eq!(folder.unwrap().unwrap().name, name, "{path}");
    }
}

#[test]
fn a_file_does_not_lie_where_a_folder_is_needed() {
    let files = Files(&[("a.sh", ""), ("b/c", "")]);
    for (text, kept, left) in [
        ("COPY a.sh /opt/x\nCOPY b /opt/x/b\n", "rootfs/opt/x", 3),
        ("COPY b /opt/x/b\nCOPY a.sh /opt/x\n", "rootfs/opt/x/a.sh", 0),
        ("COPY b /opt/x\nCOPY a.sh /opt/x/\n", "rootfs/opt/x/a.sh", 0),
    ] {
        let text = format!("FROM jupyterhub/jupyterhub\n{text}");
        let folder = plan("Dockerfile", &text, &files, &Repository::default(), None).unwrap().unwrap();
        assert!(folder.files.contains_key(kept), "{folder:?}");
        assert_eq!(folder.left.first().map_or(0, |left| left.line), left, "{text}");
    }
}

#[test]
fn others_are_left_alone() {
    for text in ["FROM scratch\n", "FROM jupyterhub/jupyterhub AS a\nFROM scratch\n", "NONSENSE\n", ""] {
        assert_eq!(
            plan("Dockerfile", text, &crate::Nothing, &Repository::default(), None),
            Ok(None),
            "{text}"
        );
    }
}

/// What stands behind a flag is neither a package nor a folder.
#[test]
fn words_of_flags_are_no_packages_and_no_folders() {
    for (run, left) in [
        ("apt-get install -t stable-backports git", 2),
        ("apt-get install --target-release=stable git", 2),
        ("apt-get -o Dpkg::Use-Pty=0 install -y git", 0),
        ("mkdir -m 700 /srv/data", 2),
        ("mkdir --parents -v /srv/data", 0),
    ] {
        let text = format!("FROM jupyterhub/jupyterhub\nRUN {run}\n");
        let folder =
            plan("Dockerfile", &text, &crate::Nothing, &Repository::default(), None).unwrap().unwrap();
        assert_eq!(folder.left.first().map_or(0, |left| left.line), left, "{run}: {:?}", folder.left);
        let said = shown(&folder);
        let asked = said.contains("\ngit\n") || said.contains("{ path = \"/srv/data\" }");
        assert_eq!(asked, left == 0, "{run}: {said}");
        assert!(!said.contains("\nstable-backports\n") && !said.contains("Dpkg"), "{run}: {said}");
    }
}

/// COPY puts a file below what is a folder already, with or without a slash behind it.
#[test]
fn a_file_that_is_copied_to_a_folder_lies_in_it() {
    let files = Files(&[("jupyterhub_config.py", ""), ("templates/page.html", "")]);
    for (steps, place) in [
        ("COPY jupyterhub_config.py /srv/jupyterhub", "/srv/jupyterhub/jupyterhub_config.py"),
        ("COPY jupyterhub_config.py /etc", "/etc/jupyterhub_config.py"),
        ("WORKDIR /app\nCOPY jupyterhub_config.py /app", "/app/jupyterhub_config.py"),
        ("RUN mkdir -p /app/x\nCOPY jupyterhub_config.py /app", "/app/jupyterhub_config.py"),
        ("COPY templates /app/t\nCOPY jupyterhub_config.py /app/t", "/app/t/jupyterhub_config.py"),
        ("COPY jupyterhub_config.py /app/config.py", "/app/config.py"),
    ] {
        let text = format!("FROM jupyterhub/jupyterhub\n{steps}\n");
        let folder = plan("Dockerfile", &text, &files, &Repository::default(), None).unwrap().unwrap();
        assert!(folder.files.contains_key(&format!("rootfs{place}")), "{steps}: {:?}", folder.files);
    }
}
