//! Whether a node's disk takes what is to come, without the kubelet starting to delete images or pods.

use serde::Serialize;

/// Bytes on disk for each byte pulled: the layer as it came, which containerd keeps, and its files. The files of
/// the images that hubs give their users take some 2.5 times the layer's bytes.
const ON_DISK_PER_BYTE: f64 = 3.5;

/// A node's file system for images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Disk {
    /// Bytes that are free.
    pub available_bytes: u64,
    /// Bytes in all.
    pub capacity_bytes: u64,
    /// The kubelet keeps so many free: below, it deletes images, then ends pods (`evictionHard`'s
    /// imagefs.available, or what `imageGCHighThresholdPercent` leaves, whichever is more).
    pub threshold_bytes: u64,
}

/// Whether it takes so many bytes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// And stays above the kubelet's threshold.
    Fits,
    /// It would fall below the threshold: the kubelet would delete images that no container uses.
    Tight,
    /// There is not so much room.
    Full,
}

impl Disk {
    /// With the kubelet's defaults: 15 % of the disk is kept free.
    pub fn with_defaults(available_bytes: u64, capacity_bytes: u64) -> Self {
        Self { available_bytes, capacity_bytes, threshold_bytes: capacity_bytes / 100 * 15 }
    }

    /// With what the kubelet says of its own settings (`configz`): `evictionHard`'s imagefs.available, and what
    /// `imageGCHighThresholdPercent` leaves free; the larger of the two counts, since both cost images.
    pub fn with_config(available_bytes: u64, capacity_bytes: u64, config: &serde_json::Value) -> Self {
        let percent = |percent: f64| (capacity_bytes as f64 / 100.0 * percent) as u64;
        let hard = config.pointer("/evictionHard/imagefs.available").and_then(|value| value.as_str());
        let hard = hard.and_then(|text| match text.strip_suffix('%') {
            Some(number) => number.parse().ok().map(percent),
            None => quantity(text),
        });
        let high = config.get("imageGCHighThresholdPercent").and_then(serde_json::Value::as_f64);
        let high = high.map(|high| percent(100.0 - high));
        match hard.max(high) {
            Some(threshold_bytes) => Self { available_bytes, capacity_bytes, threshold_bytes },
            None => Self::with_defaults(available_bytes, capacity_bytes),
        }
    }

    /// Whether it takes `pulled_bytes` of compressed layers.
    pub fn fit(&self, pulled_bytes: u64) -> Fit {
        let needed = on_disk(pulled_bytes);
        match self.available_bytes.checked_sub(needed) {
            _ if pulled_bytes == 0 => Fit::Fits,
            None => Fit::Full,
            Some(left) if left < self.threshold_bytes => Fit::Tight,
            Some(_) => Fit::Fits,
        }
    }
}

/// `10Gi`, `500M`, `1024` (a quantity of Kubernetes, in bytes).
fn quantity(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Bytes on disk that `pulled_bytes` of compressed layers become: an estimate.
pub fn on_disk(pulled_bytes: u64) -> u64 {
    // Far below 2^52 bytes, where doubles are exact to the byte.
    (pulled_bytes as f64 * ON_DISK_PER_BYTE) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_takes_what_leaves_it_above_the_threshold() {
        let disk = Disk::with_defaults(50_000, 100_000);
        assert_eq!(disk.fit(0), Fit::Fits);
        assert_eq!(disk.fit(10_000), Fit::Fits);
        assert_eq!(disk.fit(10_001), Fit::Tight);
        assert_eq!(disk.fit(14_286), Fit::Full);
        let threshold = |config| Disk::with_config(0, 100 << 30, &config).threshold_bytes;
        let config = |hard: &str, high: u64| serde_json::json!({"evictionHard": {"imagefs.available": hard}, "imageGCHighThresholdPercent": high});
        assert_eq!(threshold(config("20%", 85)), 20 << 30);
        assert_eq!(threshold(config("5%", 90)), 10 << 30);
        assert_eq!(threshold(config("30Gi", 90)), 30 << 30);
        assert_eq!(threshold(serde_json::json!({})), (100 << 30) / 100 * 15);
        assert_eq!(Disk::with_defaults(0, 0).fit(0), Fit::Fits, "nothing to pull fits anywhere");
    }
}
