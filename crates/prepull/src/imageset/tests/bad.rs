//! Bad input, odd input and much input.

use super::*;

#[test]
fn bad_values_are_refused_with_their_place() {
    for (values, message) in [
        ("singleuser: []", "values.yaml:1: singleuser: a list where a mapping is expected"),
        ("singleuser:\n  image: a:1", "values.yaml:2: singleuser.image: text where a mapping is expected"),
        (
            "singleuser:\n  image: {name: a, tag: 3.10}",
            "values.yaml:2: singleuser.image.tag: a number where text is expected",
        ),
        (
            "singleuser:\n  image: {name: a, tag: off}",
            "values.yaml:2: singleuser.image.tag: true or false where text is expected",
        ),
        (
            "singleuser:\n  profileList: \"[{'display_name': 'x'}]\"",
            "values.yaml:2: singleuser.profileList: text where a list of profiles is expected",
        ),
        (
            "singleuser:\n  profileList: [x]",
            "values.yaml:2: singleuser.profileList[0]: text where a mapping is expected",
        ),
        (
            "singleuser:\n  profileList:\n  - kubespawner_override:\n      image: 5",
            "values.yaml:4: singleuser.profileList[0].kubespawner_override.image: a number where text is expected",
        ),
        (
            "singleuser:\n  profileList:\n  - profile_options: {i: {choices: [a]}}",
            "values.yaml:3: singleuser.profileList[0].profile_options.i.choices: a list where a mapping is expected",
        ),
        (
            "singleuser: {initContainers: x}",
            "values.yaml:1: singleuser.initContainers: text where a list is expected",
        ),
        (
            "singleuser: {initContainers: [{image: [a]}]}",
            "values.yaml:1: singleuser.initContainers[0].image: a list where text is expected",
        ),
        (
            "singleuser: {nodeSelector: [a]}",
            "values.yaml:1: singleuser.nodeSelector: a list where a mapping is expected",
        ),
        ("hub: {extraConfig: {a: 5}}", "values.yaml:1: hub.extraConfig.a: a number where text is expected"),
        (
            "prePuller: {extraImages: [a]}",
            "values.yaml:1: prePuller.extraImages: a list where a mapping is expected",
        ),
        (
            "singleuser:\n  image: {name: Upper/Case, tag: '1'}",
            "values.yaml:2: singleuser.image: `Upper/Case:1` is not an image reference",
        ),
        (
            "singleuser:\n  image: {name: a, tag: 'b c'}",
            "values.yaml:2: singleuser.image: `a:b c` is not an image reference",
        ),
        (
            "jupyterhub:\n  singleuser:\n    extraContainers:\n    - image: 'a b'",
            "values.yaml:4: jupyterhub.singleuser.extraContainers[0].image: `a b` is not",
        ),
        (
            "singleuser: {image: {name: 'u:p@q.io/a', tag: '1'}}",
            "values.yaml:1: singleuser.image: `***@q.io/a:1` is not",
        ),
    ] {
        let error = set_of(values).unwrap_err();
        assert!(error.to_string().starts_with(message), "{values}: {error}");
        assert!(!error.hint().is_empty());
    }
    let error = set_of("singleuser: {profileList: '[]'}").unwrap_err();
    assert!(error.hint().contains("Python"), "{}", error.hint());
}

#[test]
fn an_image_without_a_tag_is_found_and_noted() {
    let set = set_of("singleuser: {image: {name: q/a, tag: ''}}").unwrap();
    assert_eq!(
        (set.images[0].image.as_str(), set.images[0].normalized.as_str()),
        ("q/a", "docker.io/q/a:latest")
    );
    assert!(set.notes[0].text.contains("no tag"), "{:?}", set.notes);
    let set = set_of("a: 1\nsingleuser: {image: {name: x, name: q/a, tag: '1'}}").unwrap();
    assert_eq!((set.notes[0].source.as_str(), set.notes[0].line), ("name", 2));
    let set = set_of("services: {web: {image: x}}").unwrap();
    assert!(set.notes[0].text.contains("none of the keys"));
}

#[test]
fn ten_thousand_profiles_and_many_options_are_followed() {
    let profiles: Vec<String> = (0..10_000)
        .map(|n| format!("- {{display_name: p{n}, kubespawner_override: {{image: 'q/p:{n}', node_selector: {{n: '{}'}}}}}}", n % 7))
        .collect();
    let set = set_of(&format!("singleuser:\n  profileList:\n  {}\n", profiles.join("\n  "))).unwrap();
    assert_eq!((set.images.len(), set.groups.len()), (10_002, 7));

    // 9 options of 9 choices: as many places as nobody has, so each choice is read by itself and that is said.
    let option = |o: usize| {
        let choices: Vec<String> = (0..9)
            .map(|c| format!("c{c}: {{kubespawner_override: {{node_selector: {{o{o}: '{c}'}}}}}}"))
            .collect();
        format!("o{o}: {{choices: {{{}}}}}", choices.join(", "))
    };
    let options: Vec<String> = (0..9).map(option).collect();
    let set = set_of(&format!(
        "singleuser: {{profileList: [{{slug: s, profile_options: {{{}}}}}]}}",
        options.join(", ")
    ))
    .unwrap();
    assert!(set.unknown[0].reason.starts_with("more than 20000 combinations"), "{:?}", set.unknown);
    assert_eq!(set.groups.len(), 82);

    // Options that say nothing about images or places cost nothing.
    let option = |o: usize| {
        let choices: Vec<String> =
            (0..9).map(|c| format!("c{c}: {{kubespawner_override: {{cpu_limit: {c}}}}}")).collect();
        format!("o{o}: {{choices: {{{}}}}}", choices.join(", "))
    };
    let options: Vec<String> = (0..50).map(option).collect();
    let set = set_of(&format!(
        "singleuser: {{profileList: [{{slug: s, profile_options: {{{}}}}}]}}",
        options.join(", ")
    ))
    .unwrap();
    assert_eq!((set.unknown.len(), set.groups.len()), (0, 1));
}

/// A line doubles what the one before wrote: no code means that, and it must not take the machine's memory.
#[test]
fn code_that_doubles_its_values_ends() {
    for (first, next) in
        [("x = ['q']", "x = x + x"), ("x = 'q'", "x = x + x"), ("x = ['q']", "x = [x, x, x]")]
    {
        let code = format!("{first}\n{}c.KubeSpawner.profile_list = x\n", format!("{next}\n").repeat(100));
        let values = serde_json::json!({"hub": {"extraConfig": {"a": code}}});
        assert_eq!(
            unknown(&values.to_string()),
            ["hub.extraConfig.a: profile_list replaced by code"],
            "{next}"
        );
    }
}
