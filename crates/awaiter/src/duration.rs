//! Times as people and Helm write them.

use std::time::Duration;

/// Longer than any release is worked on.
const LONGEST: u64 = 7 * 24 * 3600;

/// Reads `90s`, `10m`, `1h30m` or a number of seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time as 90s, 10m or 1h30m, up to 168h");
    if let Ok(seconds) = text.parse::<u64>() {
        return if seconds <= LONGEST { Ok(Duration::from_secs(seconds)) } else { Err(wrong()) };
    }
    let mut rest = text;
    let mut seconds = 0u64;
    let mut smaller_than = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[digits] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(wrong()),
        };
        if unit >= smaller_than {
            return Err(wrong());
        }
        smaller_than = unit;
        seconds = number.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    if text.is_empty() || seconds > LONGEST { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// `9m20s`.
pub fn text(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, _) => format!("{h}h{m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_times() {
        for (given, seconds) in
            [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h0m5s", 3605), ("45", 45), ("0", 0)]
        {
            assert_eq!(parse(given), Ok(Duration::from_secs(seconds)), "{given}");
        }
        for given in
            ["", "10", "m", "-5s", "10d", "5s1m", "1m1m", "1.5h", "999999h", "99999999999999999999s", "é"]
        {
            assert_eq!(parse(given).is_ok(), given == "10", "{given}");
        }
        assert_eq!(text(Duration::from_secs(560)), "9m20s");
        assert_eq!(text(Duration::from_secs(7265)), "2h1m");
    }
}
