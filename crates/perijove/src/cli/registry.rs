//! `perijove registry`: the embedded registry.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perijove_awaiter::ended_by_signal;
use perijove_build::Config;
use perijove_registry::auth::Access;
use perijove_registry::create_only::CreateOnly;
use perijove_registry::{Collect, Mount, Server, Settings, TlsFiles};

use super::error::CliError;
use super::{Global, Outcome};
use crate::ui::Ui;

/// What can be done with the registry.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Serve an OCI registry; prints its address when it is ready
    Serve(Box<Serve>),
}

/// Flags of `registry serve`.
#[derive(clap::Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:5000", env = "PERIJOVE_REGISTRY_LISTEN")]
    listen: SocketAddr,
    /// The store's folder [default: .perijove/registry of the image repository around this folder, else of this one]
    #[arg(long, value_name = "DIR", env = "PERIJOVE_REGISTRY_ROOT")]
    root: Option<PathBuf>,
    /// Tags that match are created once and never moved: a second PUT with another digest answers 409
    #[arg(long, value_name = "REGEX")]
    create_only: Option<String>,
    /// Certificate chain (PEM), for TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key (PEM), for TLS
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Users and their bcrypt hashes, as `htpasswd -B` writes them
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Which user may read or write which repositories
    #[arg(long, value_name = "FILE", requires = "users")]
    rules: Option<PathBuf>,
    /// Let everybody read, also with --users
    #[arg(long, requires = "users")]
    anonymous_read: bool,
    /// Listen beyond this machine without TLS or users, because a proxy in front provides them
    #[arg(long)]
    behind_proxy: bool,
    /// Where a blob may be mounted from, instead of being sent: `any` repository that the client may read, the
    /// `named` one alone, or `never`
    #[arg(long, value_name = "WHERE", default_value = "any", value_parser = mount())]
    mount: Mount,
    /// Connections that one address may have open at once [default: half of all, with --behind-proxy all]
    #[arg(long, value_name = "NUMBER")]
    client_connections: Option<usize>,
    /// Hours for which a blob that nothing refers to stays; 0 keeps all
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    collect_after: u64,
    /// Seconds from the start until such blobs are looked for; then every hour
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    collect_first: u64,
}

/// Takes the names of [`Mount`], and lists them in the help.
fn mount() -> impl clap::builder::TypedValueParser<Value = Mount> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Mount::NAMES.map(|(name, _)| name)).try_map(|name| name.parse::<Mount>())
}

pub async fn run(verb: Verb, global: &Global, ui: &Ui) -> Result<Outcome, CliError> {
    let Verb::Serve(flags) = verb;
    let mut settings = Settings::new(root(&global.directory, flags.root.as_deref())?);
    settings.listen = flags.listen;
    if let Some(pattern) = &flags.create_only {
        settings.create_only = CreateOnly::matching(pattern).map_err(|e| {
            CliError::usage(
                format!("--create-only: {e}"),
                "give a regular expression for whole tags, as '[0-9.]+-[0-9]+'",
            )
        })?;
    }
    if let (Some(certificate), Some(key)) = (&flags.tls_certificate, &flags.tls_key) {
        settings.tls = Some(TlsFiles { certificate: certificate.clone(), key: key.clone() });
    }
    if let Some(users) = &flags.users {
        let access = Access::load(users, flags.rules.as_deref())?;
        settings.access = Some(if flags.anonymous_read { access.with_anonymous_read() } else { access });
    }
    settings.behind_proxy = flags.behind_proxy;
    settings.mount = flags.mount;
    settings.limits.client_connections = flags.client_connections;
    settings.collect = collect(flags.collect_after, flags.collect_first);
    settings.report = Some(ui.warnings());
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let server = Server::bind(settings).await?;
    let address = format!("{scheme}://{}", server.local_addr());
    ui.result(&address, &serde_json::json!({ "address": address }))?;
    std::io::stdout().flush().map_err(CliError::io("standard output"))?;
    server.run(ended_by_signal()).await;
    Ok(Outcome::Done)
}

/// The store's folder: what is named is so from `directory`, as for every verb.
fn root(directory: &Path, named: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(named) = named {
        return Ok(directory.join(named));
    }
    let repository = Config::root(directory)?.unwrap_or_else(|| directory.to_owned());
    Ok(repository.join(".perijove/registry"))
}

/// What `--collect-after` in hours and `--collect-first` in seconds mean.
fn collect(after: u64, first: u64) -> Option<Collect> {
    (after > 0).then(|| Collect {
        first: Duration::from_secs(first),
        blob_grace: Duration::from_secs(after.saturating_mul(3600)),
        ..Collect::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_hours_collect_nothing() {
        assert!(collect(0, 60).is_none());
        let settled = collect(2, 5).map(|c| (c.blob_grace.as_secs(), c.first.as_secs(), c.every.as_secs()));
        assert_eq!(settled, Some((7200, 5, 3600)));
        assert!(collect(u64::MAX, 60).is_some());
    }
}
