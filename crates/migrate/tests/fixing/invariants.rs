//! What holds for every text: reading does not fail, places lie in the text, and fixing a second time changes nothing.

use perijove_migrate::{
    Entry, Nothing, Repository, Source, Successors, Tree, apply, plan, position, read, scene,
};

/// A folder in which every name is a small file.
struct Everything;

impl Tree for Everything {
    fn look(&self, _: &str, below: &str) -> Entry {
        Entry::File(Some(format!("{below}==1\nnumpy\n")))
    }
}

/// The text after a fix, with all that a site can say said.
pub fn fixed(path: &str, text: &str) -> String {
    let successors = Successors {
        registry: Some("registry.example/team".to_owned()),
        singleuser: Some("quay.io/jupyter/base-notebook".to_owned()),
        proxy_apart: true,
    };
    let source = Source { path: path.to_owned(), text: text.to_owned() };
    let scene = scene(std::slice::from_ref(&source), successors);
    let reading = read(&source, &scene, &Nothing);
    for finding in &reading.findings {
        assert!(finding.span.start <= finding.span.end && finding.span.end <= text.len(), "{finding:?}");
        let (line, column) = position(text, finding.span.start);
        assert!(line >= 1 && column >= 1 && line <= text.matches('\n').count() + 1, "{finding:?}");
    }
    apply(text, &reading.findings).0
}

/// All of it, for one file.
pub fn of(path: &str, text: &str) {
    let once = fixed(path, text);
    assert_eq!(fixed(path, &once), once, "a second time changes {path}");
    assert!(once.matches("\r\n").count() >= text.matches("\r\n").count(), "line ends");
    let repository = Repository::default();
    if let Ok(Some(folder)) = plan(path, text, &Everything, &repository, None) {
        assert!(folder.files.keys().all(|name| !name.split('/').any(|part| part == "..")), "{folder:?}");
    }
}
