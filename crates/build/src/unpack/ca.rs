//! The CA bundle that the postinst of ca-certificates would write.

use std::path::Path;

use crate::Result;

use super::Source;
use super::bounds::MAX_TEXT;
use super::deb::Deb;
use super::path::{clean, show};
use super::tarball::Type;

/// Where the package keeps one certificate a file.
const FOLDER: &str = "usr/share/ca-certificates/";

/// `etc/ssl/certs/ca-certificates.crt`: all certificates of a ca-certificates package one after the other,
/// in the order of their paths, each ending in a newline, as update-ca-certificates(8) does it with a fresh
/// configuration (`sort` in the C locale).
///
/// Fails when the archive holds no certificate.
pub fn ca_bundle(archive: &Path, name: &str) -> Result<Vec<u8>> {
    let source = Source { path: archive, name };
    let mut certificates: Vec<(String, Vec<u8>)> = Vec::new();
    let mut total = 0;
    Deb::open(source)?.data(&mut |member, data| {
        let Ok(Some(path)) = clean(&member.path) else { return Ok(()) };
        if member.kind != Type::File || !path.starts_with(FOLDER) || !path.ends_with(".crt") {
            return Ok(());
        }
        total += member.size;
        let left = MAX_TEXT.saturating_sub(total - member.size);
        let mut pem = source.read_small(&path, member.size, left, data)?;
        if !pem.starts_with(b"-----BEGIN CERTIFICATE-----") {
            return Err(source.broken(format!("{}: this is no certificate in PEM", show(path.as_bytes()))));
        }
        if !pem.ends_with(b"\n") {
            pem.push(b'\n');
        }
        certificates.push((path, pem));
        Ok(())
    })?;
    if certificates.is_empty() {
        return Err(source.broken(format!("no certificate below {FOLDER}")));
    }
    certificates.sort();
    Ok(certificates.into_iter().flat_map(|(_, pem)| pem).collect())
}
