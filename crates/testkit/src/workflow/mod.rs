//! Runs workflows of GitHub Actions on this machine: the `run` steps in order, as written, with real git and real
//! registries. What GitHub itself would do has a stand-in: `github` is the service, `actions` what `uses:` names,
//! `expression` its `${{ }}`, `job` the runner. Anything that is not known here fails the test.

pub mod actions;
pub mod expression;
pub mod github;
mod job;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A workflow file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workflow {
    /// For people.
    pub name: String,
    /// What starts it.
    pub on: Value,
    /// For jobs that name none.
    pub permissions: BTreeMap<String, String>,
    defaults: Value,
    /// Which runs wait for which.
    pub concurrency: Value,
    /// By id.
    pub jobs: BTreeMap<String, Job>,
}

/// One of its jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    /// For people.
    pub name: String,
    #[serde(default)]
    needs: Needs,
    #[serde(rename = "if")]
    condition: Option<String>,
    strategy: Option<Strategy>,
    /// The kind of machine.
    pub runs_on: String,
    /// Its end.
    pub timeout_minutes: u32,
    /// Whose secrets it gets.
    pub environment: Option<String>,
    /// What its token may do.
    pub permissions: BTreeMap<String, String>,
    #[serde(default)]
    outputs: BTreeMap<String, String>,
    /// In order.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum Needs {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Strategy {
    #[allow(dead_code, reason = "jobs of a matrix run one after the other here, and all of them")]
    fail_fast: Option<bool>,
    /// Lists, or expressions that give one.
    matrix: BTreeMap<String, Value>,
}

/// One of a job's steps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// For people.
    pub name: String,
    id: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
    /// `owner/action@commit`.
    pub uses: Option<String>,
    /// What the action is told.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// A script.
    pub run: Option<String>,
}

impl Job {
    fn needs(&self) -> &[String] {
        match &self.needs {
            Needs::None => &[],
            Needs::One(one) => std::slice::from_ref(one),
            Needs::Many(many) => many,
        }
    }
}

impl Workflow {
    /// Reads a file.
    pub fn parse(text: &str) -> Self {
        let workflow: Workflow = serde_yaml_ng::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        // The one shell that `job` has.
        assert_eq!(workflow.defaults, serde_json::json!({ "run": { "shell": "bash" } }));
        workflow
    }

    /// Whether a push to `branch` starts it.
    pub fn is_started_by_push(&self, branch: &str) -> bool {
        self.is_started_by("branches", branch)
    }

    /// Whether a push of `tag` starts it.
    pub fn is_started_by_tag(&self, tag: &str) -> bool {
        self.is_started_by("tags", tag)
    }

    /// GitHub's filter patterns: `*`, `+` and `[…]` as in regular expressions.
    fn is_started_by(&self, kind: &str, name: &str) -> bool {
        let patterns = self.on["push"][kind].as_array().into_iter().flatten();
        patterns.map(|pattern| pattern.as_str().unwrap()).any(|pattern| {
            let pattern = pattern.replace('.', r"\.").replace('*', "[^/]*");
            regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(name)
        })
    }

    /// The jobs' ids, each after those that it needs.
    fn order(&self) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        while order.len() < self.jobs.len() {
            let ready = |(id, job): &(&String, &Job)| {
                !order.contains(id) && job.needs().iter().all(|need| order.contains(need))
            };
            order.push(self.jobs.iter().find(ready).expect("jobs that need each other").0.clone());
        }
        order
    }
}

/// How a run of a workflow ended.
pub struct Run {
    /// In the order they ran; a job of a matrix once for each of its values.
    pub jobs: Vec<Ended>,
    /// The folders of what was kept, by name.
    pub artifacts: BTreeMap<String, std::path::PathBuf>,
    _folder: tempfile::TempDir,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// With the value of its matrix.
    pub name: String,
    /// `success`, `failure`, `skipped`.
    pub result: &'static str,
    /// What its steps wrote to the summary.
    pub summary: String,
    /// Names of the steps that ran.
    pub ran: Vec<String>,
    /// Everything that was printed.
    pub log: String,
    /// Of the job.
    pub outputs: BTreeMap<String, String>,
    /// Of its steps, by id.
    pub steps: Value,
}

impl Run {
    /// The jobs of an id that were not skipped.
    pub fn job(&self, id: &str) -> Vec<&Ended> {
        self.jobs.iter().filter(|job| job.id == id && job.result != "skipped").collect()
    }

    /// Fails the test unless no job has failed.
    pub fn succeeded(self) -> Self {
        for job in &self.jobs {
            assert_ne!(job.result, "failure", "{}:\n{}", job.name, job.log);
        }
        self
    }
}
