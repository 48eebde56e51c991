//! What a benchmark found: for people as tables, for programs as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use zhengyun_tests::figures::{Figure, Gate};

use crate::ceilings::Ceilings;
use crate::machine::Machine;
use crate::meter::Spent;

/// Requests per item below this are left out of the table; the JSON has them all.
const WORTH_A_LINE: f64 = 0.02;

/// Columns of a table, so that it fits a screen and a log.
const WIDTH: u16 = 150;

/// The result of one benchmark.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `B1` to `B7`, or what is compared.
    pub id: String,
    /// What was done.
    pub title: String,
    /// Share of the full size that was run.
    pub scale: f64,
    /// Where it ran.
    pub machine: Machine,
    /// Figures with what is asked of them.
    pub figures: Vec<Figure>,
    /// What the same machine did in the same run without the product.
    pub ceilings: Vec<Ceilings>,
    /// Costs.
    pub spent: Vec<Spent>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Nothing found yet.
    pub fn new(id: impl Into<String>, title: impl Into<String>, scale: f64) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            scale,
            machine: Machine::here(),
            figures: Vec::new(),
            ceilings: Vec::new(),
            spent: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether gates are judged: only at full size.
    pub fn is_judged(&self) -> bool {
        self.scale >= 1.0
    }

    /// Adds a figure.
    pub fn figure(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        gate: Option<Gate>,
        what: impl Into<String>,
    ) {
        self.figures.push(Figure { name, what: what.into(), value, unit, gate });
    }

    /// Adds a remark.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Names of the gates that do not hold; none are judged on a part of the full size.
    pub fn missed(&self) -> Vec<&'static str> {
        let judged = self.figures.iter().filter(|f| self.is_judged() && !f.holds());
        judged.map(|f| f.name).collect()
    }

    /// Saves it as `<folder>/<id>.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.id));
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// All of it for people.
    pub fn text(&self) -> String {
        let size = if self.is_judged() {
            "full size".to_owned()
        } else {
            format!("scale {}: gates are not judged", self.scale)
        };
        let mut parts = vec![format!("{}: {} ({size})", self.id, self.title), self.figures_table()];
        if !self.ceilings.is_empty() {
            parts.push(format!("raw ceilings in the same run\n{}", self.ceilings_table()));
        }
        for spent in &self.spent {
            parts.push(costs(spent));
        }
        parts.extend(self.notes.iter().map(|note| format!("- {note}")));
        parts.join("\n")
    }

    fn figures_table(&self) -> String {
        let mut table = plain(["figure", "value", "asked", "holds", "what"]);
        for figure in &self.figures {
            let asked = match figure.gate {
                None => String::new(),
                Some(Gate::AtMost(limit)) => format!("≤ {limit} {}", figure.unit),
                Some(Gate::AtLeast(limit)) => format!("≥ {limit} {}", figure.unit),
            };
            let holds = match (figure.gate, self.is_judged(), figure.holds()) {
                (None, ..) => "",
                (_, false, _) => "not judged",
                (_, _, true) => "yes",
                (_, _, false) => "NO",
            };
            let value = format!("{} {}", short(figure.value), figure.unit);
            table.add_row([figure.name.to_owned(), value, asked, holds.to_owned(), figure.what.clone()]);
        }
        right(&mut table, &[1]);
        table.to_string()
    }

    fn ceilings_table(&self) -> String {
        let mut table =
            plain(["where", "creates/s", "status patches/s", "server-side applies/s", "create + status patch/s"]);
        for ceilings in &self.ceilings {
            let cell = |rate: Option<f64>| rate.map(short).unwrap_or_default();
            table.add_row([
                ceilings.what.clone(),
                cell(ceilings.creates),
                cell(ceilings.status_patches),
                cell(ceilings.applies),
                cell(ceilings.create_and_patch()),
            ]);
        }
        right(&mut table, &[1, 2, 3, 4]);
        table.to_string()
    }
}

fn costs(spent: &Spent) -> String {
    let mut processes = plain(["process", "CPU ms per item", "peak RSS MB"]);
    for (name, cpu) in &spent.cpu_ms_per_item {
        processes.add_row([name.clone(), short(*cpu), short(spent.peak(name))]);
    }
    right(&mut processes, &[1, 2]);
    let mut requests = plain(["request", "answered per item", "written by the operator per item"]);
    for (verb, count) in by_verb(spent).iter().filter(|(_, count)| **count >= WORTH_A_LINE) {
        requests.add_row([format!("all {verb}"), short(*count), String::new()]);
    }
    for (name, count) in spent.requests_per_item.iter().filter(|(name, count)| **count >= worth_a_line(name)) {
        let own = spent.operator_writes_per_item.get(name).map(|c| short(*c)).unwrap_or_default();
        requests.add_row([name.clone(), short(*count), own]);
    }
    right(&mut requests, &[1, 2]);
    let looks = spent.reconciles_per_item.iter().map(|(kind, count)| format!("{kind} {}", short(*count)));
    let looks = looks.collect::<Vec<_>>().join(", ");
    format!(
        "cost of {}: {} × {} in {:.1} s, {} a second\n{processes}\n{requests}\nlooks of the operator per item: {looks}",
        spent.during,
        spent.items,
        spent.item,
        spent.wall_seconds,
        short(spent.rate()),
    )
}

/// Requests per item by cluster and verb.
fn by_verb(spent: &Spent) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for (name, count) in &spent.requests_per_item {
        let verb: Vec<&str> = name.split(' ').take(2).collect();
        *all.entry(verb.join(" ")).or_default() += count;
    }
    all
}

/// At a site, Kubernetes empties a namespace kind by kind: what it asks once each is in the sum by verb.
fn worth_a_line(request: &str) -> f64 {
    if request.starts_with("sites") { 1.0 + WORTH_A_LINE } else { WORTH_A_LINE }
}

fn plain<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Three or four digits that say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use zhengyun_tests::figures::Gate;

    use super::Outcome;

    #[test]
    fn gates_are_judged_at_full_size_only() {
        let outcome = |scale| {
            let mut outcome = Outcome::new("B0", "nothing", scale);
            outcome.figure("rate", 1.0, "a second", Some(Gate::AtLeast(2.0)), "too slow");
            outcome
        };
        assert_eq!(outcome(1.0).missed(), ["rate"]);
        assert!(outcome(0.1).missed().is_empty());
        assert!(outcome(0.1).text().contains("not judged") && outcome(1.0).text().contains("NO"));
    }
}
