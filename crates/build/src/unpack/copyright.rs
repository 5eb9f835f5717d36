//! Licences from Debian's machine-readable copyright files (DEP 5, copyright-format 1.0). Pure.

use super::control::fields;

/// The short names of all `Files` paragraphs, sorted, each once, as written; empty when the file is not of
/// this format.
pub(super) fn licences(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut paragraphs = text.split("\n\n").filter(|p| !p.trim().is_empty());
    let header = paragraphs.next().and_then(|p| fields(p).ok()).unwrap_or_default();
    if !header
        .iter()
        .any(|(key, value)| key.eq_ignore_ascii_case("format") && value.contains("copyright-format"))
    {
        return names;
    }
    for paragraph in paragraphs {
        let Ok(fields) = fields(paragraph) else { continue };
        let get = |name: &str| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        if let (Some(_), Some((_, licence))) = (get("Files"), get("License")) {
            let name = licence.lines().next().unwrap_or_default().trim();
            if !name.is_empty() {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_come_from_the_files_paragraphs() {
        let text = "Format: https://example.org/copyright-format/1.0/\nUpstream-Name: tini\n\n\
            Files: *\nCopyright: 2015 Thomas\nLicense: MIT\n\nFiles: debian/*\nCopyright: x\nLicense: GPL-2+ or MIT\n Text.\n\n\
            License: MIT\n Permission is hereby granted\n";
        assert_eq!(licences(text), ["GPL-2+ or MIT", "MIT"]);
    }

    #[test]
    fn free_text_has_none() {
        assert!(licences("This is tini.\n\nLicense: MIT\nFiles: *\n").is_empty());
        assert!(licences("").is_empty());
    }
}
