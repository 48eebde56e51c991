//! What README and docs state in numbers, measured: one run prints a table and saves it as JSON.
//!
//! Clients, control planes and the product share the machine, so every figure holds for all of it together. The clock is this
//! program's own; writes are counted by the API servers' metrics, leases and reviews apart.

mod delivery;
mod idle;
mod race;
mod writes;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::demo;
use crate::lab::supervisor::{self, UpOptions};
use crate::town::Town;

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long nothing happens while writes and processor time are counted.
    pub idle: Duration,
    /// Requests whose last approvals are sent at once.
    pub in_flight: usize,
    /// Requests of each of the twenty clients.
    pub each: usize,
}

/// One measured figure beside what is asked of it.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Short name.
    pub name: &'static str,
    /// What was measured, in words.
    pub what: String,
    /// Value.
    pub value: f64,
    /// Unit.
    pub unit: &'static str,
    /// `at most` or `at least` which value; none for a figure that is only told.
    pub gate: Option<Gate>,
}

/// What is asked of a figure.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Gate {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Figure {
    /// Whether the gate holds; a figure without one always does.
    pub fn holds(&self) -> bool {
        match self.gate {
            None => true,
            Some(Gate::AtMost(limit)) => self.value <= limit,
            Some(Gate::AtLeast(limit)) => self.value >= limit,
        }
    }
}

/// Measures everything; `folder` is for the lab, `say` hears what goes on.
///
/// # Errors
/// What did not come up, or came out wrong: a figure of a wrong result is none.
pub async fn measure(folder: &Path, plan: Plan, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    let mut figures = demo_and_idle(folder, plan, say).await?;
    say("a fresh lab for delivery, revocation and the race, about 20 s");
    let town = Town::start(&["hohhot", "ulanqab"]).await?;
    figures.extend(delivery::measure(&town, plan.in_flight, say).await?);
    figures.extend(race::measure(&town, plan.each, say).await?);
    Ok(figures)
}

async fn demo_and_idle(folder: &Path, plan: Plan, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    let options = UpOptions {
        dir: folder.to_path_buf(),
        sites: vec!["hohhot".to_owned(), "ulanqab".to_owned()],
        supervise: Vec::new(),
    };
    say("the demo on a fresh lab, about 60 s");
    let begun = Instant::now();
    let measured = async {
        supervisor::up(&options, |_| {}).await?;
        demo::play(folder.to_path_buf(), &mut |_| {}).await?;
        let demo = Figure {
            name: "demo",
            what: "hub and two sites started, the whole story told; programs built before".to_owned(),
            value: begun.elapsed().as_secs_f64(),
            unit: "s",
            gate: Some(Gate::AtMost(90.0)),
        };
        let mut figures = vec![demo];
        figures.extend(idle::measure(folder, plan.idle, say).await?);
        Ok(figures)
    }
    .await;
    // The supervisor is detached: it ends with the measurement, whatever came out.
    supervisor::down(folder).await.context("end the demo's lab")?;
    measured
}

/// The figures for people.
pub fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["figure", "value", "asked", "holds", "what"]);
    for figure in figures {
        let asked = match figure.gate {
            None => String::new(),
            Some(Gate::AtMost(limit)) => format!("≤ {limit} {}", figure.unit),
            Some(Gate::AtLeast(limit)) => format!("≥ {limit} {}", figure.unit),
        };
        let holds = if figure.gate.is_none() {
            ""
        } else if figure.holds() {
            "yes"
        } else {
            "NO"
        };
        table.add_row([
            figure.name.to_owned(),
            format!("{:.2} {}", figure.value, figure.unit),
            asked,
            holds.to_owned(),
            figure.what.clone(),
        ]);
    }
    table.to_string()
}

/// The value below which a share of all values lies, by the nearest rank.
///
/// # Errors
/// When there are none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among some thousand values"
    )]
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use super::{Figure, Gate, quantile};

    #[test]
    fn the_nearest_rank_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert!((quantile(values.clone(), 0.95).unwrap() - 19.0).abs() < f64::EPSILON);
        assert!((quantile(values, 0.5).unwrap() - 10.0).abs() < f64::EPSILON);
        assert!(quantile(Vec::new(), 0.5).is_err());
    }

    #[test]
    fn a_gate_is_held_to() {
        let figure = |value, gate| Figure { name: "a", what: String::new(), value, unit: "s", gate };
        assert!(figure(1.0, Some(Gate::AtMost(1.0))).holds());
        assert!(!figure(1.1, Some(Gate::AtMost(1.0))).holds());
        assert!(!figure(0.9, Some(Gate::AtLeast(1.0))).holds());
    }
}
