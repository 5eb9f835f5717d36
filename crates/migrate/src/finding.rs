//! A finding, its place, and the edits that end it.

use std::ops::Range;

use crate::image::Retired;
use crate::rules::Rule;

/// Bytes that are replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// Where; empty to insert.
    pub start: usize,
    /// The end of what goes.
    pub end: usize,
    /// What comes.
    pub text: String,
}

impl Edit {
    /// Of a byte range.
    pub fn new(span: Range<usize>, text: impl Into<String>) -> Self {
        Edit { start: span.start, end: span.end, text: text.into() }
    }
}

/// What was found in one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// Byte range in the file.
    pub span: Range<usize>,
    /// The image as it is written, variables put in.
    pub image: Option<String>,
    /// Which of the images.
    pub retired: Option<Retired>,
    /// What to do instead.
    pub instead: String,
    /// The edits; none where it takes a person.
    pub edits: Vec<Edit>,
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..floor(text, offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1,
    )
}

/// The line around a byte offset, without its end and indentation, at most 200 characters of it.
pub fn source_line(text: &str, offset: usize) -> String {
    let offset = floor(text, offset);
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    let line = text[start..end].trim_start_matches('\u{feff}').trim();
    let mut shown: String = line.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The text with all edits in place, and which of the findings they end. Of two edits that touch, the first counts;
/// equal ones are one.
pub fn apply(text: &str, findings: &[Finding]) -> (String, Vec<bool>) {
    let mut taken: Vec<&Edit> = Vec::new();
    let mut ended = Vec::with_capacity(findings.len());
    for finding in findings {
        let free = |edit: &Edit| {
            let valid = edit.start <= edit.end && edit.end <= text.len();
            let whole = text.is_char_boundary(edit.start) && text.is_char_boundary(edit.end);
            let clear = |other: &&Edit| **other == *edit || other.end < edit.start || edit.end < other.start;
            valid && whole && taken.iter().all(clear)
        };
        let ends = !finding.edits.is_empty() && finding.edits.iter().all(free);
        if ends {
            taken.extend(&finding.edits);
        }
        ended.push(ends);
    }
    taken.sort();
    taken.dedup();
    let (mut out, mut at) = (String::with_capacity(text.len() + 64), 0);
    for edit in taken {
        out.push_str(&text[at..edit.start]);
        out.push_str(&edit.text);
        at = edit.end;
    }
    out.push_str(&text[at..]);
    (out, ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(edits: Vec<Edit>) -> Finding {
        Finding {
            rule: Rule::RetiredImage,
            span: 0..1,
            image: None,
            retired: None,
            instead: String::new(),
            edits,
        }
    }

    #[test]
    fn edits_keep_what_is_around_them() {
        let text = "a: one\r\nb: two\r\n";
        let findings = [with(vec![Edit::new(11..14, "2")]), with(vec![Edit::new(3..6, "1")])];
        assert_eq!(apply(text, &findings), ("a: 1\r\nb: 2\r\n".to_owned(), vec![true, true]));
        let touching = [with(vec![Edit::new(3..6, "1")]), with(vec![Edit::new(4..5, "x")]), with(vec![])];
        assert_eq!(apply(text, &touching), ("a: 1\r\nb: two\r\n".to_owned(), vec![true, false, false]));
    }

    #[test]
    fn places_count_characters_from_one() {
        let text = "\u{feff}é: x\n\té: yy\n";
        let at = |word: &str| position(text, text.find(word).unwrap());
        assert_eq!((at("x"), at("yy")), ((1, 4), (2, 5)));
        assert_eq!(source_line(text, text.find("yy").unwrap()), "é: yy");
        assert_eq!(position(text, 1000), (3, 1));
    }
}
