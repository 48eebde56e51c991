//! Twenty clients and one quota: how many decisions a second, and whether the sums are exact.

use anyhow::Result;

use super::{Figure, Gate};
use crate::race::{self, CLIENTS, QUOTA};
use crate::town::Town;

pub(super) async fn measure(town: &Town, each: usize, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    say(&format!("{CLIENTS} clients ask {each} times each for what is there {QUOTA} times"));
    let outcome = race::run(town, each).await?;
    outcome.is_exact(town).await?;
    #[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
    let many = (CLIENTS * each) as f64;
    Ok(vec![
        Figure {
            name: "race-rate",
            what: format!(
                "decisions on one quota by {CLIENTS} clients, {many} requests, {} granted, sums exact; the clients were done asking after {:.0} s",
                outcome.granted,
                outcome.asked.as_secs_f64()
            ),
            value: many / outcome.decided.as_secs_f64(),
            unit: "decisions/s",
            gate: Some(Gate::AtLeast(100.0)),
        },
        Figure {
            name: "race-cpu",
            what: "processor time of the operator per decision".to_owned(),
            value: outcome.operator.as_secs_f64() * 1000.0 / many,
            unit: "ms",
            gate: None,
        },
    ])
}
