//! Where a builder works: a folder of its own below Perijove's cache, gone with the value, and swept by the next
//! build when a program was killed before it could.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use perijove_oci::{Event, Reporter};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::order::Step;
use crate::lock::program::without_credentials;
use crate::{Error, Result};

/// How many of a failed builder's last lines are told.
const LAST_LINES: usize = 25;
/// A longer line is handed on in pieces of this many bytes.
const MAX_LINE: usize = 4 << 10;
/// How long to wait, 20 ms at a time, for what was killed to let go of its files.
const PATIENCE: usize = 250;

/// A builder's folder.
pub struct Workshop {
    folder: PathBuf,
    /// Held by every build, and by the programs that it starts, as long as they run: who gets it alone knows
    /// that nobody works here.
    lock: File,
}

impl Workshop {
    /// Below `cache`, Perijove's cache folder. Removes what dead builds left.
    pub fn open(cache: &Path) -> Result<Self> {
        let all = cache.join("dockerfile").join("work");
        fs::create_dir_all(&all).map_err(Error::io(&all))?;
        let path = all.join("lock");
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let lock = open().map_err(Error::io(&path))?;
        if lock.try_lock().is_ok() {
            for entry in fs::read_dir(&all).map_err(Error::io(&all))?.flatten() {
                if entry.path() != path {
                    remove(&entry.path());
                }
            }
            lock.unlock().map_err(Error::io(&path))?;
        }
        lock.lock_shared().map_err(Error::io(&path))?;
        let folder = tempfile::Builder::new().prefix("build-").tempdir_in(&all).map_err(Error::io(&all))?;
        Ok(Workshop { folder: folder.keep(), lock })
    }

    /// An empty folder in it.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.folder.join(name);
        fs::create_dir_all(room.join("storage/tmp")).map_err(Error::io(&room))?;
        Ok(room)
    }

    /// Runs a step to its end and hands its lines to `reporter`, each behind `prefix`. Gives how it ended, and
    /// its last lines. Dropping the future ends the step and all that it has started.
    pub async fn run(
        &self,
        step: &Step,
        prefix: &str,
        reporter: &dyn Reporter,
    ) -> std::io::Result<(ExitStatus, String)> {
        let Some((program, arguments)) = step.words.split_first() else {
            return Ok((ExitStatus::from_raw(0), String::new()));
        };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).envs(step.env.iter().map(|(name, value)| (*name, value)));
        command.current_dir(&self.folder).env("NO_COLOR", "1");
        // An empty file as good as /dev/null, whose lock they all hold from then on.
        command.stdin(Stdio::from(self.lock.try_clone()?));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: a Ctrl-C comes to us, and we end all of it.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn()?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let last = Mutex::new(VecDeque::with_capacity(LAST_LINES));
        let line = |text: &str| {
            let text = without_credentials(text.trim_end());
            if text.is_empty() {
                return;
            }
            reporter.report(Event::Note(format!("{prefix}: {text}")));
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(text);
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (status, (), ()) = tokio::join!(child.wait(), follow(stdout, &line), follow(stderr, &line));
        drop(group);
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((status?, Vec::from(last).join("\n")))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// A process group, killed with the value: after a builder's own end, what it may have left.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // None of it may be there any more.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Removes a builder's folder. What was killed a moment ago may still be writing; what an ordinary user's
/// containers wrote belongs to users that only buildah can be.
fn remove(folder: &Path) {
    for attempt in 0..PATIENCE {
        match fs::remove_dir_all(folder) {
            Ok(()) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !geteuid().is_root() => {
                let mut command = std::process::Command::new("buildah");
                command.args(["unshare", "rm", "-rf", "--"]).arg(folder);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                if !command.status().is_ok_and(|status| status.success()) && attempt > 3 {
                    return;
                }
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(20));
    }
}

/// Hands every line of `from` on until its end. A read error counts as the end.
async fn follow(from: Option<impl AsyncRead + Unpin>, line: &impl Fn(&str)) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut text = Vec::new();
    while let Ok(bytes) = from.fill_buf().await {
        if bytes.is_empty() {
            break;
        }
        let room = (MAX_LINE - text.len()).min(bytes.len());
        let end = bytes[..room].iter().position(|b| matches!(b, b'\n' | b'\r'));
        let taken = end.map_or(room, |at| at + 1);
        text.extend_from_slice(&bytes[..taken]);
        from.consume(taken);
        if end.is_some() || text.len() >= MAX_LINE {
            line(&String::from_utf8_lossy(&text));
            text.clear();
        }
    }
    line(&String::from_utf8_lossy(&text));
}
