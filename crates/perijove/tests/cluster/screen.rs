//! A terminal's screen, as far as `perijove` draws on one, and a picture of it (SVG). Whatever it does not know fails the
//! test, so that a picture shows nothing else than a terminal would.

use std::fmt::Write;

/// A line's characters, each with its colour's number (ECMA-48, SGR 30 to 37), if it has one.
type Line = Vec<(char, Option<u8>)>;

/// What a terminal has shown, from the first line on: nothing scrolls away.
#[derive(Clone, Debug)]
pub struct Screen {
    columns: usize,
    lines: Vec<Line>,
    row: usize,
    column: usize,
    color: Option<u8>,
}

impl Screen {
    /// Of so many columns.
    pub fn new(columns: usize) -> Self {
        Screen { columns, lines: Vec::new(), row: 0, column: 0, color: None }
    }

    /// Draws what a program has written.
    pub fn draw(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\n' => self.row += 1,
                '\r' => self.column = 0,
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['), "{text:?}");
                    let mut words = String::new();
                    let end = rest.by_ref().find(|c| {
                        let more = c.is_ascii_digit() || ";?".contains(*c);
                        words.extend(more.then_some(*c));
                        !more
                    });
                    self.control(&words, end.unwrap_or_else(|| panic!("{text:?} is cut")));
                }
                shown => {
                    // A full line goes on in the next, when there is more.
                    if self.column == self.columns {
                        self.row += 1;
                        self.column = 0;
                    }
                    let color = self.color;
                    let line = self.line();
                    let column = line.1;
                    line.0.resize(line.0.len().max(column + 1), (' ', None));
                    line.0[column] = (shown, color);
                    self.column += 1;
                }
            }
        }
    }

    /// A control sequence (ECMA-48): what stands between `[` and its last character.
    fn control(&mut self, words: &str, end: char) {
        let number = words.parse::<usize>().unwrap_or(1);
        match (words, end) {
            (_, 'A') => self.row = self.row.saturating_sub(number),
            (_, 'B') => self.row += number,
            (_, 'G') => self.column = number - 1,
            ("2", 'K') => self.line().0.clear(),
            ("" | "0", 'K') => {
                let (line, column) = self.line();
                line.truncate(column);
            }
            ("" | "0", 'J') => {
                let (line, column) = self.line();
                line.truncate(column);
                self.lines.truncate(self.row + 1);
            }
            ("?25", 'l' | 'h') => {}
            ("" | "0" | "39" | "22", 'm') => self.color = None,
            ("1" | "2", 'm') => {}
            (color, 'm') if (30..38).contains(&number) => self.color = color.parse().ok(),
            _ => panic!("a terminal sequence that is not known here: {words}{end}"),
        }
    }

    fn line(&mut self) -> (&mut Line, usize) {
        let needed = self.lines.len().max(self.row + 1);
        self.lines.resize(needed, Line::new());
        (&mut self.lines[self.row], self.column)
    }

    /// The lines, without what is empty at their ends.
    pub fn text(&self) -> Vec<String> {
        let plain = |line: &Line| line.iter().map(|(c, _)| *c).collect::<String>().trim_end().to_owned();
        let mut lines: Vec<String> = self.lines.iter().map(plain).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

/// Width and height of a character, in pixels.
const CELL: (usize, usize) = (8, 18);
/// Around a screen.
const MARGIN: usize = 14;

/// Screens one below the other, each with a caption, and from a line on.
pub fn picture(screens: &[(&str, &Screen, usize)]) -> String {
    let shown: Vec<Vec<String>> =
        screens.iter().map(|(_, screen, first)| screen.text().split_off(*first)).collect();
    let columns = shown.iter().flatten().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = columns * CELL.0 + 2 * MARGIN;
    let mut drawn = String::new();
    let mut top = 0;
    for ((caption, screen, first), lines) in screens.iter().zip(&shown) {
        let height = lines.len() * CELL.1 + 2 * MARGIN;
        let _ = writeln!(
            drawn,
            "<text class=\"caption\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
            top + 18,
            escaped(caption)
        );
        let _ = writeln!(drawn, "<rect y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>", top + 28);
        for (number, line) in screen.lines.iter().skip(*first).take(lines.len()).enumerate() {
            let y = top + 28 + MARGIN + number * CELL.1 + 13;
            let _ = writeln!(drawn, "<text x=\"{MARGIN}\" y=\"{y}\">{}</text>", spans(line));
        }
        top += height + 44;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\">\n<style>\n\
         rect {{ fill: #1c2128 }}\n\
         text {{ font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d5dbe2; white-space: pre }}\n\
         .caption {{ font: 14px system-ui, sans-serif; fill: #768390 }}\n\
         .c31 {{ fill: #f47067 }} .c32 {{ fill: #57ab5a }} .c33 {{ fill: #daaa3f }} .c36 {{ fill: #39c5cf }}\n\
         </style>\n{drawn}</svg>\n"
    )
}

/// A line in pieces of one colour. Each begins where it does on a terminal, whatever font the reader has.
fn spans(line: &Line) -> String {
    let mut text = String::new();
    let mut start = 0;
    for piece in line.chunk_by(|a, b| a.1 == b.1) {
        let words: String = piece.iter().map(|(c, _)| *c).collect();
        let class = piece[0].1.map(|color| format!(" class=\"c{color}\"")).unwrap_or_default();
        let trimmed = if start + piece.len() == line.len() { words.trim_end() } else { &words };
        if !trimmed.is_empty() {
            let _ = write!(
                text,
                "<tspan{class} x=\"{}\" textLength=\"{}\">{}</tspan>",
                MARGIN + start * CELL.0,
                trimmed.chars().count() * CELL.0,
                escaped(trimmed)
            );
        }
        start += piece.len();
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn a_screen_is_what_a_terminal_shows() {
    let mut screen = Screen::new(8);
    screen.draw("first\r\n\x1b[36mbar\x1b[0m one\r\n");
    screen.draw("\x1b[1A\r\x1b[2K\x1b[32mbar\x1b[39m two\r\nwide    last");
    assert_eq!(screen.text(), ["first", "bar two", "wide", "last"]);
    // From its second line on.
    let drawn = picture(&[("a < b", &screen, 1)]);
    assert!(
        drawn.contains(">a &lt; b<")
            && drawn.contains("<tspan class=\"c32\" x=\"14\" textLength=\"24\">bar<")
    );
}
