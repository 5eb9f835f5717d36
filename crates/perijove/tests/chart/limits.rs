//! Large values render.

use crate::scene::{Scene, hook_sets, pod};

#[test]
fn ten_thousand_profiles_render() {
    let Some(scene) = Scene::new("ten_thousand_profiles_render") else { return };
    let profile = |number: usize| {
        format!(
            "{{kubespawner_override: {{image: 'quay.io/team/lab{number}:1', node_selector: {{pool: p{}}}}}}}",
            number % 5
        )
    };
    let profiles: Vec<String> = (0..10_000).map(profile).collect();
    let values = format!("singleuser: {{profileList: [{}]}}", profiles.join(", "));
    let started = std::time::Instant::now();
    let objects = scene.render(&[&values], &["--set", "perijove.continuous.enabled=false"]);
    let images: usize =
        hook_sets(&objects).iter().map(|set| pod(set).unwrap()["containers"].as_array().unwrap().len()).sum();
    println!("10,000 profiles: {:.1} s", started.elapsed().as_secs_f64());
    // Network tools in each of the five groups.
    assert_eq!(images, 10_005);
}

/// Twenty images by ten sizes by three zones: as many places and images, not as many pods.
#[test]
fn many_options_are_few_groups() {
    let Some(scene) = Scene::new("many_options_are_few_groups") else { return };
    let choices = |name: &str, count: usize, value: &dyn Fn(usize) -> String| {
        let all: Vec<String> =
            (0..count).map(|n| format!("c{n}: {{kubespawner_override: {{{}}}}}", value(n))).collect();
        format!("{name}: {{choices: {{{}}}}}", all.join(", "))
    };
    let values = format!(
        "singleuser: {{profileList: [{{profile_options: {{{}, {}, {}}}}}]}}",
        choices("a", 20, &|n| format!("image: 'a/b:{n}'")),
        choices("b", 10, &|n| format!("node_selector: {{size: s{n}}}")),
        choices("c", 3, &|n| format!("node_selector: {{zone: z{n}}}")),
    );
    let differences =
        crate::equality::differences(&scene, &[&values], &["--set", "perijove.continuous.enabled=false"]);
    assert!(differences.is_none(), "{}", differences.unwrap());
}
