//! Where Debian's archives are, on a system of a relative of Debian: Ubuntu's apt has no source of Debian's, but
//! python-apt brings a description of every distribution that it knows.

use super::text::Archive;

/// python-apt-common's, which every Ubuntu has.
pub const FILE: &str = "/usr/share/python-apt/templates/Debian.info";

/// The address of `archive` in such a description: stanzas of `Key: value`, the newest releases first.
pub fn site(text: &str, archive: Archive) -> Option<&str> {
    text.split("\n\n").find_map(|stanza| {
        let suite = field(stanza, "Suite")?;
        let wanted = match archive {
            Archive::Debian => !suite.contains(['-', '/']),
            Archive::Security => suite.ends_with("-security"),
        };
        field(stanza, "BaseURI").filter(|address| wanted && !address.is_empty())
    })
}

fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = "ChangelogURI: https://one.test/changelogs/%s\n\n\
        Suite: {series}\nRepositoryType: deb\nBaseURI: https://two.test/debian/\nX-Version: ge 12\n\n\
        Suite: {series}\nBaseURI: https://old.test/debian/\nX-Version: le 11\n\n\
        Suite: {series}/updates\nBaseURI: https://older.test/\n\n\
        Suite: {series}-security\nRepositoryType: deb\nBaseURI: https://three.test/\n\n\
        Suite: {series}-updates\nParentSuite: {series}\n";

    #[test]
    fn the_newest_stanza_of_an_archive_counts() {
        assert_eq!(site(DESCRIPTION, Archive::Debian), Some("https://two.test/debian/"));
        assert_eq!(site(DESCRIPTION, Archive::Security), Some("https://three.test/"));
        for other in ["", "Suite: {series}\n", "BaseURI: https://one.test/\n", "Suite: sid\nBaseURI:\n"] {
            assert_eq!(site(other, Archive::Debian), None, "{other}");
        }
    }
}
