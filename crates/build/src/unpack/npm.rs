//! npm packages (gzipped tar with one folder in front), placed as npm does it, without running anything.

use std::io::{BufReader, Read};
use std::path::Path;

use crate::entry::{EPOCH, Entry, Kind, Sink};
use crate::{Error, Result};

use super::Source;
use super::bounds::{MAX_TEXT, allowance};
use super::decompress::Compression;
use super::package_json::PackageJson;
use super::parents::Ordered;
use super::path::{check_symlink, clean};
use super::tarball::{Member, Tarball, Type};

/// Where an npm package goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpmOptions {
    /// The package's own folder, from the root: `usr/local/lib/node_modules/x`.
    pub folder: String,
}

/// Unpacks an npm package. `name` is what messages call it.
///
/// The first folder of every name is cut off, whatever it is called. Modes are 0644, or 0755 where the tar
/// says executable or package.json names the file as a command; owner root; time [`EPOCH`]; in the
/// tarball's order. Links are left out, as npm does it (`npm pack` makes none), but one that leads out of the
/// package is an error.
///
/// `directories.bin` of package.json, an old way to name commands, is not read.
pub fn npm(archive: &Path, name: &str, options: &NpmOptions, sink: &mut dyn Sink) -> Result<PackageJson> {
    let source = Source { path: archive, name };
    // Twice through the archive: package.json, which may come last, says which files are commands.
    let mut found = None;
    each(source, &mut |path, member, content| {
        if path == "package.json" && member.kind == Type::File {
            found = Some(source.read_small(path, member.size, MAX_TEXT, content)?);
        }
        Ok(found.is_none())
    })?;
    let text = found.ok_or_else(|| source.broken("this is no npm package: it has no package.json"))?;
    let package = PackageJson::parse(&text).map_err(|e| source.broken(e))?;
    let commands: Vec<&String> = package.bin.values().collect();

    let mut ordered = Ordered::new(source, sink);
    each(source, &mut |path, member, content| {
        let is_command = commands.iter().any(|c| c.as_str() == path);
        let entry = |kind, mode| {
            let path = format!("{}/{path}", options.folder);
            Entry { path, kind, mode, uid: 0, gid: 0, mtime: EPOCH }
        };
        match member.kind {
            Type::Directory => ordered.send(entry(Kind::Directory, 0o755), content)?,
            Type::File => {
                let mode = if is_command || member.mode & 0o111 != 0 { 0o755 } else { 0o644 };
                if is_command && member.size <= MAX_TEXT {
                    // A command is a small text; its first line must work without env(1).
                    let text = explicit_node(source.read_small(path, member.size, MAX_TEXT, content)?);
                    let kind = Kind::File { size: text.len() as u64 };
                    ordered.send(entry(kind, mode), &mut &text[..])?;
                } else {
                    ordered.send(entry(Kind::File { size: member.size }, mode), content)?;
                }
            }
            Type::Symlink => {
                if member.link.starts_with(b"/") {
                    return Err(source.broken(format!("{path}: a link to an absolute path")));
                }
                check_symlink(path, &member.link).map_err(|e| source.broken(e))?;
            }
            Type::Hardlink => {
                clean(&member.link).map_err(|e| source.broken(e))?;
            }
        }
        Ok(true)
    })?;
    Ok(package)
}

/// A command that asks `env` for Node.js asks for Debian's instead, as the wheel specification has it for
/// Python's scripts: small images have no coreutils.
fn explicit_node(text: Vec<u8>) -> Vec<u8> {
    match text.strip_prefix(b"#!/usr/bin/env node") {
        Some(rest) if rest.first().is_none_or(|b| b" \r\n".contains(b)) => {
            [b"#!/usr/bin/node", rest].concat()
        }
        _ => text,
    }
}

/// Reads the tarball and gives every member below its first folder to `take`, until that gives false.
fn each(source: Source<'_>, take: &mut Take<'_>) -> Result<()> {
    let file = source.open()?;
    let packed = file.metadata().map_err(Error::io(source.path))?.len();
    let failed = |e| source.unreadable("tar", e);
    let plain = Compression::Gzip
        .reader(BufReader::with_capacity(64 << 10, file), allowance(packed))
        .map_err(failed)?;
    let mut tarball = Tarball::new(BufReader::with_capacity(64 << 10, plain));
    while let Some(member) = tarball.next().map_err(failed)? {
        let Some(path) = clean(&member.path).map_err(|e| source.broken(e))? else { continue };
        let Some((_, path)) = path.split_once('/') else {
            match member.kind {
                Type::Directory => continue,
                _ => return Err(source.broken(format!("{path}: it lies in no folder"))),
            }
        };
        if !take(path, &member, &mut tarball)? {
            break;
        }
    }
    Ok(())
}

/// Takes a path in the package, what it is, and its content; says whether to go on.
type Take<'a> = dyn FnMut(&str, &Member, &mut dyn Read) -> Result<bool> + 'a;

/// The links in `bin_folder` to the commands of a package that lies in `folder` (both from the root), sorted by
/// name: `usr/local/bin` for what a user calls, `…/node_modules/.bin` for what other packages call.
pub fn npm_bin_links(package: &PackageJson, folder: &str, bin_folder: &str) -> Vec<Entry> {
    let up = |from: &str, to: &str| {
        let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let mut target = "../".repeat(from.len() - shared);
        target.push_str(&to[shared..].join("/"));
        target
    };
    let link = |(name, path): (&String, &String)| Entry {
        path: format!("{bin_folder}/{name}"),
        kind: Kind::Symlink { target: up(bin_folder, &format!("{folder}/{path}")) },
        mode: 0o777,
        uid: 0,
        gid: 0,
        mtime: EPOCH,
    };
    package.bin.iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_their_folder_to_the_command() {
        let bin = [("chp".to_owned(), "bin/chp".to_owned())].into();
        let package = PackageJson { name: "x".into(), version: "1".into(), bin };
        let target = |folder: &str, bin: &str| match npm_bin_links(&package, folder, bin).remove(0).kind {
            Kind::Symlink { target } => target,
            other => panic!("{other:?}"),
        };
        assert_eq!(target("usr/local/lib/node_modules/x", "usr/local/bin"), "../lib/node_modules/x/bin/chp");
        assert_eq!(target("srv/node_modules/x", "srv/node_modules/.bin"), "../x/bin/chp");
    }
}
