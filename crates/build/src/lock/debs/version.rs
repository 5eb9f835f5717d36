//! Debian version order (deb-version(7), "Sorting algorithm"), on borrowed text.
//!
//! An index has tens of thousands of versions, so nothing is allocated, and any text has a place in the order:
//! the rules are dpkg's, which compares what it is given. Whether a text is a version at all is asked where
//! it enters, by [`is_version`].

use std::cmp::Ordering;

/// Compares two versions as dpkg does: epoch, upstream version, revision.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, upstream_a, revision_a) = split(a);
    let (epoch_b, upstream_b, revision_b) = split(b);
    compare_part(epoch_a.as_bytes(), epoch_b.as_bytes())
        .then_with(|| compare_part(upstream_a.as_bytes(), upstream_b.as_bytes()))
        .then_with(|| compare_part(revision_a.as_bytes(), revision_b.as_bytes()))
}

/// Whether `text` may be a version: it begins with a digit (after the epoch) and holds only
/// letters, digits and `.+-:~`.
pub fn is_version(text: &str) -> bool {
    let (epoch, upstream, _) = split(text);
    epoch.bytes().all(|b| b.is_ascii_digit())
        && upstream.starts_with(|c: char| c.is_ascii_digit())
        && text.len() <= 256
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-:~".contains(&b))
}

/// Epoch, upstream version and revision; an absent epoch or revision is `0`, as deb-version(7) says.
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    (epoch, upstream, revision)
}

/// Runs of non-digits by [`weight`], runs of digits by value, in turn from the left.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (x, y) = (head(a), head(b));
            if x.is_none() && y.is_none() {
                break;
            }
            let order = weight(x).cmp(&weight(y));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let (x, y) = (digits(&mut a), digits(&mut b));
        // Without leading zeros the longer number is the larger one.
        let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The next byte, unless it is a digit or there is none.
fn head(text: &[u8]) -> Option<u8> {
    text.first().copied().filter(|b| !b.is_ascii_digit())
}

/// `~` sorts before the end of the part, the end before letters, letters before the rest.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(b),
        Some(b) => i32::from(b) + 256,
    }
}

/// Takes the leading digits off `text` and gives them without leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    let zeros = number.iter().position(|b| *b != b'0').unwrap_or(number.len());
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn orders_as_deb_version_says() {
        let ascending = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0+",
            "1.0~beta1~svc1245",
            "1.0~beta1",
            "1.0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0-10",
            "1.0.1",
            "1.9",
            "1.10",
            "2",
            "1:0.1",
            "1:1",
            "10:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        for (a, b) in [("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.00", "1.0"), ("1.01", "1.1"), ("1", "1.")] {
            let expected = if b == "1." { Ordering::Less } else { Ordering::Equal };
            assert_eq!(compare(a, b), expected, "{a} and {b}");
        }
        let long = "1.99999999999999999999999999999999999999";
        assert_eq!(compare(long, "1.100000000000000000000000000000000000000"), Ordering::Less);
    }

    #[test]
    fn knows_a_version() {
        for good in ["1", "2:1.0~rc1+dfsg-3+deb13u1", "20250419"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "a1", "1 2", "1_2", "x:1", "1/../2", "1\u{e9}"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_implementation(a in version(), b in version()) {
            let parse = |v: &str| v.parse::<debversion::Version>();
            if let (Ok(x), Ok(y)) = (parse(&a), parse(&b)) {
                prop_assert_eq!(compare(&a, &b), x.cmp(&y), "{} and {}", a, b);
            }
        }

        #[test]
        fn is_an_order_on_any_text(a in ".{0,8}", b in ".{0,8}", c in "[0-9a~+:.-]{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            let mut all = [a.as_str(), b.as_str(), c.as_str()];
            all.sort_by(|x, y| compare(x, y));
            prop_assert!(compare(all[0], all[2]) != Ordering::Greater);
        }
    }

    fn version() -> impl Strategy<Value = String> {
        "([0-9]{1,2}:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-c.+~]{1,4})?"
    }
}
