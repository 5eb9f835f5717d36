//! `perijove await`: waits until pullers have their images on the nodes of a cluster.

pub use perijove_awaiter::Arguments;
use perijove_awaiter::ended_by_signal;

use super::Outcome;
use super::error::CliError;
use crate::ui::Ui;

pub async fn run(arguments: &Arguments, ui: &Ui) -> Result<Outcome, CliError> {
    let ended = perijove_awaiter::run(arguments, |line| ui.status(line), ended_by_signal()).await?;
    for warning in &ended.warnings {
        ui.warning(warning);
    }
    ui.result(&ended.report.text(), &ended.report.json())?;
    match ended.code {
        0 => Ok(Outcome::Done),
        1 => Ok(Outcome::Found),
        _ => Ok(Outcome::Late),
    }
}
