//! Registries that refuse to overwrite a tag, each in its own words: the release takes the next number.

use std::sync::atomic::{AtomicBool, Ordering};

use perijove_release::referee::TABLE;
use perijove_testkit::front::{Front, Say};
use perijove_testkit::registry::Registry;
use perijove_testkit::web::Answer;

use crate::scene::{Site, images, repository, somebody_releases};

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    Answer { status, ..Answer::ok("application/json", body.to_string()) }
}

#[test]
fn each_refusal_of_the_table_is_a_lost_race() {
    for row in TABLE {
        let registry = Registry::start(crate::PERIJOVE);
        let (address, lost) = (registry.address.clone(), AtomicBool::new(false));
        let front = Front::of(&registry.address, move |asked| {
            let ours = asked.method == "PUT"
                && asked.path.contains("/hub/manifests/")
                && asked.path.contains("5.3.0-0");
            if !ours {
                return Say::Pass;
            }
            if !lost.swap(true, Ordering::SeqCst) {
                somebody_releases(&address, "hub", "5.3.0-0");
            }
            let message = format!("the tag '5.3.0-0' {}", row.says);
            Say::Answer(refusal(row.status, row.code.unwrap_or("DENIED"), &message))
        });
        let site = Site::of(&[&front.address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.release(&repository, "c1");
        let all = images(&ran);
        let shown = |at: usize| {
            (all[at]["tag"].as_str().unwrap(), all[at]["repositories"][0]["referee"].as_str().unwrap())
        };
        assert_eq!((shown(0), shown(1)), (("5.3.0-1", "registry"), ("4.5.0-1", "checked")), "{}", row.who);
        assert_eq!(site.aliases("0 hub")["latest"], "5.3.0-1", "{}", row.who);
        assert_ne!(site.tags()["0 hub"]["5.3.0-0"], all[0]["digest"].as_str().unwrap(), "{}", row.who);
    }
}

#[test]
fn any_other_refusal_is_an_error() {
    for (status, code, message) in [
        (403, "DENIED", "requested access to the resource is denied"),
        (400, "MANIFEST_INVALID", "manifest invalid"),
        (412, "PROJECTPOLICYVIOLATION", "current image has vulnerabilities"),
    ] {
        let registry = Registry::start(crate::PERIJOVE);
        let front = Front::of(&registry.address, move |asked| {
            let claims = asked.method == "PUT" && asked.path.contains("5.3.0-0");
            if claims { Say::Answer(refusal(status, code, message)) } else { Say::Pass }
        });
        let site = Site::of(&[&front.address]);
        let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{message}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("the registry answered {status} {code}: {message}")),
            "{}",
            ran.stderr
        );
        assert!(site.tags().values().all(std::collections::BTreeMap::is_empty), "{message}");
    }
}
