//! Writing a wheel again so that the same content is the same bytes: sorted entries, no times, two modes, no
//! compression (the encoder's version would show), a RECORD made anew (binary distribution format).

use std::io::{Cursor, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::{Error, Result};

/// A pure-Python project that was built here is not larger (256 MiB, 20,000 files).
const MAX_BYTES: u64 = 256 << 20;
const MAX_FILES: usize = 20_000;

struct File {
    path: String,
    executable: bool,
    content: Vec<u8>,
}

/// The wheel `bytes` in its one normal form. Fails on entries outside its root, and on compiled code.
pub fn repack(archive: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let broken = |reason: String| Error::Archive { archive: archive.to_owned(), reason };
    let mut files = read(archive, bytes)?;
    if let Some(file) = files.iter().find(|f| is_compiled(&f.path, &f.content)) {
        return Err(broken(format!("it holds compiled code: {}", file.path)));
    }
    let record = files
        .iter()
        .map(|f| f.path.as_str())
        .find(|p| p.ends_with(".dist-info/RECORD") && p.matches('/').count() == 1)
        .ok_or_else(|| broken("it has no RECORD".to_owned()))?
        .to_owned();
    let info = record.trim_end_matches("RECORD").to_owned();
    files.retain(|f| f.path != record);
    for file in files.iter_mut().filter(|f| f.path == format!("{info}WHEEL")) {
        file.content = without_generator(&file.content);
    }
    // The specification asks for the metadata at the end of the archive.
    files.sort_by(|a, b| (a.path.starts_with(&info), &a.path).cmp(&(b.path.starts_with(&info), &b.path)));
    let mut lines = String::new();
    for file in &files {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&file.content));
        lines.push_str(&format!("{},sha256={hash},{}\n", csv(&file.path), file.content.len()));
    }
    lines.push_str(&format!("{},,\n", csv(&record)));
    files.push(File { path: record, executable: false, content: lines.into_bytes() });
    write(&files).map_err(|e| broken(e.to_string()))
}

fn read(archive: &str, bytes: &[u8]) -> Result<Vec<File>> {
    let broken = |reason: String| Error::Archive { archive: archive.to_owned(), reason };
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(e.to_string()))?;
    if zip.len() > MAX_FILES {
        return Err(broken(format!("it has more than {MAX_FILES} files")));
    }
    let (mut files, mut left) = (Vec::new(), MAX_BYTES);
    for at in 0..zip.len() {
        let entry = zip.by_index(at).map_err(|e| broken(e.to_string()))?;
        if entry.is_dir() {
            continue;
        }
        let path = entry.name().map_err(|e| broken(e.to_string()))?.into_owned();
        let inside = !path.contains('\\') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !inside || !entry.is_file() {
            return Err(broken(format!("`{path}` is not a plain file inside it")));
        }
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        let mut content = Vec::new();
        entry.take(left + 1).read_to_end(&mut content).map_err(|e| broken(format!("{path}: {e}")))?;
        left = left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| broken(format!("it unpacks to more than {MAX_BYTES} bytes")))?;
        files.push(File { path, executable, content });
    }
    Ok(files)
}

/// ELF, Mach-O and Windows libraries, by name or by their first bytes.
fn is_compiled(path: &str, content: &[u8]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let named = [".so", ".pyd", ".dylib", ".dll", ".a", ".o"].iter().any(|end| name.ends_with(end));
    named || name.contains(".so.") || content.starts_with(b"\x7fELF")
}

/// The build tool's version is not part of the package.
fn without_generator(wheel: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(wheel);
    let lines = text.lines().map(|l| if l.starts_with("Generator:") { "Generator: perijove" } else { l });
    lines.flat_map(|l| [l, "\n"]).collect::<String>().into_bytes()
}

fn csv(path: &str) -> String {
    if path.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", path.replace('"', "\"\""))
    } else {
        path.to_owned()
    }
}

fn write(files: &[File]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(if file.executable { 0o755 } else { 0o644 });
        zip.start_file(file.path.as_str(), options)?;
        zip.write_all(&file.content)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(entries: &[(&str, &str)], year: u16) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in entries {
            let time = DateTime::from_date_and_time(year, 1, 1, 0, 0, 0).unwrap();
            zip.start_file(
                *path,
                SimpleFileOptions::default().last_modified_time(time).unix_permissions(0o664),
            )
            .unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn same_content_same_bytes() {
        let one = [
            ("a-1.dist-info/RECORD", "old"),
            ("a-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x (80.1)\n"),
            ("a/b.py", "b"),
            ("a/a.py", "a"),
        ];
        let other = [
            ("a/a.py", "a"),
            ("a/b.py", "b"),
            ("a-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x (81)\n"),
            ("a-1.dist-info/RECORD", "new"),
        ];
        let packed = repack("a", &wheel(&one, 1990)).unwrap();
        assert_eq!(packed, repack("a", &wheel(&other, 2020)).unwrap());
        assert_eq!(packed, repack("a", &packed).unwrap(), "the normal form is its own");
        let mut zip = ZipArchive::new(Cursor::new(&packed)).unwrap();
        let names: Vec<String> = zip.file_names().map(|n| n.unwrap().into_owned()).collect();
        assert_eq!(names, ["a/a.py", "a/b.py", "a-1.dist-info/WHEEL", "a-1.dist-info/RECORD"]);
        let mut record = String::new();
        zip.by_name("a-1.dist-info/RECORD").unwrap().read_to_string(&mut record).unwrap();
        assert!(
            record.starts_with("a/a.py,sha256=ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs,1\n"),
            "{record}"
        );
        assert!(record.ends_with("a-1.dist-info/RECORD,,\n"));
    }

    #[test]
    fn refuses() {
        let record = ("a-1.dist-info/RECORD", "");
        for (entries, want) in [
            (&[record, ("a/_speed.cpython-313-x86_64-linux-gnu.so", "")][..], "compiled code: a/_speed"),
            (&[record, ("a/helper", "\x7fELF...")], "compiled code: a/helper"),
            (&[record, ("../a.py", "")], "not a plain file inside"),
            (&[record, ("/a.py", "")], "not a plain file inside"),
            (&[("a.py", "")], "no RECORD"),
        ] {
            let error = repack("a-1-py3-none-any.whl", &wheel(entries, 2000)).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        assert!(repack("a", b"not a zip").is_err());
    }
}
