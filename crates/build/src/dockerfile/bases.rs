//! Which image a Dockerfile's result stands on, read from its FROM lines (Dockerfile reference, FROM and ARG): a
//! tag there may name another image tomorrow.

use std::collections::BTreeMap;

use perijove_oci::Reference;

/// The image that the last stage stands on, through the stages before it. `None` where that is `scratch`, an image
/// by digest (the commit fixes it), or a name that only a builder can know.
pub fn moving(dockerfile: &str) -> Option<Reference> {
    let mut defaults: BTreeMap<&str, &str> = BTreeMap::new();
    let mut stages: Vec<(String, Option<&str>)> = Vec::new();
    for line in dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            // Only what stands before the first FROM counts in a FROM.
            Some("ARG") if stages.is_empty() => {
                let pairs = words.filter_map(|word| word.split_once('='));
                defaults.extend(pairs.map(|(name, value)| (name, value.trim_matches(['"', '\'']))));
            }
            Some("FROM") => {
                let mut rest = words.filter(|word| !word.starts_with("--"));
                let image = replace(rest.next()?, &defaults)?;
                let named = rest.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
                stages.push((image, if named { rest.next() } else { None }));
            }
            _ => {}
        }
    }
    let mut at = stages.len().checked_sub(1)?;
    // A stage stands on an earlier one only, so this ends.
    while let Some(earlier) = stages[..at]
        .iter()
        .rposition(|(_, name)| name.is_some_and(|name| name.eq_ignore_ascii_case(&stages[at].0)))
    {
        at = earlier;
    }
    let image = &stages[at].0;
    let reference: Reference = image.parse().ok().filter(|_| image != "scratch")?;
    reference.digest.is_none().then_some(reference)
}

/// `$NAME`, `${NAME}` and `${NAME:-default}` by the defaults of ARG; `None` where one has no value.
fn replace(text: &str, defaults: &BTreeMap<&str, &str>) -> Option<String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        let (name, fallback);
        if let Some(inside) = after.strip_prefix('{') {
            let (expression, behind) = inside.split_once('}')?;
            (name, fallback) =
                expression.split_once(":-").map_or((expression, None), |(n, value)| (n, Some(value)));
            rest = behind;
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            (name, fallback) = (&after[..end], None);
            rest = &after[end..];
        }
        done.push_str(defaults.get(name).copied().or(fallback)?);
    }
    done.push_str(rest);
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_decides() {
        for (dockerfile, base) in [
            ("FROM python:3.13\nRUN x", Some("docker.io/library/python:3.13")),
            ("# FROM a\nfrom --platform=$BUILDPLATFORM quay.io/a/b AS x\n", Some("quay.io/a/b")),
            ("FROM quay.io/a/b:1 AS build\nFROM build AS test\nFROM Test\n", Some("quay.io/a/b:1")),
            (
                "FROM quay.io/a/b:1 AS build\nFROM quay.io/c/d:2\nCOPY --from=build / /\n",
                Some("quay.io/c/d:2"),
            ),
            ("ARG TAG=3.13 N=\"python\"\nFROM ${N}:$TAG-slim\n", Some("docker.io/library/python:3.13-slim")),
            ("FROM a/b:${TAG:-1}\n", Some("docker.io/a/b:1")),
            ("FROM a/b:$TAG\n", None),
            ("FROM $BASE_IMAGE\n", None),
            ("FROM scratch\n", None),
            ("FROM a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n", None),
            ("FROM a AS a\nFROM a\n", Some("docker.io/library/a")),
            ("RUN x\n", None),
        ] {
            assert_eq!(moving(dockerfile).map(|r| r.to_string()).as_deref(), base, "{dockerfile}");
        }
    }
}
