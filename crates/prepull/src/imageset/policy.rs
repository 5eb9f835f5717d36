//! Which pull policy counts where the uses of an image differ.

/// The pull policies that the uses of an image say.
#[derive(Default)]
pub struct Policies {
    /// The strictest of them.
    said: Option<String>,
    /// Whether a use leaves it to Kubernetes.
    unsaid: bool,
}

impl Policies {
    /// From the strictest to none that Kubernetes knows.
    fn rank(policy: &str) -> usize {
        let known = ["Always", "IfNotPresent", "Never"];
        known.iter().position(|known| *known == policy).unwrap_or(known.len())
    }

    /// A use of the image, and the policy that it says.
    pub fn add(&mut self, policy: Option<&str>) {
        match (policy, self.said.as_deref()) {
            (None, _) => self.unsaid = true,
            (Some(policy), Some(said)) if Self::rank(policy) >= Self::rank(said) => {}
            (Some(policy), _) => self.said = Some(policy.to_owned()),
        }
    }

    /// The strictest one; none where no use says one. Where others leave it to Kubernetes, its own default counts
    /// with theirs: a puller with `Never` alone would fail where a user's pod pulls.
    pub fn strictest(self, normalized: &str) -> Option<String> {
        let said = self.said?;
        // `SetDefaults_Container`: by the tag, whether or not there is a digest behind it.
        let name = normalized.split('@').next().unwrap_or(normalized);
        let default = if name.ends_with(":latest") { "Always" } else { "IfNotPresent" };
        match self.unsaid && Self::rank(default) < Self::rank(&said) {
            true => Some(default.to_owned()),
            false => Some(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_policy_counts() {
        let (fixed, latest) = ("docker.io/q/a:1", "docker.io/q/a:latest");
        let (both, digest) = ("docker.io/q/a:latest@sha256:00", "docker.io/q/a@sha256:00");
        for (image, uses, expected) in [
            (fixed, &[None, None][..], None),
            (fixed, &[None, Some("Always")], Some("Always")),
            (fixed, &[Some("IfNotPresent"), None], Some("IfNotPresent")),
            (fixed, &[Some("Never"), Some("IfNotPresent"), Some("Always")], Some("Always")),
            (fixed, &[Some("Always"), Some("Never")], Some("Always")),
            (fixed, &[Some("Never")], Some("Never")),
            // Unset is IfNotPresent, or Always for `latest`: a puller with less would not do what users' pods do.
            (fixed, &[None, Some("Never")], Some("IfNotPresent")),
            (fixed, &[Some("Never"), None], Some("IfNotPresent")),
            (latest, &[None, Some("IfNotPresent")], Some("Always")),
            (latest, &[Some("IfNotPresent")], Some("IfNotPresent")),
            (latest, &[None], None),
            (both, &[None, Some("Never")], Some("Always")),
            (digest, &[None, Some("Never")], Some("IfNotPresent")),
        ] {
            let mut policies = Policies::default();
            uses.iter().for_each(|used| policies.add(*used));
            assert_eq!(policies.strictest(image).as_deref(), expected, "{image} {uses:?}");
        }
    }
}
