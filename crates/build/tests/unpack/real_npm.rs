//! A real npm package beside `tar`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use perijove_build::unpack::{NpmOptions, npm, npm_bin_links};

use crate::collect::Collect;
use crate::tools::{file_name, listing, or_skip, run, same, with_ending};

#[test]
fn a_package_holds_what_tar_extracts() {
    let test = "a_package_holds_what_tar_extracts";
    let folder = tempfile::tempdir().unwrap();
    if or_skip(test, run("npm", &["pack", "configurable-http-proxy"], folder.path())).is_none() {
        return;
    }
    let archive = with_ending(folder.path(), ".tgz").remove(0);
    let root = tempfile::tempdir().unwrap();
    run("tar", &["-xzf", archive.to_str().unwrap(), "--strip-components=1"], root.path()).unwrap();

    let at = "usr/local/lib/node_modules/configurable-http-proxy";
    let mut sink = Collect::default();
    let package =
        npm(&archive, file_name(&archive), &NpmOptions { folder: at.to_owned() }, &mut sink).unwrap();
    let ours: BTreeMap<_, _> = sink
        .listing()
        .into_iter()
        .filter_map(|(path, what)| Some((path.strip_prefix(at)?.strip_prefix('/')?.to_owned(), what)))
        .collect();
    // The one file that differs from the tarball: the command names its interpreter.
    let command = root.path().join("bin/configurable-http-proxy");
    let text = std::fs::read_to_string(&command).unwrap();
    assert!(text.starts_with("#!/usr/bin/env node\n"));
    std::fs::write(&command, text.replacen("#!/usr/bin/env node", "#!/usr/bin/node", 1)).unwrap();
    same(&ours, &listing(root.path()), "configurable-http-proxy");

    assert_eq!(package.name, "configurable-http-proxy");
    for (entry, _) in sink.entries.iter().filter(|(e, _)| {
        ours.get(e.path.trim_start_matches(at).trim_start_matches('/')).is_some_and(|w| w.starts_with("file"))
    }) {
        let inside = entry.path.strip_prefix(at).unwrap().trim_start_matches('/');
        let executable =
            std::fs::metadata(root.path().join(inside)).unwrap().permissions().mode() & 0o111 != 0;
        let command = package.bin.values().any(|path| path == inside);
        assert_eq!(entry.mode, if executable || command { 0o755 } else { 0o644 }, "{inside}");
    }
    let links = npm_bin_links(&package, at, "usr/local/bin");
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].path, "usr/local/bin/configurable-http-proxy");
}
