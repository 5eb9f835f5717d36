//! The service: a bare repository, pull requests, secrets, and events that start workflows.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::actions::{Place, git};
use super::expression::Scope;
use super::job::Start;
use super::{Ended, Run, Workflow};

/// The repository's name at GitHub.
pub const REPOSITORY: &str = "example/images";

/// Refuses a workflow's push without the permission for it.
const PRE_RECEIVE: &str = "#!/bin/sh\n[ -n \"$PUSHED_BY_TEST\" ] && exit 0\n\
    case \",$GH_TOKEN,\" in *,contents=write,*) exit 0;; esac\n\
    echo 'Permission to push denied to github-actions[bot]' >&2; exit 1\n";

/// Writes down what it was told: installers, which have nothing to do here.
const RECORD: &str = "#!/bin/sh\necho \"$(basename \"$0\") $*\" | tee -a \"$FAKE_GITHUB/installed\"\n";

/// A repository at GitHub, with the programs that its runners have.
pub struct GitHub {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    secrets: BTreeMap<String, String>,
}

/// What starts workflows.
#[derive(Clone, Debug)]
pub enum Event {
    /// Of a branch.
    Push(String),
    /// Of a tag.
    Tag(&'static str),
    /// The number, and what was done: `opened`, `synchronize`, `closed`.
    PullRequest(u64, &'static str),
    /// The clock.
    Schedule,
}

impl GitHub {
    /// With an empty repository; `perijove` is what pipelines find under this name.
    pub fn new(perijove: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let github = GitHub { folder, environment: Vec::new(), secrets: BTreeMap::new() };
        std::fs::create_dir(github.path("bin")).unwrap();
        git(github.path(".").as_path(), &["init", "--quiet", "--bare", "-b", "main", "origin.git"]);
        for (place, text) in [
            ("bin/gh", include_str!("gh.py")),
            ("bin/pipx", RECORD),
            ("bin/sudo", RECORD),
            ("origin.git/hooks/pre-receive", PRE_RECEIVE),
        ] {
            std::fs::write(github.path(place), text).unwrap();
            std::fs::set_permissions(github.path(place), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::symlink(perijove, github.path("bin/perijove")).unwrap();
        let path = format!("{}:{}", github.path("bin").display(), std::env::var("PATH").unwrap());
        let folder = github.path("").display().to_string();
        github.env("PATH", &path).env("FAKE_GITHUB", &folder)
    }

    /// With another default branch than `main`.
    pub fn default_branch(self, branch: &str) -> Self {
        self.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        self
    }

    /// With a variable for every step.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With variables for every step.
    pub fn envs(mut self, all: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(all);
        self
    }

    /// With the settings, indexes and caches of whoever runs the test.
    pub fn of_this_site(mut self) -> Self {
        let ours: Vec<String> = self.environment.iter().map(|(name, _)| name.clone()).collect();
        let other = |(name, _): &(String, String)| !ours.contains(name) && !name.starts_with("GITHUB_");
        self.environment.extend(std::env::vars().filter(other));
        self
    }

    /// With a secret.
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    /// The bare repository.
    pub fn origin(&self) -> PathBuf {
        self.path("origin.git")
    }

    /// What the installers were told.
    pub fn installed(&self) -> String {
        std::fs::read_to_string(self.path("installed")).unwrap_or_default()
    }

    /// With a program of the test's own in place of the runner's.
    pub fn program(self, name: &str, script: &str) -> Self {
        let place = self.path("bin").join(name);
        std::fs::write(&place, script).unwrap();
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// With a program that does nothing but write down what it was told.
    pub fn recorded(self, name: &str) -> Self {
        self.program(name, RECORD)
    }

    /// Runs git in the bare repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.origin(), arguments)
    }

    /// Pushes what is checked out in `checkout` to `branch`, as a maintainer does.
    pub fn push(&self, checkout: &Path, branch: &str) {
        let origin = self.origin();
        git(
            checkout,
            &["push", "--quiet", "--force", origin.to_str().unwrap(), &format!("HEAD:refs/heads/{branch}")],
        );
    }

    /// All pull requests.
    pub fn pulls(&self) -> Vec<Value> {
        let text = std::fs::read(self.path("pulls.json")).unwrap_or_else(|_| b"[]".to_vec());
        serde_json::from_slice(&text).unwrap()
    }

    fn write_pulls(&self, pulls: &[Value]) {
        std::fs::write(self.path("pulls.json"), serde_json::to_vec(pulls).unwrap()).unwrap();
    }

    /// One of them.
    pub fn pull(&self, number: u64) -> Value {
        self.pulls().into_iter().find(|pull| pull["number"] == number).unwrap()
    }

    /// Opens one, as a person does.
    pub fn open(&self, base: &str, head: &str) -> u64 {
        let mut pulls = self.pulls();
        let number = pulls.len() as u64 + 1;
        pulls.push(json!({
            "number": number, "state": "open", "comments": [], "body": "", "title": head, "base": base, "head": head,
        }));
        self.write_pulls(&pulls);
        number
    }

    /// The same from a fork: its commits are in the repository only under the number.
    pub fn open_from_fork(&self, base: &str, checkout: &Path) -> u64 {
        let number = self.open(base, "theirs");
        let mut pulls = self.pulls();
        pulls[number as usize - 1]["fork"] = true.into();
        self.write_pulls(&pulls);
        let origin = self.origin();
        git(
            checkout,
            &["push", "--quiet", origin.to_str().unwrap(), &format!("HEAD:refs/pull/{number}/head")],
        );
        number
    }

    /// Merges it with a merge commit and closes it; gives the commit.
    pub fn merge(&self, number: u64) -> String {
        let pull = self.pull(number);
        let base = format!("refs/heads/{}", pull["base"].as_str().unwrap());
        let head = self.head(&pull);
        let tree = self.git(&["merge-tree", "--write-tree", &base, &head]);
        let message = format!("Merge #{number}");
        let merged = self.git(&["commit-tree", &tree, "-p", &base, "-p", &head, "-m", &message]);
        self.git(&["update-ref", &base, &merged]);
        let mut pulls = self.pulls();
        pulls[number as usize - 1]["state"] = "closed".into();
        self.write_pulls(&pulls);
        merged
    }

    /// The commit that a pull request proposes, which it has also under its number.
    fn head(&self, pull: &Value) -> String {
        let of_number = format!("refs/pull/{}/head", pull["number"]);
        if pull["fork"] != true {
            let head = self.git(&["rev-parse", &format!("refs/heads/{}", pull["head"].as_str().unwrap())]);
            self.git(&["update-ref", &of_number, &head]);
        }
        self.git(&["rev-parse", &of_number])
    }

    /// The context `github` of an event, and whether it comes from a fork.
    fn context(&self, event: &Event) -> (Value, bool) {
        let (reference, name, payload, base, fork) = match event {
            Event::Push(branch) => (format!("refs/heads/{branch}"), "push", json!({}), "".into(), false),
            Event::Tag(tag) => (format!("refs/tags/{tag}"), "push", json!({}), "".into(), false),
            Event::Schedule => (self.git(&["symbolic-ref", "HEAD"]), "schedule", json!({}), "".into(), false),
            Event::PullRequest(number, action) => {
                let pull = self.pull(*number);
                self.head(&pull);
                let fork = pull["fork"] == true;
                let owner = if fork { "somebody/images" } else { REPOSITORY };
                let payload = json!({
                    "action": action, "pull_request": { "number": number, "head": { "repo": { "full_name": owner } } },
                });
                (format!("refs/pull/{number}/merge"), "pull_request", payload, pull["base"].clone(), fork)
            }
        };
        let prefixes = ["refs/heads/", "refs/tags/", "refs/pull/"];
        let short = prefixes.iter().find_map(|prefix| reference.strip_prefix(prefix)).unwrap().to_owned();
        let commit = match event {
            Event::PullRequest(number, _) => format!("refs/pull/{number}/head"),
            _ => reference.clone(),
        };
        let context = json!({
            "repository": REPOSITORY, "ref": reference, "ref_name": short, "event_name": name, "event": payload,
            "base_ref": base, "actor": "maintainer", "sha": self.git(&["rev-parse", &commit]),
        });
        (context, fork)
    }

    /// Runs `.github/workflows/FILE` as it is in the event's commit.
    pub fn run(&self, file: &str, event: &Event) -> Run {
        let (github, fork) = self.context(event);
        let commit = github["sha"].as_str().unwrap();
        let workflow = Workflow::parse(&self.git(&["show", &format!("{commit}:.github/workflows/{file}")]));
        match event {
            Event::Push(branch) => {
                assert!(workflow.is_started_by_push(branch), "{branch} does not start {file}");
            }
            Event::Tag(tag) => assert!(workflow.is_started_by_tag(tag), "{tag} does not start {file}"),
            Event::PullRequest(_, action) => {
                assert!(workflow.on["pull_request"]["types"].as_array().unwrap().contains(&json!(action)));
            }
            Event::Schedule => assert!(workflow.on["schedule"].is_array()),
        }
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run { jobs: Vec::new(), artifacts: BTreeMap::new(), _folder: folder };
        let mut needs = json!({});
        for id in workflow.order() {
            let ended = self.job(&id, &workflow, &github, fork, &needs, &mut run);
            let results = || ended.iter().map(|job| job.result);
            let result = ["failure", "success"].into_iter().find(|word| results().any(|r| r == *word));
            let outputs: BTreeMap<&String, &String> = ended.iter().flat_map(|job| &job.outputs).collect();
            needs[&id] = json!({ "result": result.unwrap_or("skipped"), "outputs": outputs });
            run.jobs.extend(ended);
        }
        run
    }

    fn job(
        &self,
        id: &str,
        workflow: &Workflow,
        github: &Value,
        fork: bool,
        needs: &Value,
        run: &mut Run,
    ) -> Vec<Ended> {
        let job = &workflow.jobs[id];
        let own: BTreeMap<&String, &Value> = job.needs().iter().map(|need| (need, &needs[need])).collect();
        let own = json!(own);
        let failed = job.needs().iter().any(|need| own[need]["result"] != "success");
        let scope = Scope { contexts: json!({ "github": github, "needs": own }), failed };
        if !scope.condition(job.condition.as_deref()) {
            return vec![Ended {
                id: id.to_owned(),
                name: job.name.clone(),
                result: "skipped",
                summary: String::new(),
                ran: Vec::new(),
                log: String::new(),
                outputs: BTreeMap::new(),
                steps: json!({}),
            }];
        }
        let matrix = match &job.strategy {
            None => vec![json!({})],
            Some(strategy) => {
                let mut axes = strategy.matrix.iter();
                let (Some((axis, values)), None) = (axes.next(), axes.next()) else {
                    panic!("one axis is known")
                };
                let values = match values {
                    Value::String(expression) => scope.value(expression),
                    list => list.clone(),
                };
                values.as_array().unwrap().iter().map(|value| json!({ axis: value })).collect()
            }
        };
        // A token says what it may do: not more than reading, in a run for a fork.
        let permissions =
            job.permissions.iter().map(|(name, may)| format!("{name}={}", if fork { "read" } else { may }));
        let mut github = github.clone();
        github["token"] = permissions.collect::<Vec<_>>().join(",").into();
        let secrets = if fork { json!({}) } else { json!(self.secrets) };
        let mut ended = Vec::new();
        for (index, matrix) in matrix.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let workspace = folder.path().join("workspace");
            std::fs::create_dir(&workspace).unwrap();
            let start = Start {
                id,
                job,
                matrix,
                index,
                needs: own.clone(),
                secrets: secrets.clone(),
                github: github.clone(),
                environment: &self.environment,
                folder: folder.path(),
            };
            let mut place = Place {
                origin: &self.origin(),
                github: &github,
                workspace: &workspace,
                artifacts: &mut run.artifacts,
                store: run._folder.path(),
            };
            ended.push(start.run(&mut place));
        }
        ended
    }
}
