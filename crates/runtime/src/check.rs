//! An image's own checks: a command that must succeed, or a service that must answer. They run against
//! exactly the digest that is to be released, each in a container of its own.
//!
//! A service is asked from inside its container's network, which has nothing but a loopback device: what
//! else listens on this machine's ports does not matter. docker and podman publish the port at a free one
//! instead, so there the service must listen on all addresses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use perijove_oci::Platform;
use url::Url;

use crate::choice::Engine;
use crate::container::Container;
use crate::error::Error;
use crate::image::ImageSource;
use crate::spec::{LineSink, Network, Spec};

/// How many of the last lines of output a result holds.
const LAST_LINES: usize = 20;
/// Longest line kept, in characters.
const LINE_LIMIT: usize = 500;
/// One request's time. A service that accepts and says nothing is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What a service gets to end in order, when all is known.
const GRACE: Duration = Duration::from_secs(3);

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The command must end with code 0, and its output hold a text.
    Run {
        /// Arguments, in place of the image's command.
        run: Vec<String>,
        /// Text that stdout or stderr must hold, placeholders already replaced.
        expect: Option<String>,
        /// Time limit.
        within: Duration,
    },
    /// The command must bring a service up.
    Serve {
        /// Arguments, in place of the image's command.
        serve: Vec<String>,
        /// `http://` URL that must answer 200.
        get: Url,
        /// Time limit.
        within: Duration,
    },
}

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should, and why.
    Failed(String),
    /// It was not run, and why.
    Untested(String),
}

/// A check's result.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// `run jupyterhub --version`, `GET http://127.0.0.1:8000/hub/api`.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// How long it took, the image's unpacking left out.
    pub seconds: f64,
    /// The last lines of output.
    pub output: Vec<String>,
}

/// Runs one check in the image of `platform`, in a container of `base` with the check's own command and network.
/// A platform that this machine's processor is not is untested.
///
/// # Errors
/// What is no fault of the image's programs: the image on disk is damaged, the runtime does not work.
pub async fn run(
    engine: &Engine,
    source: &ImageSource,
    platform: &Platform,
    check: &Check,
    base: &Spec,
) -> Result<CheckResult, Error> {
    let image = source.open(platform)?;
    let mut result =
        CheckResult { name: check.name(), verdict: Verdict::Passed, seconds: 0.0, output: Vec::new() };
    if !image.runs_here() {
        let (platform, host) = (image.platform(), Platform::host());
        result.verdict = Verdict::Untested(format!("the image is for {platform}, this machine is {host}"));
        return Ok(result);
    }
    engine.unpack(source, &image).await?;
    let (last, sink) = last_lines();
    let base = Spec { network: Network::Own, on_line: Some(sink), ..base.clone() };
    let began = Instant::now();
    let verdict = match check {
        Check::Run { run, expect, within } => {
            command(engine, source, run, expect.as_deref(), *within, base).await
        }
        Check::Serve { serve, get, within } => service(engine, source, serve, get, *within, base).await,
    };
    result.verdict = match verdict {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(reason)) => Verdict::Failed(reason),
        // The image lacks the program, the user or the folder: that is the image's own fault.
        Err(Error::Start { reason, hint: None, .. } | Error::Spec(reason)) => Verdict::Failed(reason),
        Err(error) => return Err(error),
    };
    result.seconds = began.elapsed().as_secs_f64();
    result.output = last.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
    Ok(result)
}

impl Check {
    /// What it does, in a few words.
    pub fn name(&self) -> String {
        match self {
            // A program of several lines says nothing in a list of results.
            Check::Run { run, .. } => {
                let word = |word: &String| word.lines().nth(1).map_or(word.clone(), |_| "…".to_owned());
                format!("run {}", run.iter().map(word).collect::<Vec<_>>().join(" "))
            }
            Check::Serve { get, .. } => format!("GET {get}"),
        }
    }
}

async fn command(
    engine: &Engine,
    source: &ImageSource,
    run: &[String],
    expect: Option<&str>,
    within: Duration,
    base: Spec,
) -> Result<Result<(), String>, Error> {
    let spec = Spec { command: Some(run.to_vec()), ..base };
    let output = engine.run_to_end(source, spec, within).await?;
    Ok(match (output.status, expect) {
        (None, _) => Err(format!("it did not end within {} seconds", within.as_secs_f64())),
        (Some(status), _) if !status.success() => Err(format!("it ended with {status}")),
        (Some(_), Some(text)) if !output.stdout.contains(text) && !output.stderr.contains(text) => {
            Err(format!("its output does not hold `{text}`"))
        }
        _ => Ok(()),
    })
}

async fn service(
    engine: &Engine,
    source: &ImageSource,
    serve: &[String],
    get: &Url,
    within: Duration,
    base: Spec,
) -> Result<Result<(), String>, Error> {
    let Some((authority, target)) = request(get) else {
        return Ok(Err(format!("{get} is no http:// URL that can be asked without TLS")));
    };
    let spec = Spec { command: Some(serve.to_vec()), ask: get.port_or_known_default(), ..base };
    let deadline = tokio::time::Instant::now() + within;
    let mut container = engine.start(source, spec).await?;
    let mut said = format!("no answer from {get}");
    let asked =
        tokio::time::timeout_at(deadline, answer(&mut container, &authority, &target, &mut said)).await;
    let verdict = match asked {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("it ended with {} before {get} answered 200", container.wait().await?)),
        Err(_) => Err(format!("{get} did not answer 200 within {} seconds: {said}", within.as_secs_f64())),
    };
    container.stop(GRACE).await?;
    Ok(verdict)
}

/// Asks until the answer is 200 (true), or the container has ended (false).
async fn answer(container: &mut Container, authority: &str, target: &str, said: &mut String) -> bool {
    let mut pause = Duration::from_millis(20);
    loop {
        match container.get(authority, target, ANSWER_WITHIN).await {
            Ok(200) => return true,
            Ok(status) => *said = format!("the answer is {status}"),
            Err(reason) => *said = reason,
        }
        if container.has_ended() {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// Authority and target of a request (RFC 9112, section 3.2.1).
fn request(url: &Url) -> Option<(String, String)> {
    if url.scheme() != "http" {
        return None;
    }
    let authority = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Some((authority, target))
}

fn last_lines() -> (Arc<Mutex<VecDeque<String>>>, LineSink) {
    let last = Arc::new(Mutex::new(VecDeque::new()));
    let kept = Arc::clone(&last);
    let sink: LineSink = Arc::new(move |_, line| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == LAST_LINES {
            kept.pop_front();
        }
        kept.push_back(line.chars().take(LINE_LIMIT).collect());
    });
    (last, sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line() {
        let run = ["python3", "-c", "import a\nimport b"].map(str::to_owned).to_vec();
        let check = Check::Run { run, expect: None, within: Duration::ZERO };
        assert_eq!(check.name(), "run python3 -c …");
    }

    #[test]
    fn requests() {
        let of = |url: &str| request(&url.parse().unwrap());
        let some = |a: &str, t: &str| Some((a.to_owned(), t.to_owned()));
        assert_eq!(of("http://127.0.0.1:8000/hub/api"), some("127.0.0.1:8000", "/hub/api"));
        assert_eq!(of("http://localhost"), some("localhost:80", "/"));
        assert_eq!(of("http://[::1]:8000/a?b=c#d"), some("[::1]:8000", "/a?b=c"));
        assert_eq!(of("https://127.0.0.1/"), None);
    }
}
