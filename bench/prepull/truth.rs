//! What would have been the right answer: pure. A node that can take the pullers' pods and lacks an image makes a
//! success false; an answer that came by the clock alone, when nothing was left to wait for, is a hang.

use serde_json::Value;

/// How a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upgrade goes on.
    Success,
    /// The hook says that the images will not be there.
    Failed,
    /// The time is over: Helm's for today's hook, its own deadline for ours.
    TimeOver,
}

impl Outcome {
    /// As the table has it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failed => "failed",
            Outcome::TimeOver => "time over",
        }
    }
}

/// What to think of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it was.
    Right,
    /// A node that can take the pods lacks an image.
    FalseSuccess,
    /// Every image could have come.
    FalseFailure,
    /// It waited by the clock alone: what could come had time enough to, or an image never could.
    FalseHang,
}

impl Answer {
    /// As the table has it.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Right => "right",
            Answer::FalseSuccess => "FALSE SUCCESS",
            Answer::FalseFailure => "FALSE FAILURE",
            Answer::FalseHang => "HANG",
        }
    }
}

/// What a fault does to the images, by its nature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// Those of the nodes that can take pods come, and soon.
    Come,
    /// They come when the registry lets them: the time may be over before.
    ComeLate,
    /// One of them never does.
    NeverCome,
}

/// Judges an end; `lacking`: how many nodes that could take the pods lacked an image at that moment.
pub fn judge(outcome: Outcome, images: Images, lacking: usize) -> Answer {
    match (outcome, images) {
        (Outcome::Success, _) if lacking > 0 => Answer::FalseSuccess,
        (Outcome::Failed, Images::Come | Images::ComeLate) => Answer::FalseFailure,
        (Outcome::TimeOver, Images::ComeLate) if lacking > 0 => Answer::Right,
        (Outcome::TimeOver, _) => Answer::FalseHang,
        _ => Answer::Right,
    }
}

/// Why a node cannot take a puller's pod, if so. `bound`: pods there that have not ended; `own`: one is the puller's.
pub fn out(node: &Value, bound: usize, own: bool) -> Option<String> {
    let spec = &node["spec"];
    if spec["unschedulable"] == true {
        return Some("cordoned".to_owned());
    }
    let condition = |kind: &str| {
        let all = node["status"]["conditions"].as_array();
        all.and_then(|all| all.iter().find(|c| c["type"] == kind)).map(|c| c["status"].clone())
    };
    if condition("Ready") != Some("True".into()) {
        return Some("not ready".to_owned());
    }
    let pressed = ["DiskPressure", "MemoryPressure", "PIDPressure"];
    if let Some(kind) = pressed.into_iter().find(|kind| condition(kind) == Some("True".into())) {
        return Some(kind.to_owned());
    }
    let taints = spec["taints"].as_array().into_iter().flatten();
    if let Some(taint) = taints.into_iter().find(|taint| taint["effect"] != "PreferNoSchedule") {
        return Some(format!("tainted {}", taint["key"].as_str().unwrap_or_default()));
    }
    let room = node["status"]["allocatable"]["pods"].as_str().and_then(|text| text.parse().ok());
    (!own && room.is_some_and(|room: usize| bound >= room)).then(|| "full".to_owned())
}

/// The value at `percent` of a list, by the nearest rank; none of an empty one.
pub fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
