//! All packages of one architecture that the suites offer, on the borrowed text of their indexes.

use super::control::{self, Paragraph};
use super::relation::{self, Relation};
use super::{platform, version};

/// One suite's offer for one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Name of the suite.
    pub suite: &'a str,
    /// False where packages are taken only on request.
    pub automatic: bool,
    /// The text of its Packages index, whole or distilled.
    pub text: &'a str,
}

/// A package of an index.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// Name.
    pub name: &'a str,
    /// Version.
    pub version: &'a str,
    /// Architecture.
    pub architecture: &'a str,
    /// `Provides`, as written.
    provides: &'a str,
    /// Which of the sources it is from.
    pub source: usize,
    /// Its paragraph.
    pub paragraph: Paragraph<'a>,
}

/// The offer of all suites. Numbers stand for packages.
pub struct Universe<'a> {
    sources: Vec<Source<'a>>,
    packages: Vec<Package<'a>>,
    /// Numbers of all packages, sorted by name; within a name in the order of the sources.
    by_name: Vec<usize>,
    /// Virtual names with the numbers of their providers, sorted.
    provided: Vec<(&'a str, usize)>,
}

impl<'a> Universe<'a> {
    /// Reads the indexes. The error is the reason, naming the suite and the line.
    pub fn new(sources: Vec<Source<'a>>) -> Result<Self, String> {
        let mut packages: Vec<Package<'a>> = Vec::new();
        for (source, offer) in sources.iter().enumerate() {
            for paragraph in control::paragraphs(offer.text) {
                let package = package(paragraph, source).ok_or_else(|| {
                    format!(
                        "{}: line {}: a package without name, version or architecture",
                        offer.suite, paragraph.line
                    )
                })?;
                packages.push(package);
            }
        }
        let mut by_name: Vec<usize> = (0..packages.len()).collect();
        by_name.sort_by_key(|i| packages[*i].name);
        for pair in by_name.windows(2) {
            let (a, b) = (&packages[pair[0]], &packages[pair[1]]);
            let same = a.name == b.name
                && a.version == b.version
                && a.source == b.source
                && a.architecture == b.architecture;
            if same && a.paragraph.get("SHA256") != b.paragraph.get("SHA256") {
                return Err(format!(
                    "{}: lines {} and {}: two different packages {} {}",
                    sources[a.source].suite, a.paragraph.line, b.paragraph.line, a.name, a.version
                ));
            }
        }
        let mut provided: Vec<(&str, usize)> = Vec::new();
        for (i, package) in packages.iter().enumerate().filter(|(_, p)| !p.provides.is_empty()) {
            provided.extend(relation::list(package.provides).unwrap_or_default().iter().map(|r| (r.name, i)));
        }
        provided.sort_unstable();
        Ok(Universe { sources, packages, by_name, provided })
    }

    /// The package with number `id`.
    pub fn package(&self, id: usize) -> &Package<'a> {
        &self.packages[id]
    }

    /// The source of the package with number `id`.
    pub fn source(&self, id: usize) -> &Source<'a> {
        &self.sources[self.packages[id].source]
    }

    /// All packages that are really called `name`.
    pub fn named(&self, name: &str) -> &[usize] {
        let start = self.by_name.partition_point(|i| self.packages[*i].name < name);
        let length = self.by_name[start..].partition_point(|i| self.packages[*i].name == name);
        &self.by_name[start..start + length]
    }

    /// All packages that provide `name`.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = usize> + '_ {
        let start = self.provided.partition_point(|(n, _)| *n < name);
        let length = self.provided[start..].partition_point(|(n, _)| *n == name);
        self.provided[start..start + length].iter().map(|(_, i)| *i)
    }

    /// The real names, each once, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        let mut last = None;
        self.by_name
            .iter()
            .map(|i| self.packages[*i].name)
            .filter(move |name| last.replace(*name) != Some(*name))
    }

    /// The names of the suites, for messages.
    pub fn suites(&self) -> String {
        let names: Vec<&str> = self.sources.iter().map(|s| s.suite).collect();
        names.join(", ")
    }

    /// Whether package `id` satisfies `relation`: by its name, or by what it provides. A versioned relation
    /// wants a versioned provision (policy, section 7.5).
    pub fn satisfies(&self, id: usize, relation: &Relation<'_>) -> bool {
        let package = &self.packages[id];
        self.qualifies(package, relation.qualifier) && self.matches(package, relation)
    }

    /// As [`Universe::satisfies`], whatever the architecture qualifier says: what `Conflicts` and `Breaks` ask.
    pub fn matches(&self, package: &Package<'_>, relation: &Relation<'_>) -> bool {
        if package.name == relation.name && relation.admits(package.version) {
            return true;
        }
        !package.provides.is_empty()
            && relation::list(package.provides).unwrap_or_default().iter().any(|provision| {
                provision.name == relation.name
                    && match (relation.limit, provision.limit) {
                        (None, _) => true,
                        (Some(_), Some((relation::Operator::Equal, version))) => relation.admits(version),
                        (Some(_), _) => false,
                    }
            })
    }

    /// Multi-Arch (deb-control(5)): `:any` is satisfied by a package that allows it; `:native` and the package's own
    /// architecture say nothing more; a foreign architecture is never there.
    fn qualifies(&self, package: &Package<'_>, qualifier: Option<&str>) -> bool {
        match qualifier {
            None | Some("native") => true,
            Some("any") => package.paragraph.get("Multi-Arch") == Some("allowed"),
            Some(other) => package.architecture == other || package.architecture == platform::ALL,
        }
    }
}

impl<'a> Package<'a> {
    /// The groups of relations that must hold for it to work.
    pub fn depends(&self) -> Result<Vec<Vec<Relation<'a>>>, String> {
        let mut groups = self.field("Pre-Depends", relation::groups)?;
        groups.extend(self.field("Depends", relation::groups)?);
        Ok(groups)
    }

    /// What it may not be with.
    pub fn conflicts(&self) -> Result<Vec<Relation<'a>>, String> {
        let mut all = self.field("Conflicts", relation::list)?;
        all.extend(self.field("Breaks", relation::list)?);
        Ok(all)
    }

    /// How much the archive thinks of it: 0 (required) to 4 (extra). Orders the providers of a virtual name.
    pub fn priority(&self) -> usize {
        let order = ["required", "important", "standard", "optional"];
        let priority = self.paragraph.get("Priority").unwrap_or("optional");
        order.iter().position(|p| *p == priority).unwrap_or(order.len())
    }

    fn field<T>(
        &self,
        name: &str,
        read: impl Fn(&'a str) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, String> {
        let field = self.paragraph.fields().find(|f| f.name.eq_ignore_ascii_case(name));
        let value = field.map_or("", control::Field::whole);
        read(value).map_err(|e| format!("{} {}: {name}: {e}", self.name, self.version))
    }
}

fn package(paragraph: Paragraph<'_>, source: usize) -> Option<Package<'_>> {
    let (mut name, mut version, mut architecture, mut provides) = ("", "", "", "");
    for field in paragraph.fields() {
        match field.name {
            "Package" => name = field.value(),
            "Version" => version = field.value(),
            "Architecture" => architecture = field.value(),
            "Provides" => provides = field.whole(),
            _ => {}
        }
    }
    let whole = relation::is_name(name) && version::is_version(version) && !architecture.is_empty();
    whole.then_some(Package { name, version, architecture, provides, source, paragraph })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: b\nVersion: 1\nArchitecture: amd64\nProvides: v (= 2), w\n\n\
        Package: a\nVersion: 1\nArchitecture: amd64\nMulti-Arch: allowed\nDepends: b (>= 1), c | d\nPre-Depends: e\n\n\
        Package: a\nVersion: 2\nArchitecture: all\n";

    fn universe(text: &str) -> Result<Universe<'_>, String> {
        Universe::new(vec![Source { suite: "trixie", automatic: true, text }])
    }

    #[test]
    fn finds_names_and_providers() {
        let all = universe(TEXT).unwrap();
        assert_eq!(all.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(all.named("a"), [1, 2]);
        assert_eq!(all.named("aa"), [0usize; 0]);
        assert_eq!(all.providers("w").collect::<Vec<_>>(), [0]);
        let groups = all.package(1).depends().unwrap();
        assert_eq!(groups.iter().map(|g| g[0].name).collect::<Vec<_>>(), ["e", "b", "c"]);
    }

    #[test]
    fn satisfies_by_name_provision_and_qualifier() {
        let all = universe(TEXT).unwrap();
        for (id, relation, expected) in [
            (0, "b (>= 1)", true),
            (0, "b (>> 1)", false),
            (0, "v (>= 2)", true),
            (0, "v (>= 3)", false),
            (0, "w", true),
            (0, "w (>= 0)", false),
            (0, "b:any", false),
            (1, "a:any", true),
            (1, "a:native", true),
            (1, "a:amd64", true),
            (1, "a:arm64", false),
            (2, "a:arm64", true),
        ] {
            let relation = relation::list(relation).unwrap()[0];
            assert_eq!(all.satisfies(id, &relation), expected, "{relation}");
        }
    }

    #[test]
    fn refuses_a_broken_or_ambiguous_index() {
        for (text, says) in [
            ("Package: a\nVersion: 1\n", "trixie: line 1: a package without"),
            ("Package: ../a\nVersion: 1\nArchitecture: all\n", "a package without"),
            ("Package: a\nVersion: 1/2\nArchitecture: all\n", "a package without"),
            (
                "Package: a\nVersion: 1\nArchitecture: all\nSHA256: x\n\nPackage: a\nVersion: 1\nArchitecture: all\nSHA256: y\n",
                "trixie: lines 1 and 6: two different packages a 1",
            ),
        ] {
            let reason = universe(text).err().unwrap();
            assert!(reason.contains(says), "{reason}");
        }
        let twice = "Package: a\nVersion: 1\nArchitecture: all\nSHA256: x\n\n".repeat(2);
        assert!(universe(&twice).is_ok(), "the same package twice is harmless");
    }
}
