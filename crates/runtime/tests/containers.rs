//! The built-in runtime as root and as an ordinary user, and runc, through a program of their own.

// Helpers of tests, too.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use perijove_oci::Config;
use support::*;

const NO_BUSYBOX: &str = "no static busybox (Debian: busybox-static)";

fn image(test: &str, place: &Place, config: Config) -> Option<Layout> {
    let layout = busybox(&place.folder.path().join("image"), config, &[]);
    if layout.is_none() {
        skip(test, NO_BUSYBOX);
    }
    layout
}

fn sh(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}

#[test]
fn identity_environment_and_folder_are_the_configurations() {
    let place = Place::new();
    let config = Config {
        user: Some("hub".to_owned()),
        env: vec!["GREETING=hello".to_owned(), "PATH=/bin".to_owned()],
        working_dir: Some("/srv/made/here".to_owned()),
        entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned()]),
        cmd: Some(vec!["id -u; id -g; pwd; echo $GREETING $HOME; hostname; umask".to_owned()]),
        ..Config::default()
    };
    let Some(layout) = image("identity_environment_and_folder", &place, config) else { return };
    for way in ways("identity_environment_and_folder_are_the_configurations") {
        let out = place.run(way, &layout, &[], &[]);
        assert_eq!(
            text(&out.stdout),
            "1000\n1000\n/srv/made/here\nhello /home/hub\nperijove\n0022\n",
            "{way:?} {}",
            text(&out.stderr)
        );
        let arguments = ["--user", "7:8", "--env", "GREETING=bye", "--workdir", "/srv"];
        let out = place.run(way, &layout, &arguments, &["id -u; id -g; pwd; echo $GREETING; cat index.html"]);
        assert_eq!(text(&out.stdout), "7\n8\n/srv\nbye\nhello\n", "{way:?} {}", text(&out.stderr));
        let out = place.run(way, &layout, &["--user", "nobody-here"], &["true"]);
        assert_eq!(out.status.code(), Some(125), "{way:?}");
        assert!(text(&out.stderr).contains("has no user `nobody-here`"), "{}", text(&out.stderr));
    }
}

#[test]
fn further_groups_are_set_where_root_can() {
    let place = Place::new();
    let Some(layout) = image("further_groups", &place, Config::default()) else { return };
    if !is_root() {
        return skip("further_groups_are_set_where_root_can", "not root");
    }
    let out =
        place.run(Way { who: Who::Me, runtime: "builtin" }, &layout, &["--user", "hub"], &["/bin/id", "-G"]);
    assert_eq!(text(&out.stdout), "1000 50\n", "{}", text(&out.stderr));
}

#[test]
fn exit_codes_and_signals_are_passed_on() {
    let place = Place::new();
    let Some(layout) = image("exit_codes_and_signals", &place, Config::default()) else { return };
    for way in ways("exit_codes_and_signals_are_passed_on") {
        let out = place.run(way, &layout, &[], &sh("echo out; echo err >&2; exit 42"));
        assert_eq!(out.status.code(), Some(42), "{way:?}");
        assert_eq!(text(&out.stdout), "out\n");
        assert!(text(&out.stderr).ends_with("err\n"), "{}", text(&out.stderr));
        let out = place.run(way, &layout, &[], &sh("sh -c 'kill -USR1 $$'; exit $?"));
        assert_eq!(out.status.code(), Some(128 + 10), "{way:?} {}", text(&out.stderr));
        if way.runtime == "builtin" {
            let out = place.run(way, &layout, &[], &sh("kill -USR1 $$"));
            assert!(text(&out.stderr).ends_with("note: ended by signal 10\n"), "{}", text(&out.stderr));
        }
    }
}

#[test]
fn what_cannot_run_is_named() {
    let place = Place::new();
    let Some(layout) = image("what_cannot_run_is_named", &place, Config::default()) else { return };
    let table: &[(&[&str], &str)] = &[
        (&["no-such-program"], "the image has no program `no-such-program` in PATH="),
        (&["/no/such/program"], "the image has no program /no/such/program"),
        (&["/etc/passwd"], "/etc/passwd: Permission denied"),
        (&["/etc"], "/etc: Permission denied"),
        (&[], "neither the image nor the caller names a command"),
    ];
    for way in builtin() {
        for (command, want) in table {
            let out = place.run(way, &layout, &[], command);
            let stderr = text(&out.stderr);
            assert_eq!(out.status.code(), Some(125), "{way:?} {command:?} {stderr}");
            assert!(stderr.contains(want), "{way:?} {command:?}: {stderr}");
        }
    }
}

#[test]
fn the_image_is_never_changed() {
    let place = Place::new();
    let Some(layout) = image("the_image_is_never_changed", &place, Config::default()) else { return };
    let script = "ls /srv; echo changed > /srv/index.html && rm -r /home && mkdir /home && touch /home/new && mv /srv /srv2 && cat /srv2/index.html; ls /home";
    for way in ways("the_image_is_never_changed") {
        for round in 1..=2 {
            let out = place.run(way, &layout, &["--user", "0"], &sh(script));
            assert_eq!(
                text(&out.stdout),
                "index.html\nchanged\nnew\n",
                "{way:?} {round} {}",
                text(&out.stderr)
            );
            assert!(!text(&out.stderr).contains("no overlay"), "{}", text(&out.stderr));
        }
    }
}

#[test]
fn without_an_overlay_it_is_a_copy() {
    let place = Place::new();
    let Some(layout) = image("without_an_overlay_it_is_a_copy", &place, Config::default()) else { return };
    let script = "stat -c '%a %u %Y' /srv /srv/index.html /home/hub-file; ls -l /bin/sh | grep -c busybox; \
                  echo changed > /srv/index.html; cat /srv/index.html; ls /proc/self/fd > /dev/null";
    for way in ways("without_an_overlay_it_is_a_copy") {
        // With one user, files of others are that user's.
        let hub = if way.who == Who::Me && is_root() { "1000" } else { "0" };
        let want = format!("755 0 1600000000\n644 0 1600000000\n644 {hub} 1600000000\n1\nchanged\n");
        for _ in 1..=2 {
            let out = place.run(way, &layout, &["--no-overlay", "--user", "0"], &sh(script));
            assert_eq!(text(&out.stdout), want, "{way:?} {}", text(&out.stderr));
            assert!(text(&out.stderr).contains("runs in a copy of the image in memory"));
        }
    }
}

#[test]
fn the_container_sees_nothing_of_the_machine() {
    let place = Place::new();
    let Some(layout) = image("the_container_sees_nothing", &place, Config::default()) else { return };
    // No capability (an ordinary user's), no way to new ones, its own processes only (the reaper, the shell,
    // the listing), no terminal, no inherited files (0, 1, 2, the listing's own; 10 is the shell's), nothing of /proc/sys to write.
    let script = "grep -E '^(CapPrm|CapBnd|NoNewPrivs)' /proc/self/status; ls /proc > /tmp/p; grep -c '^[0-9]' /tmp/p; ls /proc/self/fd > /tmp/f; grep -cv '^10$' /tmp/f; \
                  tty < /dev/tty; echo 1 > /proc/sys/kernel/printk; cat /proc/1/environ; ls /proc/1/exe -l; ls /sys/class/net 2>/dev/null; mount -t tmpfs x /srv";
    for way in builtin() {
        let out = place.run(way, &layout, &["--user", "1000", "--own-network"], &sh(script));
        let stdout = text(&out.stdout);
        let lines: Vec<&str> = stdout.lines().collect();
        let want = ["CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "3", "4"];
        assert_eq!(lines[..5], want, "{way:?} {stdout} {}", text(&out.stderr));
        assert!(!out.status.success());
    }
}

#[test]
fn bind_mounts_and_writable_folders() {
    let place = Place::new();
    let Some(layout) = image("bind_mounts_and_writable_folders", &place, Config::default()) else { return };
    for way in ways("bind_mounts_and_writable_folders") {
        let shared = place.cache(way.who).join("shared");
        fs::create_dir_all(&shared).unwrap();
        fs::write(shared.join("file"), "from outside\n").unwrap();
        if way.who == Who::Ordinary {
            std::os::unix::fs::chown(&shared, Some(4321), Some(4321)).unwrap();
        }
        let (rw, ro) =
            (format!("{}:/data/rw", shared.display()), format!("{}:/data/ro:ro", shared.display()));
        let one = format!("{}:/etc/one:ro", shared.join("file").display());
        let arguments =
            ["--user", "0", "--bind", &rw, "--bind", &ro, "--bind", &one, "--writable", "/srv/state"];
        let script = "cat /data/ro/file /etc/one; echo back > /data/rw/back; touch /srv/state/x && echo made; touch /data/ro/y";
        let out = place.run(way, &layout, &arguments, &sh(script));
        assert_eq!(text(&out.stdout), "from outside\nfrom outside\nmade\n", "{way:?} {}", text(&out.stderr));
        assert!(text(&out.stderr).contains("/data/ro/y: Read-only file system"), "{}", text(&out.stderr));
        assert_eq!(fs::read_to_string(shared.join("back")).unwrap(), "back\n");
        fs::remove_dir_all(&shared).unwrap();
    }
}

#[test]
fn orphans_are_reaped() {
    let place = Place::new();
    let Some(layout) = image("orphans_are_reaped", &place, Config::default()) else { return };
    // Children of pid 1 alone: the shell waits for its own when it likes.
    let script = "(setsid true &); (setsid true &); i=0; \
                  while ps -o ppid,stat | grep -q '^ *1 *Z' && [ $i -lt 400 ]; do sleep 0.05; i=$((i + 1)); done; \
                  ps -o ppid,stat | grep -q '^ *1 *[A-Z]' && [ $i -lt 400 ] && echo reaped";
    for way in builtin() {
        let out = place.run(way, &layout, &[], &sh(script));
        assert_eq!(text(&out.stdout), "reaped\n", "{way:?} {}", text(&out.stderr));
    }
}

/// A container that has said that it is up, and a mark by which its processes are found.
fn up(place: &Place, way: Way, layout: &Layout, mark: &str) -> Child {
    let script = format!(
        "trap 'echo ending; exit 3' TERM; (sleep {mark} & setsid sleep {mark} &); echo up; while true; do sleep 0.05; done"
    );
    let mut child = place
        .command(way, layout, &["--own-network", "--writable", "/srv/state"], &sh(&script))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    child
}

/// Processes with `mark` in their arguments, and mounts below `folder` in any process's view.
fn remains(mark: &str, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(mark) && !line.is_empty() {
            found.push(line);
        }
        let mounts = fs::read_to_string(path.join("mounts")).unwrap_or_default();
        found.extend(mounts.lines().filter(|l| l.contains(folder)).map(ToOwned::to_owned));
    }
    found
}

fn nothing_remains(place: &Place, mark: &str) {
    let folder = place.folder.path().to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = remains(mark, folder);
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "left: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // On the disk: the unpacked image, its lock, and nothing else.
    for cache in ["cache-Me", "cache-Ordinary"] {
        let Ok(rootfs) = fs::read_dir(place.folder.path().join(cache).join("rootfs")) else { continue };
        let names: Vec<_> = rootfs.flatten().map(|e| e.file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for kept in names.iter().filter(|n| !n.ends_with(".lock")) {
            let mount = place.folder.path().join(cache).join("rootfs").join(kept).join("mount");
            assert_eq!(fs::read_dir(mount).unwrap().count(), 0);
        }
    }
}

fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Cgroups that runc made for a caller with this number.
fn cgroups(folder: &std::path::Path, caller: u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if entry.file_name().to_string_lossy().starts_with(&format!("perijove-{caller}-")) {
                found.push(entry.path().display().to_string());
            }
            cgroups(&entry.path(), caller, found);
        }
    }
}

fn no_cgroup_remains(caller: u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut found = Vec::new();
        cgroups(std::path::Path::new("/sys/fs/cgroup"), caller, &mut found);
        if found.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "left: {found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_ends_in_order_and_leaves_nothing() {
    let place = Place::new();
    let Some(layout) = image("ctrl_c_ends_in_order", &place, Config::default()) else { return };
    for (way, mark) in
        ways("ctrl_c_ends_in_order_and_leaves_nothing").into_iter().zip(["86311", "86312", "86313"])
    {
        let mut child = up(&place, way, &layout, mark);
        assert!(!remains(mark, "/no/folder").is_empty());
        send(&child, rustix::process::Signal::INT);
        // The command's own trap ran: SIGTERM reached it.
        assert_eq!(child.wait().unwrap().code(), Some(3), "{way:?}");
        nothing_remains(&place, mark);
        no_cgroup_remains(child.id());
    }
}

#[test]
fn a_killed_caller_leaves_nothing() {
    let place = Place::new();
    let Some(layout) = image("a_killed_caller_leaves_nothing", &place, Config::default()) else { return };
    for (way, mark) in ways("a_killed_caller_leaves_nothing").into_iter().zip(["86321", "86322", "86323"]) {
        let mut child = up(&place, way, &layout, mark);
        child.kill().unwrap();
        child.wait().unwrap();
        nothing_remains(&place, mark);
        no_cgroup_remains(child.id());
    }
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    let place = Place::new();
    let Some(layout) = image("a_killed_supervisor_leaves_nothing", &place, Config::default()) else { return };
    for (way, mark) in ways("a_killed_supervisor_leaves_nothing").into_iter().zip(["86331", "86332", "86333"])
    {
        let mut child = up(&place, way, &layout, mark);
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let all = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
        let children: Vec<String> = all
            .map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default())
            .flat_map(|line| line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
            .into_iter()
            .chain(fs::read_to_string(children).ok().filter(String::is_empty))
            .collect();
        for pid in children.iter().filter_map(|c| c.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
            // Already killed as another thread's child.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        assert_eq!(child.wait().unwrap().code(), Some(125), "{way:?}");
        nothing_remains(&place, mark);
    }
}
