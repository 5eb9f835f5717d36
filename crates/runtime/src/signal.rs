//! Signals by name, as an image's configuration names the one that ends it (config.md, `StopSignal`).

use rustix::process::Signal;

const NAMES: &[(&str, Signal)] = &[
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("TERM", Signal::TERM),
    ("WINCH", Signal::WINCH),
    ("PWR", Signal::POWER),
];

/// The number of `SIGTERM`, `TERM` or `15`; none for what is no signal that ends something.
pub(crate) fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Signal::from_named_raw(number).map(Signal::as_raw);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    NAMES.iter().find(|(have, _)| *have == name).map(|(_, signal)| signal.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, want) in
            [("SIGTERM", Some(15)), ("INT", Some(2)), ("9", Some(9)), ("SIGNO", None), ("999", None)]
        {
            assert_eq!(number(text), want, "{text}");
        }
    }
}
