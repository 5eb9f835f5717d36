//! What a plain YAML scalar is to Helm: YAML 1.1 as its library (go-yaml v2) resolves it, so that `off` and `y`
//! are booleans and `010` is eight. Quoted and block scalars are always text.

use super::node::Value;

/// The value of a plain scalar.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let Some(first) = text.bytes().next() else { return Value::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
        b'.' => float(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
        _ => Value::Text(text.to_owned()),
    }
}

/// The number that `text` is, as JSON writes it.
fn number(text: &str) -> Option<String> {
    // A date stays text: Helm's JSON has no dates.
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1i128, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let whole = if let Some(hex) = lower.strip_prefix("0x") {
        radix(hex, 16)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        radix(octal, 8)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        radix(binary, 2)
    } else if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) {
        radix(&lower, 8)
    } else {
        radix(&lower, 10)
    };
    if let Some(whole) = whole {
        return Some((sign * i128::from(whole)).to_string());
    }
    float(&plain)
}

fn radix(digits: &str, radix: u32) -> Option<u64> {
    let fine = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    fine.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// A decimal fraction. One that is too large for a number (`12e4567`, as a short commit hash can be) is none: Go's
/// `ParseFloat` refuses it where Rust gives infinity.
fn float(text: &str) -> Option<String> {
    let number = is_float(text).then(|| text.parse::<f64>().ok()).flatten()?;
    number.is_finite().then(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_helm_makes_of_them() {
        for (text, expected) in [
            ("off", "Bool(false)"),
            ("y", "Bool(true)"),
            ("No", "Bool(false)"),
            ("yES", "Text(\"yES\")"),
            ("~", "Null"),
            ("", "Null"),
            ("3.10", "Number(\"3.1\")"),
            ("3.10.2", "Text(\"3.10.2\")"),
            ("2026.01.30", "Text(\"2026.01.30\")"),
            ("2024-03-18", "Text(\"2024-03-18\")"),
            ("010", "Number(\"8\")"),
            ("089", "Number(\"89\")"),
            ("1_000", "Number(\"1000\")"),
            ("0x10", "Number(\"16\")"),
            ("-5", "Number(\"-5\")"),
            ("1e3", "Number(\"1000\")"),
            ("6000a5694eab", "Text(\"6000a5694eab\")"),
            ("1e5a", "Text(\"1e5a\")"),
            // No number can hold these: ParseFloat gives ErrRange, and they stay text. Tags and short commit hashes.
            ("12e4567", "Text(\"12e4567\")"),
            ("123456e78901", "Text(\"123456e78901\")"),
            ("1e400", "Text(\"1e400\")"),
            ("-1e400", "Text(\"-1e400\")"),
            (".5e999", "Text(\".5e999\")"),
            ("1e-400", "Number(\"0\")"),
            (".5", "Number(\"0.5\")"),
            ("1:20", "Text(\"1:20\")"),
            ("-", "Text(\"-\")"),
            ("+", "Text(\"+\")"),
            ("=", "Text(\"=\")"),
        ] {
            assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
        }
    }
}
