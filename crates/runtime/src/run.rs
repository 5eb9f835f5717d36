//! Starts containers: one entry for all runtimes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perijove_oci::Platform;

use crate::builtin;
use crate::choice::{Engine, Runtime};
use crate::client;
use crate::container::Container;
use crate::error::Error;
use crate::image::{Image, ImageSource};
use crate::rootfs::{self, Rootfs};
use crate::spec::{ExitStatus, Spec, Stream};

/// The most that is kept of each output stream, in bytes: the end of it.
const OUTPUT_LIMIT: usize = 4 << 20;
/// What a command that runs out of time gets to end in order.
const GRACE: Duration = Duration::from_secs(2);

/// What a command that ran to its end left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How it ended; none when its time ran out and it was killed.
    pub status: Option<ExitStatus>,
    /// Standard output, the last 4 MiB.
    pub stdout: String,
    /// Standard error, the last 4 MiB.
    pub stderr: String,
}

impl Engine {
    /// Starts a container of `source` for this machine's platform.
    ///
    /// # Errors
    /// Those of [`ImageSource::open`] and [`rootfs::prepare`]; [`Error::Spec`] and [`Error::Start`] when
    /// the command cannot run.
    pub async fn start(&self, source: &ImageSource, spec: Spec) -> Result<Container, Error> {
        let image = source.open(&Platform::host())?;
        self.start_image(source, &image, spec).await
    }

    async fn start_image(&self, source: &ImageSource, image: &Image, spec: Spec) -> Result<Container, Error> {
        let (mut port, mut root) = (None, None);
        let job = match self.runtime {
            Runtime::Builtin | Runtime::Runc => {
                let rootfs = self.rootfs(image).await?;
                let runc = (self.runtime == Runtime::Runc).then(|| self.client.clone());
                let job = builtin::job(image, &rootfs, &spec, self.settings.overlay, runc)?;
                root = Some(rootfs);
                job
            }
            Runtime::Docker | Runtime::Podman => {
                let name = client::name(self, source, image).await?;
                let client = client::client(self, &name, &spec)?;
                port = client.port;
                client.job
            }
        };
        let stop = image.config.config.stop_signal.as_deref();
        Container::launch(
            self.runtime.name(),
            &job,
            stop.and_then(crate::signal::number),
            spec.on_line,
            &self.settings,
            (self.alive.one_more().await, root),
        )
        .await
        .map(|container| container.asked_at(port))
    }

    /// Waits until nothing is left of the containers that were started, those included that were dropped
    /// with whatever started them.
    pub async fn idle(&self) {
        self.alive.none().await;
    }

    /// Makes the image ready to start, so that what follows is the container's own time.
    ///
    /// # Errors
    /// Those of [`rootfs::prepare`]; [`Error::Start`] when docker or podman cannot load it.
    pub async fn unpack(&self, source: &ImageSource, image: &Image) -> Result<(), Error> {
        if matches!(self.runtime, Runtime::Docker | Runtime::Podman) {
            return client::name(self, source, image).await.map(|_| ());
        }
        self.rootfs(image).await.map(|_| ())
    }

    async fn rootfs(&self, image: &Image) -> Result<Rootfs, Error> {
        let (image, settings) = (image.clone(), self.settings.clone());
        let cache = settings.cache.clone();
        let made = tokio::task::spawn_blocking(move || {
            rootfs::prepare(&image, &settings.cache, settings.limits, &*settings.reporter)
        });
        let made = made.await.map_err(|e| Error::io(&cache, std::io::Error::other(e)))?;
        // Beside the container's start; the runtime waits for it before the program ends.
        tokio::task::spawn_blocking(move || rootfs::trim(&cache, rootfs::KEPT));
        made
    }

    /// Runs a command to its end, or until `limit` has passed.
    ///
    /// # Errors
    /// As [`Engine::start`]; a command that fails is no error.
    pub async fn run_to_end(
        &self,
        source: &ImageSource,
        mut spec: Spec,
        limit: Duration,
    ) -> Result<Output, Error> {
        let kept = Arc::new(Mutex::new(Output::default()));
        let further = spec.on_line.take();
        spec.on_line = Some({
            let kept = Arc::clone(&kept);
            Arc::new(move |stream, line| {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let text = if stream == Stream::Stdout { &mut kept.stdout } else { &mut kept.stderr };
                text.push_str(line);
                text.push('\n');
                shorten(text);
                drop(kept);
                if let Some(further) = &further {
                    further(stream, line);
                }
            })
        });
        let mut container = self.start(source, spec).await?;
        let status = match tokio::time::timeout(limit, container.wait()).await {
            Ok(status) => Some(status?),
            Err(_) => {
                container.stop(GRACE).await?;
                None
            }
        };
        let mut output = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        output.status = status;
        Ok(output)
    }
}

/// Keeps the last half of a text that has grown too long.
fn shorten(text: &mut String) {
    if text.len() > 2 * OUTPUT_LIMIT {
        let mut at = text.len() - OUTPUT_LIMIT;
        while !text.is_char_boundary(at) {
            at += 1;
        }
        text.drain(..at);
    }
}
