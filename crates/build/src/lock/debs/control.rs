//! Debian control data (deb822(5)): paragraphs of `Name: value` fields on borrowed text.
//!
//! Release files and Packages indexes come in this form. A paragraph is kept as its text; a field is looked
//! up when it is wanted, because an index has 70,000 paragraphs of which a lock wants a hundred.

/// One paragraph: the lines between two empty ones, without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paragraph<'a> {
    text: &'a str,
    /// Line of the file, from 1, on which it begins.
    pub line: usize,
}

impl<'a> Paragraph<'a> {
    /// The fields in order: name, value on the first line (trimmed), continuation lines as written.
    pub fn fields(self) -> Fields<'a> {
        Fields { rest: self.text }
    }

    /// The first line's value of the field `name`, in any letter case.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.fields().find(|f| f.name.eq_ignore_ascii_case(name)).map(Field::value)
    }

    /// The continuation lines of the field `name`, trimmed, empty ones left out.
    pub fn lines(self, name: &str) -> impl Iterator<Item = &'a str> {
        let field = self.fields().find(|f| f.name.eq_ignore_ascii_case(name));
        field.map_or("", Field::more).lines().map(str::trim).filter(|l| !l.is_empty())
    }

    /// Says which line, from 1 within the file, is neither a field nor a continuation, or repeats a field.
    pub fn check(self) -> Result<(), (usize, String)> {
        let mut names: Vec<&str> = Vec::with_capacity(32);
        for (i, line) in self.text.lines().enumerate() {
            if line.starts_with([' ', '\t']) && i > 0 {
                continue;
            }
            let name = match line.split_once(':') {
                Some((name, _)) if !name.is_empty() && !name.contains([' ', '\t']) => name,
                _ => {
                    let shown: String = line.chars().take(60).collect();
                    return Err((self.line + i, format!("`{shown}` is not a `Name: value` line")));
                }
            };
            if names.iter().any(|n| n.eq_ignore_ascii_case(name)) {
                return Err((self.line + i, format!("the field `{name}` is there twice")));
            }
            names.push(name);
        }
        Ok(())
    }
}

/// One field. Nothing is trimmed before it is asked for: most fields never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As written.
    pub name: &'a str,
    /// Everything after the colon, continuation lines and line ends included.
    raw: &'a str,
}

impl<'a> Field<'a> {
    /// What stands on the first line, trimmed.
    pub fn value(self) -> &'a str {
        split_line(self.raw).0.trim()
    }

    /// The continuation lines as written.
    pub fn more(self) -> &'a str {
        split_line(self.raw).1
    }

    /// All lines, trimmed at both ends: the value of a field that may be folded.
    pub fn whole(self) -> &'a str {
        self.raw.trim()
    }
}

/// Iterator over the fields of a paragraph. Lines that are no fields are passed over; see [`Paragraph::check`].
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while !self.rest.is_empty() {
            let bytes = self.rest.as_bytes();
            // A field ends before the first line that is not a continuation.
            let mut ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
            let end = ends.find(|end| !matches!(bytes.get(*end), Some(b' ' | b'\t'))).unwrap_or(bytes.len());
            let (field, after) = self.rest.split_at(end);
            self.rest = after;
            let first = memchr::memchr2(b':', b'\n', field.as_bytes());
            if let Some(at) = first.filter(|at| field.as_bytes()[*at] == b':') {
                return Some(Field { name: &field[..at], raw: &field[at + 1..] });
            }
        }
        None
    }
}

/// The paragraphs of a file, which empty lines separate.
pub fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    let mut rest = text;
    let mut line = 1;
    std::iter::from_fn(move || {
        let start = rest.trim_start_matches('\n');
        line += rest.len() - start.len();
        if start.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(start.as_bytes(), b"\n\n").map_or(start.len(), |at| at + 1);
        let (text, after) = start.split_at(end);
        let paragraph = Paragraph { text, line };
        line += memchr::memchr_iter(b'\n', text.as_bytes()).count();
        rest = after;
        Some(paragraph)
    })
}

/// The first line without its end, and the rest.
fn split_line(text: &str) -> (&str, &str) {
    memchr::memchr(b'\n', text.as_bytes()).map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_paragraphs_fields_and_lines() {
        let text = "\n\nPackage: a\nDescription: x\n more\n .\nVersion:1\n\n\nPackage: b\nSHA256:\n aa 1 p\n bb 2 q\n";
        let all: Vec<_> = paragraphs(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].line, all[1].line), (3, 10));
        assert_eq!(all[0].get("version"), Some("1"));
        assert_eq!(all[0].get("more"), None);
        assert_eq!(all[0].fields().nth(1).unwrap().whole(), "x\n more\n .");
        assert_eq!(all[1].lines("SHA256").collect::<Vec<_>>(), ["aa 1 p", "bb 2 q"]);
        assert_eq!(all[0].check(), Ok(()));
    }

    #[test]
    fn names_the_broken_line() {
        let check = |text| paragraphs(text).next().unwrap().check().unwrap_err();
        assert_eq!(check("A: 1\nnonsense\n"), (2, "`nonsense` is not a `Name: value` line".to_owned()));
        assert_eq!(check("\nA: 1\nB: 2\na: 3\n"), (4, "the field `a` is there twice".to_owned()));
        assert_eq!(check("<!DOCTYPE html>\n").0, 1);
        assert_eq!(check(" a: continuation without a field\n").0, 1);
    }

    proptest! {
        #[test]
        fn never_panics_and_loses_no_field(text in "([A-C]{1,2}: ?[a-z ]{0,4}\n|[ \t]x?\n|\n|[:a-z\u{e9}]{0,5}\n?){0,12}") {
            for paragraph in paragraphs(&text) {
                let fields: Vec<_> = paragraph.fields().collect();
                for field in &fields {
                    prop_assert!(paragraph.get(field.name).is_some());
                }
                if paragraph.check().is_ok() {
                    prop_assert!(!fields.is_empty());
                }
            }
        }
    }
}
