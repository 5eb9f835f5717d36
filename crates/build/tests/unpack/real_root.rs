//! A root of Debian packages and our effects alone, in which Python runs.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use perijove_build::entry::{Entry, Kind, Sink};
use perijove_build::unpack::{DebianImage, User, ca_bundle, deb, debian_effects};
use perijove_build::{Error, Result};

use crate::tools::{file_name, or_skip, run, with_ending};

/// Writes entries below a folder, following links inside it as a runtime does.
struct Disk(PathBuf);

impl Sink for Disk {
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
        let at = self.0.join(&entry.path);
        let done = match &entry.kind {
            Kind::Directory => fs::create_dir_all(&at),
            Kind::File { .. } => {
                fs::File::create(&at).and_then(|mut f| std::io::copy(content, &mut f).map(drop))
            }
            Kind::Symlink { target } => symlink(target, &at),
            Kind::Hardlink { target } => fs::hard_link(self.0.join(target), &at),
        };
        done.map_err(Error::io(&at))?;
        if !matches!(entry.kind, Kind::Symlink { .. }) {
            fs::set_permissions(&at, fs::Permissions::from_mode(entry.mode)).map_err(Error::io(&at))?;
        }
        Ok(())
    }
}

/// The packages that those asked for need (apt resolves them for a machine that has none), without what only
/// maintainer scripts need.
fn closure(asked: &[&str], folder: &Path) -> std::result::Result<Vec<String>, String> {
    let status = folder.join("status");
    fs::write(&status, "").map_err(|e| e.to_string())?;
    let status = format!("Dir::State::status={}", status.display());
    // Without its cache files, which must go on to tell of the real machine.
    let no_cache = ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", &status];
    let resolve =
        [&["install", "--print-uris", "-y", "-qq", "--no-install-recommends"], &no_cache[..]].concat();
    let text = run("apt-get", &[&resolve[..], asked].concat(), folder)?;
    // 'address' name_version_architecture.deb size checksum
    let names = text.lines().filter_map(|line| line.split(' ').nth(1)?.split('_').next());
    let scripts_only =
        |name: &str| ["debconf", "perl", "dpkg", "openssl"].iter().any(|p| name.starts_with(p));
    Ok(names.filter(|name| !scripts_only(name)).map(str::to_owned).collect())
}

#[test]
fn python_runs_in_a_root_without_maintainer_scripts() {
    let test = "python_runs_in_a_root_without_maintainer_scripts";
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        or_skip::<()>(test, Err("only root may chroot".to_owned()));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let asked = ["python3", "ca-certificates", "tini", "tzdata", "dash", "mawk", "base-files", "netbase"];
    let fetched = closure(&asked, folder.path()).and_then(|names| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        run("apt-get", &[&["download", "-q"], &names[..]].concat(), folder.path())
    });
    if or_skip(test, fetched).is_none() {
        return;
    }

    let root = folder.path().join("root");
    let mut disk = Disk(root.clone());
    let (mut packages, mut bundle, mut architecture) = (Vec::new(), None, String::new());
    for archive in with_ending(folder.path(), ".deb") {
        let control = deb(&archive, file_name(&archive), &mut disk).unwrap();
        if control.package == "ca-certificates" {
            bundle = Some(ca_bundle(&archive, "ca-certificates").unwrap());
        }
        if control.package == "libc6" {
            architecture = control.architecture;
        }
        packages.push(control.package);
    }
    let users =
        [User { name: "jovyan".into(), uid: 1000, gid: 1000, home: "/srv/jupyterhub".into(), shell: None }];
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let image = DebianImage {
        architecture: &architecture,
        packages: &packages,
        users: &users,
        ca_bundle: bundle.as_deref(),
    };
    for effect in debian_effects(&image).unwrap() {
        disk.entry(effect.entry, &mut effect.content.as_slice()).unwrap();
    }

    let program = "import grp, os, pwd, socket, sqlite3, ssl, subprocess, sys\n\
        print(len(ssl.create_default_context().get_ca_certs()) > 100)\n\
        print(pwd.getpwuid(1000).pw_name, grp.getgrgid(42).gr_name)\n\
        print(socket.getservbyname('https'), '127.0.0.1' in {a[4][0] for a in socket.getaddrinfo('localhost', 80)})\n\
        print(subprocess.check_output(['sh', '-c', 'awk \"BEGIN { print 6 * 7 }\"'], text=True).strip())\n\
        print(os.path.realpath('/var/run'), os.path.realpath('/etc/localtime'))\n";
    let said = run(
        "chroot",
        &[root.to_str().unwrap(), "/usr/bin/tini", "--", "/usr/bin/python3", "-c", program],
        folder.path(),
    );
    let said = said.unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        ["True", "jovyan shadow", "443 True", "42", "/run /usr/share/zoneinfo/Etc/UTC"],
        "{said}"
    );
}
