//! What a whole file says about its parts.

use super::*;

#[test]
fn one_image_does_not_take_the_place_of_several() {
    for (path, text, own, written) in [
        (
            "c.py",
            "a.image = 'jupyterhub/singleuser:5.2.1'\nb.image = 'jupyterhub/singleuser:5.2.1'\n",
            true,
            2,
        ),
        (
            "c.py",
            "a.image = 'jupyterhub/singleuser:4.1.6'\nb.image = 'jupyterhub/singleuser:5.2.1'\n",
            true,
            0,
        ),
        (
            "c.py",
            "a.image = 'jupyterhub/singleuser:4.1.6'\nb.image = 'jupyterhub/singleuser:5.2.1'\n",
            false,
            2,
        ),
        ("v.yaml", "a: {image: 'jupyterhub/singleuser:4'}\nb: {image: jupyterhub/singleuser}\n", true, 0),
        (
            "v.yaml",
            "a: {image: 'quay.io/jupyterhub/singleuser:4'}\nb: {image: 'jupyterhub/singleuser:4'}\n",
            true,
            2,
        ),
    ] {
        let lab = if own { "registry.example/lab:4.10" } else { "quay.io/jupyter/base-notebook" };
        let successors = Successors { singleuser: Some(lab.to_owned()), ..Successors::default() };
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        let reading = read(&source, &scene(std::slice::from_ref(&source), successors), &Nothing);
        let uses = reading.findings.iter().filter(|finding| finding.rule == Rule::RetiredImage);
        assert_eq!(uses.filter(|finding| !finding.edits.is_empty()).count(), written, "{text}");
    }
}
