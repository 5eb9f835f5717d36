//! The order of keys as the hub sees them. Helm writes the values into a Secret with go-yaml v2, which sorts keys
//! in a natural way (`9-x` before `10-x`, other signs before letters), and Python keeps that order; KubeSpawner
//! applies the options of a profile in it, the last one wins.

use std::cmp::Ordering;

/// go-yaml v2, `keyList.Less`, for texts.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(l, r)| l != r) else {
        return left.len().cmp(&right.len());
    };
    let (l, r) = (left[at], right[at]);
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(&r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero in the middle of a number counts as a digit, one at its beginning does not.
    let inside = (l == '0' || r == '0')
        && left[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let number = |text: &[char]| {
        let digits = text[at..].iter().take_while(|c| c.is_ascii_digit());
        digits.fold((i64::from(inside), 0usize), |(value, length), digit| {
            let digit = i64::from(digit.to_digit(10).unwrap_or(0));
            (value.wrapping_mul(10).wrapping_add(digit), length + 1)
        })
    };
    number(&left).cmp(&number(&right)).then(l.cmp(&r))
}

/// Entries in that order. It has circles (`10` < `1a` < `2` < `10`), of which the standard library's sorting may make a
/// panic; Helm's own order within a circle is by chance.
pub fn sorted<'a, T>(entries: impl Iterator<Item = (&'a String, T)>) -> Vec<(&'a String, T)> {
    let mut all: Vec<(&String, T)> = Vec::new();
    for entry in entries {
        let place = all.partition_point(|other| natural(other.0, entry.0) != Ordering::Greater);
        all.insert(place, entry);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_sorted_somehow() {
        let circle: Vec<String> =
            (0..60).flat_map(|n| [format!("{n}"), format!("{n}a"), format!("1{n}b")]).collect();
        let all = sorted(circle.iter().map(|key| (key, ())));
        assert_eq!(all.len(), circle.len());
    }

    #[test]
    fn keys_sort_as_helm_writes_them() {
        for sorted in [
            &["1-a", "2-a", "9-x", "10-x", "a", "b"][..],
            &["00-base", "01-tensorflow", "02-pytorch"],
            &["a1", "a2", "a10", "a10b", "ab"],
            &["_x", "a"],
            &["100", "1000", "image"],
            &["image", "image-2", "image2", "images"],
            &["A", "a"],
        ] {
            for pair in sorted.windows(2) {
                assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
                assert_eq!(natural(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
            }
        }
        assert_eq!(natural("x", "x"), Ordering::Equal);
    }
}
