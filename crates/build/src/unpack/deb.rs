//! Debian packages (deb(5)), without their maintainer scripts.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::Result;
use crate::entry::{EPOCH, Entry, Kind, Sink};

use super::ar::Ar;
use super::bounds::{MAX_TEXT, allowance};
use super::control::{Control, md5sums, status};
use super::decompress::Compression;
use super::parents::Ordered;
use super::path::{check_symlink, clean, show};
use super::slim::{Fate, alias, fate, place};
use super::tarball::{Member, Tarball, Type};
use super::{Source, slim};

/// Large enough that reads of headers are few, small enough to stay in the cache.
const BUFFER: usize = 64 << 10;

/// Unpacks a Debian package. `name` is what messages call it.
///
/// Modes, numeric owners and times are the package's. Files below `bin`, `sbin`, `lib` and so on are moved
/// below `usr`, and what [`super::SLIM`] lists is left out. Added are `var/lib/dpkg/status.d/PACKAGE` and
/// `PACKAGE.md5sums`, by which scanners know what is installed where no dpkg is.
///
/// Fails with [`crate::Error::Archive`] on anything that is no package or that no image gets.
pub fn deb(archive: &Path, name: &str, sink: &mut dyn Sink) -> Result<Control> {
    let source = Source { path: archive, name };
    let mut deb = Deb::open(source)?;
    let text = String::from_utf8_lossy(&deb.control).into_owned();
    let sums = String::from_utf8_lossy(&deb.md5sums).into_owned();
    let control = Control::parse(&text).map_err(|e| source.broken(format!("control: {e}")))?;

    let mut ordered = Ordered::new(source, sink);
    deb.data(&mut |member, data| {
        let Some(entry) = judge(&member).map_err(|e| source.broken(e))? else { return Ok(()) };
        match fate(&entry.path, entry.kind == Kind::Directory) {
            Fate::Drop => Ok(()),
            Fate::Hold => {
                ordered.hold(entry);
                Ok(())
            }
            Fate::Keep => ordered.send(entry, data),
        }
    })?;

    for (path, content) in [
        (format!("var/lib/dpkg/status.d/{}", control.package), status(&text)),
        (format!("var/lib/dpkg/status.d/{}.md5sums", control.package), md5sums(&sums)),
    ] {
        let kind = Kind::File { size: content.len() as u64 };
        let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: EPOCH };
        ordered.send(entry, &mut content.as_bytes())?;
    }
    Ok(control)
}

/// A member as an entry of the image; `None` for the root and for the folders that an image has as links.
fn judge(member: &Member) -> std::result::Result<Option<Entry>, String> {
    let Some(written) = clean(&member.path)? else {
        return match member.kind {
            Type::Directory => Ok(None),
            _ => Err("the root is no folder".to_owned()),
        };
    };
    if let Some(to) = alias(&written) {
        let target = std::str::from_utf8(&member.link).unwrap_or_default();
        return match member.kind {
            Type::Directory => Ok(None),
            Type::Symlink if target.trim_start_matches('/') == to => Ok(None),
            _ => Err(format!("{written}: must be a folder or a link to {to}, as in every Debian system")),
        };
    }
    let path = place(&written).into_owned();
    let kind = match member.kind {
        Type::Directory => Kind::Directory,
        Type::File => Kind::File { size: member.size },
        Type::Symlink => Kind::Symlink { target: check_symlink(&path, &member.link)? },
        Type::Hardlink => {
            let target = clean(&member.link)?.ok_or(format!("{path}: a hard link to the root"))?;
            Kind::Hardlink { target: place(&target).into_owned() }
        }
    };
    if let (Kind::Hardlink { target }, Fate::Keep) = (&kind, fate(&path, false))
        && fate(target, false) != Fate::Keep
    {
        let rule = slim::SLIM.iter().find(|r| target.starts_with(r.under)).map_or("", |r| r.under);
        return Err(format!("{path}: a hard link to {target}, and {rule} is left out"));
    }
    Ok(Some(Entry { path, kind, mode: member.mode, uid: member.uid, gid: member.gid, mtime: member.mtime }))
}

/// A package opened up to its data.
pub(super) struct Deb<'a> {
    source: Source<'a>,
    ar: Ar<File>,
    allowance: u64,
    pub(super) control: Vec<u8>,
    pub(super) md5sums: Vec<u8>,
}

impl<'a> Deb<'a> {
    /// Reads `debian-binary` and the control member.
    pub(super) fn open(source: Source<'a>) -> Result<Deb<'a>> {
        let file = source.open()?;
        let packed = file.metadata().map_err(crate::Error::io(source.path))?.len();
        let mut deb = Deb {
            source,
            ar: Ar::new(file),
            allowance: allowance(packed),
            control: Vec::new(),
            md5sums: Vec::new(),
        };
        let (name, size) = deb.next()?.ok_or_else(|| source.broken("this is an empty ar archive"))?;
        if name != "debian-binary" {
            return Err(
                source.broken(format!("the first member is {}, not debian-binary", show(name.as_bytes())))
            );
        }
        let version = source.read_small("debian-binary", size, 100, &mut deb.ar)?;
        if !version.starts_with(b"2.") {
            return Err(
                source.broken(format!("format {}, but only 2.x is known", show(version.trim_ascii())))
            );
        }
        let compression = deb.member("control.tar")?;
        let (mut control, mut md5sums) = (None, Vec::new());
        deb.tar("control.tar", compression, &mut |member, data| {
            let path = clean(&member.path).map_err(|e| source.broken(e))?.unwrap_or_default();
            match path.as_str() {
                "control" if member.kind == Type::File && control.is_none() => {
                    control = Some(source.read_small("control", member.size, MAX_TEXT, data)?);
                }
                "md5sums" if member.kind == Type::File && md5sums.is_empty() => {
                    md5sums = source.read_small("md5sums", member.size, MAX_TEXT, data)?;
                }
                "control" | "md5sums" => {
                    return Err(source.broken(format!("control.tar: {path} is there twice or is no file")));
                }
                _ => {}
            }
            Ok(())
        })?;
        deb.control = control.ok_or_else(|| source.broken("control.tar has no file control"))?;
        deb.md5sums = md5sums;
        Ok(deb)
    }

    /// Gives every member of the data to `each`, then checks what follows: nothing that a reader of debs
    /// would care for.
    pub(super) fn data(&mut self, each: &mut Each<'_>) -> Result<()> {
        let compression = self.member("data.tar")?;
        self.tar("data.tar", compression, each)?;
        while let Some((name, _)) = self.next()? {
            if name.starts_with("control.tar") || name.starts_with("data.tar") {
                return Err(self.source.broken(format!("a second {}", show(name.as_bytes()))));
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(String, u64)>> {
        let member = self.ar.next().map_err(|e| self.source.unreadable("ar", e))?;
        Ok(member.map(|m| (m.name, m.size)))
    }

    /// Goes to the member whose name begins with `wanted`. Members named `_…` may lie between.
    fn member(&mut self, wanted: &str) -> Result<Compression> {
        loop {
            let (name, _) =
                self.next()?.ok_or_else(|| self.source.broken(format!("there is no member {wanted}")))?;
            if name.starts_with('_') {
                continue;
            }
            let shown = show(name.as_bytes());
            let suffix = name
                .strip_prefix(wanted)
                .ok_or_else(|| self.source.broken(format!("{shown} where {wanted} should be")))?;
            return Compression::of_suffix(suffix)
                .ok_or_else(|| self.source.broken(format!("{shown}: only gz, xz and zst can be read")));
        }
    }

    fn tar(&mut self, place: &str, compression: Compression, each: &mut Each<'_>) -> Result<()> {
        let source = self.source;
        let failed = |e: io::Error| source.unreadable(place, e);
        let packed = BufReader::with_capacity(BUFFER, &mut self.ar);
        let plain = compression.reader(packed, self.allowance).map_err(failed)?;
        let mut tarball = Tarball::new(BufReader::with_capacity(BUFFER, plain));
        while let Some(member) = tarball.next().map_err(failed)? {
            each(member, &mut tarball)?;
        }
        Ok(())
    }
}

/// Takes a member and a reader of its content.
type Each<'a> = dyn FnMut(Member, &mut dyn Read) -> Result<()> + 'a;
