//! Wheels (binary distribution format), installed as pip and uv do it, without running anything.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;

use crate::entry::{EPOCH, Entry, Kind, Sink};
use crate::{Error, Result};

use super::Source;
use super::bounds::{MAX_ENTRIES, MAX_TEXT, allowance};
use super::entry_points::commands;
use super::metadata::{WheelMetadata, normal};
use super::parents::{Ordered, plain_folder};
use super::path::{ancestors, clean, show};
use super::record::{self, Hash, Hasher};
use super::wheel_plan::{Bytes, Listed, agree, plan, rewrite};
use super::zip_end;

/// Where wheels are installed. Paths are from the root, without a slash at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelOptions {
    /// For modules, pure or not: Debian's Python has one folder for both.
    pub purelib: String,
    /// For `.data/data`; commands go to its `bin`.
    pub prefix: String,
    /// For `.data/headers`, in a folder named after the project.
    pub headers: String,
    /// The interpreter's path in the image, for the first line of scripts.
    pub python: String,
}

impl WheelOptions {
    /// Debian's layout for what is not from Debian: `/usr/local`, found by its Python without any setting.
    /// `version` is `3.13`.
    pub fn debian(version: &str) -> WheelOptions {
        WheelOptions {
            purelib: format!("usr/local/lib/python{version}/dist-packages"),
            prefix: "usr/local".to_owned(),
            headers: format!("usr/local/include/python{version}"),
            python: "/usr/bin/python3".to_owned(),
        }
    }

    pub(super) fn scripts(&self) -> String {
        format!("{}/bin", self.prefix)
    }

    /// The kernel reads 127 bytes of a script's first line and splits it at the first space.
    fn check(&self) -> Result<()> {
        let python = &self.python;
        if python.starts_with('/')
            && python.len() <= 125
            && !python.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Ok(());
        }
        Err(Error::Refused {
            reason: format!("{}: scripts cannot name this interpreter", python.escape_debug()),
            hint: "give an absolute path without spaces, of at most 125 bytes".to_owned(),
        })
    }
}

/// Unpacks a wheel. `name` is what messages call it; when it is a wheel's file name, the wheel must be of
/// that project and version.
///
/// Every file must be in RECORD with its hash, and the other way round. Modes are 0644, or 0755 where the
/// wheel says executable or the file is a command; owner root; time [`EPOCH`]; sorted by path. Left out:
/// compiled `.pyc`; added: commands, `INSTALLER`, the RECORD of what is installed.
///
/// Names that differ only by case are fine, as on any Linux file system (wheels with kernel headers have
/// them), but not for the `.dist-info` and `.data` folders: installers differ in what they make of that.
pub fn wheel(
    archive: &Path,
    name: &str,
    options: &WheelOptions,
    sink: &mut dyn Sink,
) -> Result<WheelMetadata> {
    options.check()?;
    let source = Source { path: archive, name };
    let mut wheel = Wheel::open(source)?;
    let dist_info = wheel.dist_info()?;
    let mut metadata = wheel.metadata(&dist_info)?;
    let commands = match wheel.index(&format!("{dist_info}/entry_points.txt")) {
        None => Default::default(),
        Some(at) => commands(&wheel.text(at)?).map_err(|e| source.broken(e))?,
    };
    let listed = wheel.listed(&dist_info, options)?;
    let plan = plan(listed, &dist_info, &normal(&metadata.name), &commands, options)
        .map_err(|e| source.broken(e))?;

    let scripts = format!("{}/", options.scripts());
    let mut ordered = Ordered::new(source, sink);
    // In the order of all paths, so `greet` comes before `greet-1.0.dist-info/METADATA`.
    let folders: BTreeSet<String> =
        plan.files.iter().flat_map(|f| ancestors(&f.path)).map(str::to_owned).collect();
    let mut folders = folders.into_iter().peekable();
    for file in plan.files {
        while let Some(folder) = folders.next_if(|folder| *folder < file.path) {
            ordered.send(plain_folder(folder), &mut io::empty())?;
        }
        metadata.commands.extend(file.path.strip_prefix(&scripts).map(str::to_owned));
        let kind = Kind::File { size: file.size };
        let entry = Entry { path: file.path, kind, mode: file.mode, uid: 0, gid: 0, mtime: EPOCH };
        match file.bytes {
            Bytes::Made(content) => ordered.send(entry, &mut content.as_slice())?,
            Bytes::Entry(at) => wheel.verified(at, &file.hash, |content| ordered.send(entry, content))?,
        };
    }
    for (at, hash) in plan.left_out {
        wheel.verified(at, &hash, |content| {
            io::copy(content, &mut io::sink()).map(drop).map_err(|e| source.unreadable("a file left out", e))
        })?;
    }
    Ok(metadata)
}

/// An entry of the zip whose name is judged.
struct Item {
    path: String,
    index: usize,
    size: u64,
    executable: bool,
}

struct Wheel<'a> {
    source: Source<'a>,
    zip: ZipArchive<BufReader<File>>,
    /// Files only.
    items: Vec<Item>,
}

impl<'a> Wheel<'a> {
    fn open(source: Source<'a>) -> Result<Wheel<'a>> {
        let mut file = source.open()?;
        let packed = file.metadata().map_err(Error::io(source.path))?.len();
        zip_end::check(&mut file).map_err(|e| source.unreadable("zip", e))?.map_err(|e| source.broken(e))?;
        // Small, because it is filled anew for every entry.
        let reader = BufReader::with_capacity(4 << 10, file);
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let failed = |e| zip_failed(source, "zip", e);
        let mut zip = ZipArchive::with_config(config, reader).map_err(failed)?;
        if zip.len() > MAX_ENTRIES {
            return Err(source.broken(format!("more than {MAX_ENTRIES} entries")));
        }
        // Doubled names, entries that overlap, local headers that say something else or that the directory
        // leaves out: another reader would see another wheel.
        zip.validate_header_consistency().map_err(failed)?;
        let mut wheel = Wheel { source, zip, items: Vec::new() };
        let (mut total, most) = (0u64, allowance(packed));
        for index in 0..wheel.zip.len() {
            let item = wheel.judge(index)?;
            total = total.saturating_add(item.as_ref().map_or(0, |i| i.size));
            if total > most {
                return Err(source
                    .broken(format!("unpacks to more than {most} bytes, far more than its size allows")));
            }
            wheel.items.extend(item);
        }
        Ok(wheel)
    }

    /// A file of the zip, `None` for a folder.
    fn judge(&self, index: usize) -> Result<Option<Item>> {
        let source = self.source;
        let entry = self.zip.by_index_data(index).map_err(|e| zip_failed(source, "zip", e))?;
        let raw = entry.name_raw();
        let refuse = |why: &str| Err(source.broken(format!("{}: {why}", show(raw))));
        let path = clean(raw).map_err(|e| source.broken(e))?;
        // Bit 11 says UTF-8. Without it Python reads code page 437, others guess.
        if !raw.is_ascii() && entry.flags().as_u16() & 1 << 11 == 0 {
            return refuse("its name can be read in two ways");
        }
        let is_folder = raw.ends_with(b"/");
        let Some(path) = path.filter(|p| p.len() + usize::from(is_folder) == raw.len()) else {
            return refuse("its name has empty parts");
        };
        if path.contains('\\') {
            return refuse("its name holds a backslash, which some systems take for a slash");
        }
        if entry.encrypted() {
            return refuse("it is encrypted");
        }
        if !matches!(entry.compression(), zip::CompressionMethod::Stored | zip::CompressionMethod::Deflated) {
            return refuse("it is neither stored nor deflated");
        }
        let mode = entry.unix_mode().unwrap_or_default();
        match mode & 0o170_000 {
            0 => {}
            0o100_000 if !is_folder => {}
            0o040_000 if is_folder => {}
            0o120_000 => return refuse("a symbolic link, which no wheel may have"),
            _ => return refuse("neither a file nor a folder"),
        }
        if is_folder && entry.size() > 0 {
            return refuse("a folder with content");
        }
        let executable = mode & 0o111 != 0;
        Ok((!is_folder).then(|| Item { path, index, size: entry.size(), executable }))
    }

    /// The one `.dist-info` folder.
    fn dist_info(&self) -> Result<String> {
        let tops = || self.items.iter().filter_map(|i| i.path.split_once('/')).map(|(top, _)| top);
        let Some(found) = tops().find(|top| top.ends_with(".dist-info")) else {
            return Err(self.source.broken("this is no wheel: it has no .dist-info folder"));
        };
        let stem = found.strip_suffix(".dist-info").unwrap_or(found);
        for top in tops() {
            let lower = top.to_ascii_lowercase();
            let special = lower.ends_with(".dist-info") || lower.ends_with(".data");
            if special && top != found && top.strip_suffix(".data") != Some(stem) {
                return Err(self
                    .source
                    .broken(format!("{top}: beside {found}, a wheel has no second such folder")));
            }
        }
        Ok(found.to_owned())
    }

    fn metadata(&mut self, dist_info: &str) -> Result<WheelMetadata> {
        let (metadata, about) = (self.required(dist_info, "METADATA")?, self.required(dist_info, "WHEEL")?);
        let source = self.source;
        let found = WheelMetadata::parse(&metadata, &about).map_err(|e| source.broken(e))?;
        if !normal(dist_info).starts_with(&format!("{}-", normal(&found.name))) {
            return Err(
                source.broken(format!("{dist_info} holds the metadata of {}", show(found.name.as_bytes())))
            );
        }
        // {distribution}-{version}(-{build tag})?-{python tag}-{abi tag}-{platform tag}.whl
        let parts: Vec<&str> =
            source.name.strip_suffix(".whl").map_or(Vec::new(), |stem| stem.split('-').collect());
        if let [name, version, .., _, _, _] = parts.as_slice() {
            let version_of = |text: &str| text.replace('_', "+").parse::<pep440_rs::Version>().ok();
            let same_version = *version == found.version
                || version_of(version).is_some_and(|v| Some(v) == found.version.parse().ok());
            if normal(name) != normal(&found.name) || !same_version {
                let (name, version) = (show(found.name.as_bytes()), show(found.version.as_bytes()));
                return Err(source.broken(format!("its metadata is of {name} {version}")));
            }
        }
        Ok(found)
    }

    fn index(&self, path: &str) -> Option<usize> {
        self.items.iter().position(|i| i.path == path)
    }

    fn required(&mut self, dist_info: &str, name: &str) -> Result<String> {
        let path = format!("{dist_info}/{name}");
        let at = self
            .index(&path)
            .ok_or_else(|| self.source.broken(format!("this is no wheel: it has no {path}")))?;
        self.text(at)
    }

    fn text(&mut self, at: usize) -> Result<String> {
        let (source, item) = (self.source, &self.items[at]);
        let mut content = self.zip.by_index(item.index).map_err(|e| zip_failed(source, &item.path, e))?;
        let bytes = source.read_small(&item.path, item.size, MAX_TEXT, &mut content)?;
        String::from_utf8(bytes).map_err(|_| source.broken(format!("{}: this is not UTF-8", item.path)))
    }

    /// The files with their hashes, and the scripts that need an interpreter rewritten.
    fn listed(&mut self, dist_info: &str, options: &WheelOptions) -> Result<Vec<Listed>> {
        let source = self.source;
        let rows = record::parse(&self.required(dist_info, "RECORD")?).map_err(|e| source.broken(e))?;
        let files: Vec<_> = self.items.iter().map(|i| (i.path.clone(), i.size)).collect();
        let mut hashes = agree(&files, rows, dist_info).map_err(|e| source.broken(e))?;
        let scripts = format!("{}.data/scripts/", dist_info.strip_suffix(".dist-info").unwrap_or(dist_info));
        let mut listed = Vec::with_capacity(self.items.len());
        for item in &self.items {
            // RECORD and its signatures: nothing to check them by, and none of them is installed.
            let Some(hash) = hashes.remove(&item.path) else { continue };
            let mut rewritten = None;
            if item.path.starts_with(&scripts) {
                let mut content =
                    self.zip.by_index(item.index).map_err(|e| zip_failed(source, &item.path, e))?;
                let mut start = Vec::new();
                (&mut content)
                    .take(8)
                    .read_to_end(&mut start)
                    .map_err(|e| source.unreadable(&item.path, e))?;
                if start == b"#!python" {
                    let rest = item.size.saturating_sub(8);
                    start.extend(source.read_small(&item.path, rest, MAX_TEXT, &mut content)?);
                    if !hash.is_of(&start) {
                        return Err(wrong_hash(source, &item.path));
                    }
                    rewritten = rewrite(&start, &options.python);
                }
            }
            let Item { index, size, executable, .. } = *item;
            listed.push(Listed { index, path: item.path.clone(), size, executable, hash, rewritten });
        }
        Ok(listed)
    }

    /// Gives an entry's content to `take`, and fails unless it had the hash and nothing came after it.
    fn verified(
        &mut self,
        index: usize,
        hash: &Hash,
        take: impl FnOnce(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let source = self.source;
        let entry = self.zip.by_index(index).map_err(|e| zip_failed(source, "zip", e))?;
        let path = show(entry.name_raw());
        let mut hashing = Hashing { from: entry, hasher: hash.hasher() };
        take(&mut hashing)?;
        let more = io::copy(&mut hashing, &mut io::sink()).map_err(|e| source.unreadable(&path, e))?;
        if more > 0 {
            return Err(source.broken(format!("{path}: it is longer than the zip says")));
        }
        match hashing.hasher.finish() == *hash {
            true => Ok(()),
            false => Err(wrong_hash(source, &path)),
        }
    }
}

fn wrong_hash(source: Source<'_>, path: &str) -> Error {
    source.broken(format!("{path}: its hash is not the one in RECORD"))
}

fn zip_failed(source: Source<'_>, place: &str, error: ZipError) -> Error {
    match error {
        ZipError::Io(e) => source.unreadable(place, e),
        other => source.broken(format!("{place}: {other}")),
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}
