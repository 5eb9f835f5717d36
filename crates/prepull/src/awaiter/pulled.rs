//! The kubelet's word on a pull that went well, as bytes and seconds.

/// What a pull took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pulled {
    /// The image's size, where the kubelet tells (since Kubernetes 1.30). Compressed or not, that is the runtime's.
    pub size_bytes: Option<u64>,
    /// How long it took without waiting for others; none where the image was on the node already.
    pub seconds: Option<f64>,
}

/// Reads the message of an event `Pulled`: the image, and what the pull took.
///
/// - 1.20: `Successfully pulled image "x"`; since 1.20.3 `… in 2.3s`
/// - 1.28: `… in 2.3s (4.5s including waiting)`; 1.30: `… (4.5s including waiting). Image size: 123 bytes.`
/// - `Container image "x" already present on machine`, in 1.35 with ` and can be accessed by the pod`
pub fn pulled(message: &str) -> Option<(&str, Pulled)> {
    let (before, rest) = message.split_once('"')?;
    let (image, after) = rest.split_once('"')?;
    if after.starts_with(" already present on machine") {
        return Some((image, Pulled::default()));
    }
    if !before.starts_with("Successfully pulled image") {
        return None;
    }
    let seconds = after.strip_prefix(" in ").and_then(|text| {
        let end = text.find([' ', '(']).unwrap_or(text.len());
        go_duration(text[..end].trim_end_matches('.'))
    });
    let size_bytes = after.split_once("Image size: ").and_then(|(_, text)| {
        let digits = text.split(' ').next()?;
        digits.parse().ok()
    });
    Some((image, Pulled { size_bytes, seconds }))
}

/// `1h2m3.5s`, `240.8ms`, `12µs`, as Go prints durations.
fn go_duration(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "µs" | "us" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let image = "quay.io/jupyter/base:1";
        for (message, size_bytes, seconds) in [
            ("Successfully pulled image \"quay.io/jupyter/base:1\"", None, None),
            ("Successfully pulled image \"quay.io/jupyter/base:1\" in 2.371s", None, Some(2.371)),
            (
                "Successfully pulled image \"quay.io/jupyter/base:1\" in 1m2.5s (1m10s including waiting)",
                None,
                Some(62.5),
            ),
            (
                "Successfully pulled image \"quay.io/jupyter/base:1\" in 240ms (2.3s including waiting). Image size: 123456 bytes.",
                Some(123_456),
                Some(0.24),
            ),
            ("Container image \"quay.io/jupyter/base:1\" already present on machine", None, None),
            (
                "Container image \"quay.io/jupyter/base:1\" already present on machine and can be accessed by the pod",
                None,
                None,
            ),
        ] {
            assert_eq!(pulled(message), Some((image, Pulled { size_bytes, seconds })), "{message}");
        }
        assert_eq!(pulled("Pulling image \"a\""), None);
        assert_eq!(pulled("nonsense"), None);
    }

    #[test]
    fn reads_durations_of_go() {
        for (text, seconds) in
            [("1h1m1s", Some(3661.0)), ("12µs", Some(12e-6)), ("5", None), ("", None), ("1d", None)]
        {
            assert_eq!(go_duration(text), seconds, "{text}");
        }
    }
}
