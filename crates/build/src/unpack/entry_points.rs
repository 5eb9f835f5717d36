//! Commands from a wheel's entry_points.txt (Entry points specification). Pure.

use std::collections::BTreeMap;

/// A command that calls a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    module: String,
    function: String,
}

/// The commands of `console_scripts` and `gui_scripts` by name (on Linux there is no difference).
pub(super) fn commands(text: &str) -> Result<BTreeMap<String, Command>, String> {
    let mut commands = BTreeMap::new();
    let mut wanted = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            wanted = matches!(section.trim(), "console_scripts" | "gui_scripts");
            continue;
        }
        if !wanted {
            continue;
        }
        let bad = |what: &str| format!("entry_points.txt line {}: {what}", number + 1);
        let (name, reference) = line.split_once('=').ok_or_else(|| bad("no name = module:function"))?;
        let name = name.trim();
        if !is_name(name) {
            return Err(bad(&format!("{} is no name of a command", name.escape_debug())));
        }
        // `[extra]` behind the reference is allowed and has no meaning any more.
        let reference = reference.split_once('[').map_or(reference, |(r, _)| r);
        let (module, function) = reference.split_once(':').ok_or_else(|| bad("no module:function"))?;
        let (module, function) = (module.trim(), function.trim());
        if !is_dotted(module) || !is_dotted(function) {
            return Err(bad(&format!("{} is no module:function", reference.trim().escape_debug())));
        }
        let command = Command { module: module.to_owned(), function: function.to_owned() };
        if commands.insert(name.to_owned(), command).is_some() {
            return Err(bad(&format!("a second command {name}")));
        }
    }
    Ok(commands)
}

impl Command {
    /// The script, in the form that uv and pip write (less what is for Windows only).
    pub(super) fn script(&self, python: &str) -> String {
        let Command { module, function } = self;
        let import = function.split('.').next().unwrap_or_default();
        format!(
            "#!{python}\n# -*- coding: utf-8 -*-\nimport sys\nfrom {module} import {import}\n\
             if __name__ == \"__main__\":\n    sys.exit({function}())\n"
        )
    }
}

/// A file's name in `bin`: letters, digits, `_`, `.`, `-`, `+` and `@` as the field uses them.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_alphanumeric() || "_.-+@".contains(c))
}

/// Python identifiers with dots between.
fn is_dotted(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_found_in_their_two_sections() {
        let text = "# c\n[console_scripts]\njupyterhub = jupyterhub.app:main\n hub-x=a.b:C.run [extra]\n\n[other]\nx = broken\n\
            [gui_scripts]\ngui = g:main\n";
        let found = commands(text).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["gui", "hub-x", "jupyterhub"]);
        assert_eq!(
            found["hub-x"].script("/usr/bin/python3"),
            "#!/usr/bin/python3\n# -*- coding: utf-8 -*-\nimport sys\nfrom a.b import C\n\
             if __name__ == \"__main__\":\n    sys.exit(C.run())\n"
        );
    }

    #[test]
    fn names_and_references_that_are_none_are_refused() {
        for line in [
            "../x = a:b",
            "a/b = a:b",
            "x = a",
            "x",
            "x = a:b();import os",
            "x = a b:c",
            ".x = a:b",
            " = a:b",
            "x = :",
            "x=1a:b",
        ] {
            assert!(commands(&format!("[console_scripts]\n{line}\n")).is_err(), "{line}");
        }
        assert!(
            commands("[console_scripts]\nx = a:b\n[gui_scripts]\nx = a:c\n").unwrap_err().contains("second")
        );
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "(?s:.{0,80})|\\[console_scripts\\]\n(?s:.{0,40})") {
            let _ = commands(&text);
        }
    }
}
