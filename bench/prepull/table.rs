//! Results as a Markdown table, or as JSON.

use std::time::Duration;

use serde_json::{Value, json};

/// A measured row.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Of today's hook, where it was measured too.
    pub today: String,
    /// Of ours.
    pub ours: String,
    /// What it should be; nothing where there is no goal.
    pub goal: &'static str,
    /// Whether it is.
    pub met: bool,
}

/// Prints rows.
pub fn rows(rows: &[Row], as_json: bool) {
    if as_json {
        let all: Vec<Value> = rows
            .iter()
            .map(|r| json!({"what": r.what, "today": r.today, "ours": r.ours, "goal": r.goal, "met": r.met}))
            .collect();
        println!("{}", json!({ "rows": all }));
        return;
    }
    println!("\n| | today's | ours | goal |\n|---|---:|---:|---|");
    for row in rows {
        let met = match (row.goal, row.met) {
            ("", _) => String::new(),
            (goal, true) => format!("{goal}: met"),
            (goal, false) => format!("{goal}: MISSED"),
        };
        println!("| {} | {} | {} | {met} |", row.what, row.today, row.ours);
    }
}

/// `12.3 s`, `45 ms`.
pub fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
