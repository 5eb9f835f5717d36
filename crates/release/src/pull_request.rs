//! Images of pull requests: `X.Y.Z-N.pr7` in a staging registry, where no alias moves and nothing stays after the
//! pull request is closed.

use perijove_oci::client::{Client, Deleted};
use perijove_oci::content::ImageContent;
use perijove_oci::{Reference, push};
use serde::Serialize;

use crate::Result;
use crate::record::Repository;

/// The tag of a pull request's image that would get the build's tag `build` if it were merged now.
pub fn tag(build: &str, number: u64) -> String {
    format!("{build}.pr{number}")
}

/// Those of `names` that are tags of pull request `number`.
pub fn tags_of<'n>(names: impl IntoIterator<Item = &'n str>, number: u64) -> Vec<&'n str> {
    let ours = |name: &&str| {
        let build = name.strip_suffix(&format!(".pr{number}"));
        let digits = build.and_then(|build| build.rsplit_once('-')).map(|(_, digits)| digits);
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    names.into_iter().filter(ours).collect()
}

/// A tag that went, or could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Registry, repository and tag.
    pub reference: String,
    /// Whether it is gone.
    pub removed: bool,
}

/// Pushes an image under `tag`, and then removes the older tags of the same pull request. What could not be removed
/// is left to `close`: the error is the second value.
pub async fn push(
    client: &Client,
    repo: &Reference,
    content: &ImageContent,
    tag: &str,
    number: u64,
) -> Result<(Repository, Option<crate::Error>)> {
    let tags = [tag.to_owned()];
    let report = client.push_image(repo, content, &tags, &[], push::PARALLEL).await?;
    let pushed = Repository { repository: repo.name(), referee: None, pushed_bytes: report.pushed_bytes };
    let older = remove(client, repo, number, Some(tag)).await;
    Ok((pushed, older.err()))
}

/// Removes all tags of the pull request from a repository. Done again, it finds nothing.
pub async fn close(client: &Client, repo: &Reference, number: u64) -> Result<Vec<Removed>> {
    remove(client, repo, number, None).await
}

/// All tags of the pull request in a repository: what [`close`] would remove.
pub async fn there(client: &Client, repo: &Reference, number: u64) -> Result<Vec<String>> {
    let names = client.tags(repo).await?;
    let ours = tags_of(names.iter().map(String::as_str), number);
    Ok(ours.into_iter().map(str::to_owned).collect())
}

async fn remove(client: &Client, repo: &Reference, number: u64, but: Option<&str>) -> Result<Vec<Removed>> {
    let mut going = there(client, repo, number).await?;
    going.retain(|tag| Some(tag.as_str()) != but);
    let how = client.delete_tags(repo, &going).await?;
    let removed = |(tag, how): (&String, Deleted)| Removed {
        reference: repo.with_tag(tag).to_string(),
        removed: how != Deleted::Shared,
    };
    Ok(going.iter().zip(how).map(removed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_one_pull_request() {
        let names = [
            "5.3.0-1.pr7",
            "5.3.0-12.pr7",
            "5.3.0-1.pr77",
            "5.3.0-1.pr17",
            "5.3.0-1",
            "pr7",
            "x.pr7",
            "-.pr7",
            "5.3.0rc1-0.pr7",
            "latest",
        ];
        assert_eq!(tags_of(names, 7), ["5.3.0-1.pr7", "5.3.0-12.pr7", "5.3.0rc1-0.pr7"]);
        assert_eq!(tag("5.3.0-1", 7), "5.3.0-1.pr7");
        assert_eq!(tags_of([tag("5.3.0-1", 8).as_str()], 8), ["5.3.0-1.pr8"]);
        assert_eq!(tags_of(names, 5), [""; 0]);
    }

    /// Should such a tag get into a release's repository, it counts for no number and for no alias.
    #[test]
    fn no_rule_takes_them_for_a_build() {
        let names = ["5.3.0-4.pr7"];
        assert_eq!(perijove_tags::release("5.3.0", names).unwrap()[0], "5.3.0-0");
        assert_eq!(perijove_tags::aliases("5.3.0-0", names).unwrap().last().unwrap(), "latest");
    }
}
