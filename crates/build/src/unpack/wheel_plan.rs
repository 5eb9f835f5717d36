//! Where a wheel's files go (binary distribution format, "Installing a wheel"). Pure.

use std::collections::{BTreeMap, HashMap};

use super::WheelOptions;
use super::entry_points::Command;
use super::record::{Hash, Row, write};

/// A file of the wheel, its name judged and its row of RECORD found.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) index: usize,
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) executable: bool,
    pub(super) hash: Hash,
    /// The rewritten script, when it began with `#!python`.
    pub(super) rewritten: Option<Vec<u8>>,
}

/// Where a file's bytes come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// The wheel's entry with this index.
    Entry(usize),
    /// Made here.
    Made(Vec<u8>),
}

/// A file of the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) hash: Hash,
    pub(super) bytes: Bytes,
}

/// The files of the image sorted by path, and the entries of the wheel that don't go into it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) files: Vec<Planned>,
    pub(super) left_out: Vec<(usize, Hash)>,
}

/// Files of the dist-info folder that the installer writes or that no longer hold after installing.
const REPLACED: &[(&str, &str)] = &[
    ("INSTALLER", "written by the installer"),
    ("RECORD", "rewritten to the installed layout"),
    ("RECORD.jws", "signs the RECORD that is rewritten"),
    ("RECORD.p7s", "signs the RECORD that is rewritten"),
    ("REQUESTED", "written by installers that know which packages a user asked for"),
    ("direct_url.json", "written by the installer for a package that is from no index"),
];

/// Decides where every file goes. `dist_info` is the folder's name (`name-1.0.dist-info`), `distribution`
/// the normalized name of the project.
///
/// Fails when a `.data` folder names no known scheme, or two files go to one place.
pub(super) fn plan(
    listed: Vec<Listed>,
    dist_info: &str,
    distribution: &str,
    commands: &BTreeMap<String, Command>,
    options: &WheelOptions,
) -> Result<Plan, String> {
    let data = format!("{}.data", dist_info.strip_suffix(".dist-info").unwrap_or(dist_info));
    let mut files: Vec<Planned> = Vec::with_capacity(listed.len() + commands.len() + 2);
    let mut left_out = Vec::new();
    for file in listed {
        let Some(place) = place(&file.path, dist_info, &data, distribution, commands, options)? else {
            left_out.push((file.index, file.hash));
            continue;
        };
        let mode = if file.executable || place.script { 0o755 } else { 0o644 };
        let planned = match file.rewritten.filter(|_| place.script) {
            None => Planned {
                path: place.path,
                mode,
                size: file.size,
                hash: file.hash,
                bytes: Bytes::Entry(file.index),
            },
            Some(content) => made(place.path, mode, content),
        };
        files.push(planned);
    }
    for (name, command) in commands {
        let script = command.script(&options.python).into_bytes();
        files.push(made(format!("{}/{name}", options.scripts()), 0o755, script));
    }
    let info = format!("{}/{dist_info}", options.purelib);
    files.push(made(format!("{info}/INSTALLER"), 0o644, b"perijove\n".to_vec()));

    let mut rows: Vec<Row> = files
        .iter()
        .map(|f| Row {
            path: relative(&options.purelib, &f.path),
            hash: Some(f.hash.clone()),
            size: Some(f.size),
        })
        .collect();
    rows.push(Row { path: format!("{dist_info}/RECORD"), hash: None, size: None });
    files.push(made(format!("{info}/RECORD"), 0o644, write(rows).into_bytes()));

    files.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(format!("{}: two files of the wheel go there", pair[0].path));
    }
    Ok(Plan { files, left_out })
}

fn made(path: String, mode: u32, content: Vec<u8>) -> Planned {
    Planned {
        path,
        mode,
        size: content.len() as u64,
        hash: Hash::sha256(&content),
        bytes: Bytes::Made(content),
    }
}

struct Place {
    path: String,
    script: bool,
}

/// Where one file goes; `None` for one that is left out.
fn place(
    path: &str,
    dist_info: &str,
    data: &str,
    distribution: &str,
    commands: &BTreeMap<String, Command>,
    options: &WheelOptions,
) -> Result<Option<Place>, String> {
    // Compiled for a Python, a path and a time of the builder's.
    if path.ends_with(".pyc") || path.ends_with(".pyo") {
        return Ok(None);
    }
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    let under =
        |folder: &str, rest: &str| Ok(Some(Place { path: format!("{folder}/{rest}"), script: false }));
    if top == dist_info && REPLACED.iter().any(|(name, _)| *name == rest) {
        return Ok(None);
    }
    if top != data {
        return under(&options.purelib, path);
    }
    let (scheme, rest) =
        rest.split_once('/').ok_or_else(|| format!("{path}: a file where a scheme should be"))?;
    match scheme {
        "purelib" | "platlib" => under(&options.purelib, rest),
        "data" => under(&options.prefix, rest),
        "headers" => under(&format!("{}/{distribution}", options.headers), rest),
        // A command of the same name is written from entry_points.txt.
        "scripts" if commands.contains_key(rest) => Ok(None),
        "scripts" => Ok(Some(Place { path: format!("{}/{rest}", options.scripts()), script: true })),
        _ => Err(format!("{path}: {scheme} is none of purelib, platlib, scripts, data, headers")),
    }
}

/// `path` as seen from `folder`, both from the root: with `..` where it lies elsewhere.
fn relative(folder: &str, path: &str) -> String {
    let (mut folder, mut rest) = (folder, path);
    while let (Some((a, more)), Some((b, after))) =
        (Some(folder.split_once('/').unwrap_or((folder, ""))), rest.split_once('/'))
    {
        if a.is_empty() || a != b {
            break;
        }
        (folder, rest) = (more, after);
    }
    let up = if folder.is_empty() { 0 } else { folder.split('/').count() };
    format!("{}{rest}", "../".repeat(up))
}

/// A script that begins with `#!python` or `#!pythonw`, with the interpreter that runs it. `None` for any
/// other file. The rest of the first line goes, as with pip.
pub(super) fn rewrite(script: &[u8], python: &str) -> Option<Vec<u8>> {
    let rest = script.strip_prefix(b"#!python")?;
    let line = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
    Some([b"#!", python.as_bytes(), b"\n", &rest[line..]].concat())
}

/// Finds each file's row and checks that RECORD and the wheel agree on what there is.
pub(super) fn agree(
    files: &[(String, u64)],
    rows: Vec<Row>,
    dist_info: &str,
) -> Result<HashMap<String, Hash>, String> {
    let unsigned = ["RECORD", "RECORD.jws", "RECORD.p7s"].map(|name| format!("{dist_info}/{name}"));
    let mut known: HashMap<String, Row> = HashMap::with_capacity(rows.len());
    for row in rows {
        if row.hash.is_none() && !unsigned.contains(&row.path) {
            return Err(format!("{}: RECORD has no hash for it", row.path.escape_debug()));
        }
        if let Some(other) = known.insert(row.path.clone(), row.clone())
            && other != row
        {
            return Err(format!("{}: RECORD has two different rows for it", row.path.escape_debug()));
        }
    }
    let mut hashes = HashMap::with_capacity(files.len());
    for (path, size) in files {
        match known.remove(path) {
            None if unsigned.contains(path) => {}
            None => return Err(format!("{path}: RECORD does not list it")),
            Some(row) if row.size.is_some_and(|s| s != *size) => {
                return Err(format!("{path}: RECORD gives another size"));
            }
            Some(row) => hashes.extend(row.hash.map(|hash| (path.clone(), hash))),
        }
    }
    match known.keys().filter(|path| !unsigned.contains(path)).min() {
        Some(missing) => Err(format!("{}: RECORD lists it, and it is missing", missing.escape_debug())),
        None => Ok(hashes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_paths_are_seen_from_the_library() {
        let lib = "usr/local/lib/python3.13/dist-packages";
        for (path, seen) in [
            ("usr/local/lib/python3.13/dist-packages/a/b.py", "a/b.py"),
            ("usr/local/bin/jupyterhub", "../../../bin/jupyterhub"),
            ("usr/local/share/jupyterhub/x", "../../../share/jupyterhub/x"),
            ("usr/local/lib/python3.13/x", "../x"),
            ("etc/x", "../../../../../etc/x"),
        ] {
            assert_eq!(relative(lib, path), seen);
        }
    }

    #[test]
    fn only_a_python_shebang_is_rewritten() {
        let python = "/usr/bin/python3";
        assert_eq!(rewrite(b"#!python\nx\n", python).as_deref(), Some(&b"#!/usr/bin/python3\nx\n"[..]));
        assert_eq!(rewrite(b"#!pythonw -u\r\nx", python).as_deref(), Some(&b"#!/usr/bin/python3\nx"[..]));
        assert_eq!(rewrite(b"#!python", python).as_deref(), Some(&b"#!/usr/bin/python3\n"[..]));
        assert_eq!(rewrite(b"#!/bin/sh\n", python), None);
        assert_eq!(rewrite(b"", python), None);
    }

    #[test]
    fn the_list_and_the_wheel_must_agree() {
        let row = |path: &str, content: &[u8]| Row {
            path: path.into(),
            hash: Some(Hash::sha256(content)),
            size: Some(content.len() as u64),
        };
        let record = Row { path: "d/RECORD".into(), hash: None, size: None };
        let files = [("a".to_owned(), 1), ("d/RECORD".to_owned(), 9)];
        assert_eq!(agree(&files, vec![row("a", b"x"), record.clone()], "d").unwrap().len(), 1);
        assert_eq!(agree(&files, vec![row("a", b"x"), row("a", b"x")], "d").unwrap().len(), 1);
        for (rows, reason) in [
            (vec![record.clone()], "does not list"),
            (vec![row("a", b"x"), row("b", b"y")], "missing"),
            (vec![row("a", b"xy")], "another size"),
            (vec![row("a", b"x"), row("a", b"y")], "two different"),
            (vec![Row { path: "a".into(), hash: None, size: None }], "no hash"),
        ] {
            let error = agree(&files, rows, "d").unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
