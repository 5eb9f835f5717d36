//! The runner: one job's steps, one after the other, in a folder of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::actions::Place;
use super::expression::{Scope, shown};
use super::{Ended, Job};

/// What a job finds when it starts.
pub(super) struct Start<'a> {
    pub id: &'a str,
    pub job: &'a Job,
    pub matrix: Value,
    /// The place of this job among those of its matrix.
    pub index: usize,
    pub needs: Value,
    pub secrets: Value,
    /// What the variables `GITHUB_…` and the context `github` say.
    pub github: Value,
    pub environment: &'a [(String, String)],
    /// Empty, for workspace, home and temporary files.
    pub folder: &'a Path,
}

impl Start<'_> {
    pub(super) fn run(&self, place: &mut Place) -> Ended {
        for folder in ["home", "temp", "commands"] {
            std::fs::create_dir(self.folder.join(folder)).unwrap();
        }
        let mut ended = Ended {
            id: self.id.to_owned(),
            name: self.job.name.clone(),
            result: "success",
            summary: String::new(),
            ran: Vec::new(),
            log: String::new(),
            outputs: BTreeMap::new(),
            steps: json!({}),
        };
        ended.name = self.scope(&ended).text(&self.job.name);
        let mut exported: Vec<(String, String)> = Vec::new();
        for (number, step) in self.job.steps.iter().enumerate() {
            let scope = self.scope(&ended);
            if !scope.condition(step.condition.as_deref()) {
                continue;
            }
            ended.ran.push(step.name.clone());
            ended.log.push_str(&format!("--- {}\n", step.name));
            let worked = match (&step.uses, &step.run) {
                (Some(action), None) => {
                    let with = step.with.iter().map(|(key, value)| match value {
                        Value::String(text) => (key.clone(), scope.text(text).into()),
                        other => (key.clone(), other.clone()),
                    });
                    let done = place.uses(action, &with.collect());
                    ended.log.push_str(&done.as_ref().err().cloned().unwrap_or_default());
                    done.is_ok()
                }
                (None, Some(script)) => {
                    // What is put into a script may be anybody's words.
                    assert!(!script.contains("${{"), "{}: an expression in a script", step.name);
                    let environment = step.env.iter().map(|(name, value)| (name.clone(), scope.text(value)));
                    let environment: Vec<_> = exported.iter().cloned().chain(environment).collect();
                    let (worked, said) = self.script(number, script, &environment);
                    ended.log.push_str(&said);
                    worked
                }
                _ => panic!("{}: neither an action nor a script", step.name),
            };
            let outputs = self.command(number, "output");
            exported.extend(self.command(number, "env"));
            ended.summary.push_str(&self.file(number, "summary"));
            if let Some(id) = &step.id {
                let outputs: BTreeMap<String, String> = outputs.into_iter().collect();
                let outcome = if worked { "success" } else { "failure" };
                ended.steps[id] = json!({ "outputs": outputs, "outcome": outcome });
            }
            if !worked {
                ended.result = "failure";
            }
        }
        let scope = self.scope(&ended);
        let outputs = self.job.outputs.iter().map(|(name, value)| (name.clone(), scope.text(value)));
        ended.outputs = outputs.collect();
        ended
    }

    fn scope(&self, ended: &Ended) -> Scope {
        Scope {
            contexts: json!({
                "github": self.github, "matrix": self.matrix, "strategy": { "job-index": self.index }, "needs": self.needs, "secrets": self.secrets,
                "steps": ended.steps, "runner": { "temp": self.folder.join("temp").to_str().unwrap() },
            }),
            failed: ended.result == "failure",
        }
    }

    /// `shell: bash` of GitHub's runner.
    fn script(&self, number: usize, script: &str, environment: &[(String, String)]) -> (bool, String) {
        let file = self.folder.join(format!("commands/{number}.sh"));
        // One stream, in the order in which it was printed.
        std::fs::write(&file, format!("exec 2>&1\n{script}")).unwrap();
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&file).env_clear().stdin(Stdio::null());
        bash.current_dir(self.folder.join("workspace"));
        bash.env("HOME", self.folder.join("home")).env("RUNNER_TEMP", self.folder.join("temp"));
        for kind in ["OUTPUT", "ENV", "STEP_SUMMARY"] {
            let name = kind.trim_start_matches("STEP_").to_lowercase();
            let path = self.folder.join(format!("commands/{number}.{name}"));
            std::fs::write(&path, "").unwrap();
            bash.env(format!("GITHUB_{kind}"), path);
        }
        for name in ["repository", "ref", "ref_name", "sha", "event_name", "base_ref", "actor"] {
            bash.env(format!("GITHUB_{}", name.to_uppercase()), shown(&self.github[name]));
        }
        bash.env("GITHUB_WORKSPACE", self.folder.join("workspace")).env("GITHUB_ACTIONS", "true");
        bash.envs(self.environment.iter().chain(environment).map(|(name, value)| (name, value)));
        let output = bash.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn file(&self, number: usize, kind: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("commands/{number}.{kind}"))).unwrap_or_default()
    }

    /// `name=value` and `name<<END` … `END` of a file of commands.
    fn command(&self, number: usize, kind: &str) -> Vec<(String, String)> {
        let text = self.file(number, kind);
        let (mut found, mut lines) = (Vec::new(), text.lines());
        while let Some(line) = lines.next() {
            match (line.split_once("<<"), line.split_once('=')) {
                (Some((name, end)), _) if !name.contains('=') => {
                    let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                    found.push((name.to_owned(), value.join("\n")));
                }
                (_, Some((name, value))) => found.push((name.to_owned(), value.to_owned())),
                _ => panic!("`{line}` is no command"),
            }
        }
        found
    }
}
