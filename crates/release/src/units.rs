//! Sizes and times as people read them.

/// `12.3 MB`: decimal units, as registries count.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// `0.08 s`, `12.3 s`.
pub fn seconds(time: f64) -> String {
    if time < 1.0 { format!("{time:.2} s") } else { format!("{time:.1} s") }
}
