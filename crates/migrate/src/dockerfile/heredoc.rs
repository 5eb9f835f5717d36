//! Here-documents of RUN. The parser knows only those that are all of a RUN (`RUN <<EOF`); the bodies of the others
//! are hidden from it.
//!
//! Dockerfile reference, "Here-documents": the lines of an instruction are joined first, then the bodies of all its
//! `<<` follow in order.

use std::borrow::Cow;
use std::ops::Range;

use crate::shell;

/// A Dockerfile whose other here-documents are comments of the same length.
#[derive(Debug)]
pub struct Masked<'a> {
    /// What the parser reads.
    pub text: Cow<'a, str>,
    /// What was written.
    pub whole: &'a str,
    /// Bodies that a shell reads, each with the place of its RUN.
    pub scripts: Vec<(usize, Range<usize>)>,
}

/// A `<<` of a line.
struct Opening {
    /// The line that ends it.
    word: String,
    /// `<<-`: tabs before that line.
    tabs: bool,
    /// Whether nothing stands before it.
    first: bool,
    /// Whether a shell reads it.
    script: bool,
}

/// Hides here-documents of `text`, whose lines are continued by `escape`.
pub fn masked(text: &str, escape: char) -> Masked<'_> {
    let mut out = Masked { text: Cow::Borrowed(text), whole: text, scripts: Vec::new() };
    if !text.contains("<<") {
        return out;
    }
    let mut hidden = text.to_owned();
    let mut at = 0;
    while at < text.len() {
        let (end, joined) = logical(text, at, escape);
        let keyword = joined.trim_start();
        let place = at + (text[at..].len() - text[at..].trim_start().len());
        at = end;
        let (name, rest) = keyword.split_once(char::is_whitespace).unwrap_or((keyword, ""));
        let run = name.eq_ignore_ascii_case("RUN");
        if !run && !name.eq_ignore_ascii_case("COPY") && !name.eq_ignore_ascii_case("ADD") {
            continue;
        }
        for opening in openings(rest) {
            let Some((body, next)) = body(text, at, &opening) else { break };
            if run && !opening.first {
                if opening.script {
                    out.scripts.push((place, body));
                }
                hide(&mut hidden, at..next);
            }
            at = next;
        }
    }
    out.text = Cow::Owned(hidden);
    out
}

/// The end of the instruction that begins at `at`, and its lines as one.
fn logical(text: &str, at: usize, escape: char) -> (usize, String) {
    let (mut end, mut joined) = (at, String::new());
    for line in text[at..].split_inclusive('\n') {
        let body = line.trim_end();
        let inside = end > at;
        end += line.len();
        // Comments and empty lines between continued ones are passed over.
        if inside && (body.is_empty() || body.trim_start().starts_with('#')) {
            continue;
        }
        let comment = !inside && body.trim_start().starts_with('#');
        match body.strip_suffix(escape) {
            Some(body) if !comment => {
                joined.push_str(body);
                joined.push(' ');
            }
            _ => {
                joined.push_str(body);
                break;
            }
        }
    }
    (end, joined)
}

/// The `<<` of what stands behind a RUN, COPY or ADD, in order; those in quotes are words.
fn openings(rest: &str) -> Vec<Opening> {
    let (mut all, mut quote) = (Vec::new(), None);
    let flags = rest.split_whitespace().take_while(|word| word.starts_with("--")).last();
    let start = flags.map_or(0, |flag| rest.find(flag).map_or(0, |at| at + flag.len()));
    let mut chars = rest.char_indices().skip_while(|(at, _)| *at < start).peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '\\') => drop(chars.next()),
            (None, '<') if rest[at..].starts_with("<<") => {
                let length = rest[at..].len() - rest[at..].trim_start_matches('<').len();
                for _ in 1..length {
                    chars.next();
                }
                // `<<<` is a word for standard input, `$((1<<2))` a number.
                if length == 2 {
                    all.extend(opening(rest, at, start));
                }
            }
            _ => {}
        }
    }
    all
}

fn opening(rest: &str, at: usize, start: usize) -> Option<Opening> {
    let tail = &rest[at + 2..];
    let (tabs, tail) = tail.strip_prefix('-').map_or((false, tail), |tail| (true, tail));
    let quote = tail.chars().next().filter(|c| matches!(c, '"' | '\''));
    let word: String = match quote {
        Some(quote) => tail[1..].split(quote).next()?.to_owned(),
        None => tail.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).collect(),
    };
    // A name, or quoted.
    if word.is_empty() || (quote.is_none() && word.starts_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    let before = &rest[start..at];
    let command = shell::commands(before, '\\').pop().map(|command| shell::itself(&command.words));
    let script = command.is_some_and(|words| {
        let program = words.first().map(|word| word.rsplit('/').next().unwrap_or(word));
        program.is_some_and(shell::is_shell) && words[1..].iter().all(|word| word.starts_with('-'))
    });
    Some(Opening { word, tabs, first: before.trim().is_empty(), script })
}

/// The body of a here-document that begins at `at`, and where the text goes on; none where nothing ends it.
fn body(text: &str, at: usize, opening: &Opening) -> Option<(Range<usize>, usize)> {
    let mut end = at;
    for line in text[at..].split_inclusive('\n') {
        let plain = line.trim_end_matches(['\r', '\n']);
        let plain = if opening.tabs { plain.trim_start_matches('\t') } else { plain };
        if plain == opening.word {
            return Some((at..end, end + line.len()));
        }
        end += line.len();
    }
    None
}

/// Turns lines into comments of the same length.
fn hide(text: &mut String, range: Range<usize>) {
    let mut comment = String::with_capacity(range.len());
    for line in text[range.clone()].split_inclusive('\n') {
        let body = line.trim_end_matches(['\r', '\n']);
        if !body.is_empty() {
            comment.push('#');
            comment.push_str(&" ".repeat(body.len() - 1));
        }
        comment.push_str(&line[body.len()..]);
    }
    text.replace_range(range, &comment);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_hidden_from_the_parser() {
        for (text, hidden, scripts) in [
            ("RUN cat <<EOF >x\nFROM é\nEOF\nUSER 0\n", "RUN cat <<EOF >x\n#      \n#  \nUSER 0\n", ""),
            (
                "RUN a && \\\n  # c\n  cat >x <<EOF\nb\nEOF\n",
                "RUN a && \\\n  # c\n  cat >x <<EOF\n#\n#  \n",
                "",
            ),
            (
                "RUN cat <<A >x && cat <<'B' >y\n1\nA\n2\nB\n",
                "RUN cat <<A >x && cat <<'B' >y\n#\n#\n#\n#\n",
                "",
            ),
            (
                "run --network=none bash -e <<-EOF\n\tls\n\tEOF\n",
                "run --network=none bash -e <<-EOF\n#  \n#   \n",
                "\tls\n",
            ),
            ("RUN sudo -E /bin/sh <<EOF\nls\nEOF", "RUN sudo -E /bin/sh <<EOF\n# \n#  ", "ls\n"),
            // The parser's own, and what only looks alike.
            ("RUN <<EOF\nRUN cat <<X\nEOF\n", "", ""),
            ("COPY <<EOF /x\nRUN cat <<X\nX\nEOF\n", "", ""),
            ("RUN echo \"<<EOF\"\nEOF\n", "", ""),
            ("RUN cat <<<EOF\nEOF\n", "", ""),
            ("RUN cat <<EOF\nno end\n", "", ""),
            ("# RUN cat <<EOF \\\nRUN a\nEOF\n", "", ""),
            ("RUN echo $((1<<2))\n2\n", "", ""),
        ] {
            let masked = masked(text, '\\');
            assert_eq!(masked.text, if hidden.is_empty() { text } else { hidden });
            let read: String = masked.scripts.iter().map(|(_, at)| &text[at.clone()]).collect();
            assert_eq!(read, scripts, "{text}");
        }
    }
}
