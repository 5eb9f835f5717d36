//! Tries whether a container can be made here: an empty root is entered, and the program that is not in it
//! must be what fails. Versions and settings tell less: root of a container has a working `runc --version`
//! and may make no namespace.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use perijove_oci::report::Silent;

use crate::builtin::container_name;
use crate::choice::{Settings, said};
use crate::container::{Alive, Container};
use crate::error::Error;
use crate::protocol::{self, Job};
use crate::spec::{LineSink, Network, Process};
use crate::user::Identity;

/// The program that no image has.
const NOTHING: &str = "/perijove-trial";
/// An image's own user: the usual number.
const USER: u32 = 1000;

/// Makes a container by the built-in runtime, or by the runc at `runc`.
///
/// # Errors
/// A text: which step failed, as `uid_map: Operation not permitted`.
pub(crate) async fn trial(settings: &Settings, runc: Option<PathBuf>) -> Result<(), String> {
    let kept = tempfile::tempdir().map_err(|e| e.to_string())?;
    for name in ["tree", "mount"] {
        std::fs::create_dir(kept.path().join(name)).map_err(|e| format!("{}: {e}", kept.path().display()))?;
    }
    let name = if runc.is_some() { "runc" } else { "builtin" };
    let lines = Arc::new(Mutex::new(String::new()));
    let sink: LineSink = Arc::new({
        let lines = Arc::clone(&lines);
        move |_, line| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_str(line);
            lines.push('\n');
        }
    });
    let job = job(kept.path(), runc);
    // Notes about the trial's own root are nobody's.
    let settings = Settings { reporter: Arc::new(Silent), ..settings.clone() };
    let alive = Alive::default();
    let failure =
        match Container::launch(name, &job, None, Some(sink), &settings, alive.one_more().await).await {
            Err(Error::Start { reason, .. }) => reason,
            Err(error) => error.to_string(),
            // runc's client starts, and says on stderr what does not.
            Ok(mut container) => match container.wait().await {
                Err(Error::Start { reason, .. }) => reason,
                Err(error) => error.to_string(),
                Ok(_) => lines.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            },
        };
    // The folder can go when its mounts have gone.
    alive.none().await;
    if failure.contains(NOTHING) { Ok(()) } else { Err(said(failure.as_bytes())) }
}

fn job(kept: &Path, runc: Option<PathBuf>) -> Job {
    let identity = Identity { uid: USER, gid: USER, groups: Vec::new(), home: "/".to_owned() };
    Job::Container(Box::new(protocol::Container {
        kept: kept.to_owned(),
        name: container_name(),
        hostname: "perijove".to_owned(),
        // An empty root is copied as fast, and where there is no overlay the copy is what runs.
        overlay: false,
        network: Network::Own,
        mounts: Vec::new(),
        writable: Vec::new(),
        files: Vec::new(),
        process: Process { argv: vec![NOTHING.to_owned()], env: Vec::new(), cwd: "/".to_owned(), identity },
        command_is_init: false,
        runc,
    }))
}
