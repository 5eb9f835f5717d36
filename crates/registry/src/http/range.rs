//! Byte ranges: `Range` of a GET (RFC 9110, section 14) and `Content-Range` of a chunk (distribution-spec 1.1,
//! "Pushing a blob in chunks"). Pure.

/// What a GET's `Range` asks for, given the blob's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// Everything: no range, several ranges, or another unit; a server may answer these with the whole.
    Whole,
    /// `first` to `last`, both included.
    Part { first: u64, last: u64 },
    /// Nothing of the blob lies in the range.
    Unsatisfiable,
}

/// Reads a `Range` header.
pub(crate) fn range(header: Option<&str>, size: u64) -> Range {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Range::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Range::Whole };
    match (number(first.trim()), number(last.trim())) {
        (Some(first), Some(last)) if first > last => Range::Unsatisfiable,
        (Some(first), _) if first >= size && (last.trim().is_empty() || number(last.trim()).is_some()) => {
            Range::Unsatisfiable
        }
        (Some(first), Some(last)) => Range::Part { first, last: last.min(size - 1) },
        (Some(first), None) if last.trim().is_empty() => Range::Part { first, last: size - 1 },
        (None, Some(0)) if first.trim().is_empty() => Range::Unsatisfiable,
        (None, Some(_)) if first.trim().is_empty() && size == 0 => Range::Unsatisfiable,
        (None, Some(length)) if first.trim().is_empty() => {
            Range::Part { first: size - length.min(size), last: size - 1 }
        }
        _ => Range::Whole,
    }
}

/// Reads a chunk's `Content-Range`, `first-last`, both included; also as HTTP writes it, `bytes first-last/size`.
pub(crate) fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").map_or(text, |rest| rest.split('/').next().unwrap_or(rest));
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    // `last` + 1 must be a number, too.
    (first <= last && last < u64::MAX).then_some((first, last))
}

/// Decimal digits, nothing else; too large a number is the largest.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |first, last| Range::Part { first, last };
        let cases = [
            ("bytes=0-9", part(0, 9)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=5-", part(5, 9)),
            ("bytes=5-100", part(5, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes= 2 - 4 ", part(2, 4)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=10-20", Range::Unsatisfiable),
            ("bytes=5-2", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=99999999999999999999-", Range::Unsatisfiable),
            ("bytes=0-99999999999999999999", part(0, 9)),
            ("bytes=0-1,4-5", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes=-", Range::Whole),
            ("items=0-1", Range::Whole),
            ("", Range::Whole),
        ];
        for (header, wanted) in cases {
            assert_eq!(range(Some(header), 10), wanted, "{header}");
        }
        assert_eq!(range(None, 10), Range::Whole);
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(range(Some(header), 0), Range::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk("0-9"), Some((0, 9)));
        assert_eq!(chunk("bytes 10-19/*"), Some((10, 19)));
        for bad in ["", "-", "9", "9-", "-9", "9-8", "a-b", "0-99999999999999999999", "+1-2", "0x1-2"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_in_the_blob(header in r"(bytes=)?[0-9 ,a-]{0,24}", size in 0u64..30) {
            if let Range::Part { first, last } = range(Some(&header), size) {
                prop_assert!(first <= last && last < size);
            }
            if let Some((first, last)) = chunk(&header) {
                prop_assert!(first <= last);
            }
        }
    }
}
