//! No cluster to speak to: what KUBECONFIG names is missing, or is no kubeconfig.

use perijove_testkit::program::Program;

use crate::PERIJOVE;

/// A kubeconfig whose only cluster and user have these fields.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn a_kubeconfig_that_is_missing_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let at_home = folder.path().join(".kube/config").display().to_string();
    let server = "server: 'https://127.0.0.1:9'";
    let cases = [
        ("missing", None, "cannot read missing: No such file or directory"),
        ("", None, &*format!("cannot read {at_home}: No such file or directory")),
        (".", None, "cannot read .: Is a directory"),
        ("open", Some("{".to_owned()), "open: failed to parse kubeconfig YAML: "),
        ("text", Some("just text".to_owned()), "text: failed to parse kubeconfig YAML: "),
        ("empty", Some(String::new()), "empty: failed to determine current context"),
        (
            "context",
            Some("current-context: none\n".to_owned()),
            "context: failed to load current context: none",
        ),
        // What the file says on its lines is nobody's business: the next may be a token.
        (
            "token",
            Some("users:\n- name: u\n  user:\n    token: s3cret\n    x: [\n".to_owned()),
            "token: failed to parse",
        ),
        (
            "list",
            Some("users:\n- name: u\n  user:\n    token: [s3cret]\n".to_owned()),
            "list: failed to parse",
        ),
        ("url", Some(kubeconfig("server: 'no url'", "")), "url: failed to parse cluster url"),
        (
            "authority",
            Some(kubeconfig(&format!("{server}, certificate-authority: none.crt"), "")),
            "authority: failed to load certificate authority: ",
        ),
        ("login", Some(kubeconfig(server, "tokenFile: none.token")), "failed to read token file"),
    ];
    for (name, text, says) in cases {
        if let Some(text) = text {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let puller = ["await", "--namespace", "hub", "--selector", "a=b", "--deadline", "5s"];
        for command in [&puller[..], &["warm", "--image", "q/lab:1"]] {
            let program = Program::new(PERIJOVE, folder.path(), folder.path()).env("KUBECONFIG", name);
            let ran = program.args(command.iter().copied()).run();
            let lines: Vec<&str> = ran.stderr.lines().collect();
            assert_eq!((ran.code, lines.len()), (Some(2), 2), "{name} {command:?}: {}", ran.stderr);
            assert!(lines[0].starts_with("error: no cluster: "), "{name} {command:?}: {}", ran.stderr);
            assert!(lines[0].contains(says), "{name} {command:?}: {}", ran.stderr);
            assert!(lines[1].starts_with("hint: set KUBECONFIG"), "{name} {command:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains("s3cret"), "{name} {command:?}: {}", ran.stderr);
        }
    }
}
