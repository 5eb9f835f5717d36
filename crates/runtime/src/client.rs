//! docker and podman: their command lines, and loading an image where no registry serves it.
//!
//! podman's own settings (its OCI runtime, its cgroup manager) are the user's, in `containers.conf`.

use std::io::BufWriter;
use std::process::Stdio;

use perijove_oci::Reference;

use crate::archive;
use crate::brought::Name;
use crate::builtin::container_name;
use crate::choice::{Engine, Runtime};
use crate::error::Error;
use crate::image::{Image, ImageSource};
use crate::protocol::{Job, Supervise};
use crate::spec::{Network, Spec};

/// A container of docker's or podman's.
pub(crate) struct Client {
    /// What the supervisor runs.
    pub job: Job,
    /// Program and arguments that print the address where the port of [`Spec::ask`] is published.
    pub port: Option<Vec<String>>,
}

/// The job of running `spec` in `image` by name.
pub(crate) fn client(engine: &Engine, image: &str, spec: &Spec) -> Result<Client, Error> {
    let program = engine.client.display().to_string();
    let name = container_name();
    let command = |words: &[&str]| {
        let words = words.iter().map(|w| (*w).to_owned());
        std::iter::once(program.clone()).chain(words).collect::<Vec<String>>()
    };
    let remove = match engine.runtime {
        Runtime::Podman => command(&["rm", "--force", "--time", "0", &name]),
        _ => command(&["rm", "--force", &name]),
    };
    let port = spec.ask.filter(|_| spec.network == Network::Own);
    Ok(Client {
        job: Job::Supervise(Box::new(Supervise {
            run: std::iter::once(program.clone())
                .chain(arguments(engine.runtime, &name, image, spec)?)
                .collect(),
            env: spec.env.iter().filter(|(n, _)| n != "PATH" && n != "HOME").cloned().collect(),
            remove: vec![remove],
            kill: command(&["kill", &name, "--signal"]),
        })),
        port: port.map(|port| command(&["port", &name, &format!("{port}/tcp")])),
    })
}

/// The arguments of `run`. Values of the environment are the client's own environment, not arguments.
fn arguments(runtime: Runtime, name: &str, image: &str, spec: &Spec) -> Result<Vec<String>, Error> {
    let mut all: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| all.extend(words.iter().map(|w| (*w).to_owned()));
    add(&["run", "--rm", "--name", name, "--security-opt", "no-new-privileges"]);
    if runtime == Runtime::Podman && is_loopback(image) {
        add(&["--tls-verify=false"]);
    }
    match (spec.network, spec.ask) {
        (Network::Own, None) => add(&["--network", "none"]),
        (Network::Own, Some(port)) => add(&["--publish", &format!("127.0.0.1::{port}")]),
        (Network::Host, _) if spec.publish.is_empty() => add(&["--network", "host"]),
        (Network::Host, _) => {
            for port in &spec.publish {
                add(&["--publish", &format!("127.0.0.1:{port}:{port}")]);
            }
        }
    }
    for (option, value) in [("--user", &spec.user), ("--workdir", &spec.workdir)] {
        if let Some(value) = value {
            add(&[option, value]);
        }
    }
    for (name, value) in &spec.env {
        match name.as_str() {
            // The client needs its own.
            "PATH" | "HOME" => add(&["--env", &format!("{name}={value}")]),
            _ => add(&["--env", name]),
        }
    }
    for path in &spec.writable {
        add(&["--tmpfs", &format!("{path}:mode=1777")]);
    }
    for mount in &spec.mounts {
        let (source, target) = (mount.source.display().to_string(), &mount.target);
        // The option's value is comma-separated.
        if source.contains([',', '"']) || target.contains([',', '"']) {
            return Err(Error::Spec(format!("a mount's path holds a comma or a quote: {source}, {target}")));
        }
        let read_only = if mount.read_only { ",readonly" } else { "" };
        add(&["--mount", &format!("type=bind,source={source},target={target}{read_only}")]);
    }
    let entrypoint = spec.entrypoint.as_deref().unwrap_or_default();
    if let Some((program, _)) = entrypoint.split_first() {
        add(&["--entrypoint", program]);
    }
    add(&[image]);
    all.extend(entrypoint.iter().skip(1).chain(spec.command.iter().flatten()).cloned());
    Ok(all)
}

/// Whether an image's registry is this machine: it speaks plain HTTP then.
fn is_loopback(image: &str) -> bool {
    let Ok(reference) = image.parse::<Reference>() else { return false };
    let host = reference.registry.rsplit_once(':').map_or(reference.registry.as_str(), |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// The name by which the runtime knows `source`'s image: the registry's, or one that it is loaded under. It is removed
/// with the engine.
pub(crate) async fn name(engine: &Engine, source: &ImageSource, image: &Image) -> Result<String, Error> {
    let made_of = source.registry_reference.clone().unwrap_or_else(|| image.digest.to_string());
    let bring = async || match &source.registry_reference {
        // `run` pulls it.
        Some(reference) => Ok(Name::served(reference)),
        None => load(engine, image).await,
    };
    engine.brought.name(&made_of, bring).await
}

async fn load(engine: &Engine, image: &Image) -> Result<Name, Error> {
    let name = format!("localhost/perijove:{}-{}", image.digest.short(), container_name());
    let runtime = engine.runtime.name();
    let failed =
        move |reason: String| Error::Start { runtime, reason: format!("load: {reason}"), hint: None };
    let mut load = tokio::process::Command::new(&engine.client)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let stdin = load.stdin.take().and_then(|s| s.into_owned_fd().ok()).map(std::fs::File::from);
    let (image, known) = (image.clone(), name.clone());
    let written = tokio::task::spawn_blocking(move || match stdin {
        Some(stdin) => archive::write(&image, &known, BufWriter::with_capacity(256 << 10, stdin)),
        None => Err(std::io::ErrorKind::BrokenPipe.into()),
    });
    let (output, written) = tokio::join!(load.wait_with_output(), written);
    let output = output.map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
        return Err(failed(said));
    }
    written.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    Ok(Name { now: name, kept: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Mount;

    #[test]
    fn arguments_of_run() {
        let spec = Spec {
            entrypoint: Some(vec!["tini".to_owned(), "--".to_owned()]),
            command: Some(vec!["hub".to_owned()]),
            env: vec![("TOKEN".to_owned(), "secret".to_owned())],
            user: Some("1000".to_owned()),
            publish: vec![8000],
            mounts: vec![Mount { source: "/a".into(), target: "/b".to_owned(), read_only: true }],
            writable: vec!["/w".to_owned()],
            ..Spec::default()
        };
        let line = |runtime, image, spec: &Spec| arguments(runtime, "name", image, spec).unwrap().join(" ");
        assert_eq!(
            line(Runtime::Podman, "127.0.0.1:5000/demo", &spec),
            "run --rm --name name --security-opt no-new-privileges --tls-verify=false --publish 127.0.0.1:8000:8000 \
             --user 1000 --env TOKEN --tmpfs /w:mode=1777 --mount type=bind,source=/a,target=/b,readonly \
             --entrypoint tini 127.0.0.1:5000/demo -- hub"
        );
        let own = Spec { network: Network::Own, ..Spec::default() };
        assert!(line(Runtime::Docker, "quay.io/demo", &own).ends_with("--network none quay.io/demo"));
        let ask = Spec { ask: Some(8000), ..own };
        assert!(line(Runtime::Docker, "demo", &ask).contains("--publish 127.0.0.1::8000"));
        assert!(line(Runtime::Docker, "demo", &Spec::default()).contains("--network host"));
        let comma = Mount { source: "/a,b".into(), target: "/b".to_owned(), read_only: false };
        assert!(
            arguments(Runtime::Docker, "n", "i", &Spec { mounts: vec![comma], ..Spec::default() }).is_err()
        );
    }
}
