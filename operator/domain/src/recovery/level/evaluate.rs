//! The level that evidence supports.

use jiff::SignedDuration;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{Basis, Element, ElementStatus, UnmetClause};

use super::evidence::{Evidence, Reading};
use super::table::{Clause, LevelRow, LevelTable, Proof};
use crate::finding::Finding;
use crate::recovery::duration;

/// How one element stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementLevel {
    /// Element.
    pub element: Element,
    /// Highest level up to which all its clauses are met; 0 for none.
    pub level: i32,
    /// What that rests on.
    pub basis: Basis,
}

/// A clause that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Clause, as the table names it.
    pub clause: String,
    /// Element that it belongs to.
    pub element: Element,
    /// Level that asks for it.
    pub level: i32,
    /// What is required: the clause, and the numbers that would prove it.
    pub required: String,
    /// What was measured or attested instead.
    pub measured: String,
    /// What to do.
    pub remedy: String,
}

/// The judgement on a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The lowest of the seven elements; 0 for none.
    pub level: i32,
    /// The seven elements, in the standard's order.
    pub elements: Vec<ElementLevel>,
    /// Clauses up to the level asked for that are not met: lower levels first, then in the standard's order.
    pub unmet: Vec<Unmet>,
    /// What a reader must know besides, such as rows that nobody compared with the published standard.
    pub findings: Vec<Finding>,
}

impl Evaluation {
    /// The first clause in the way of the level asked for.
    pub fn first_unmet(&self) -> Option<&Unmet> {
        self.unmet.first()
    }

    /// As it stands in a plan's status.
    pub fn to_status(&self) -> (Vec<ElementStatus>, Vec<UnmetClause>) {
        let elements = self
            .elements
            .iter()
            .map(|e| ElementStatus { element: e.element, level: e.level, basis: e.basis })
            .collect();
        let unmet = self
            .unmet
            .iter()
            .map(|unmet| UnmetClause {
                clause: unmet.clause.clone(),
                element: unmet.element,
                level: unmet.level,
                required: crate::condition::cut(unmet.required.clone(), 500),
                reason: crate::condition::cut(unmet.measured.clone(), 500),
                remedy: crate::condition::cut(unmet.remedy.clone(), 500),
            })
            .collect();
        (elements, unmet)
    }
}

/// Judges which level the evidence supports, and what is missing up to the level asked for.
pub fn evaluate(table: &LevelTable, asked: i32, evidence: &Evidence) -> Evaluation {
    let elements: Vec<ElementLevel> =
        Element::ALL.iter().map(|element| element_level(table, *element, evidence)).collect();
    let level = elements.iter().map(|element| element.level).min().unwrap_or_default();
    let rows: Vec<&LevelRow> = table.levels.iter().filter(|row| row.level <= asked).collect();
    let unmet = rows.iter().flat_map(|row| unmet_in(row, evidence)).collect();
    // What is claimed must rest on rows that were compared; what is asked for, too.
    let findings = table
        .levels
        .iter()
        .filter(|row| !row.verified && row.level <= asked.max(level))
        .map(|row| {
            Finding::new(
                "/spec/level",
                Reason::LevelRowUnverified.as_str(),
                format!(
                    "level {} of {} was not compared with the published standard ({}): have somebody who holds it compare the row before the level is reported",
                    row.level, table.edition, row.source
                ),
            )
        })
        .collect();
    Evaluation { level, elements, unmet, findings }
}

/// Objectives that are longer than the example that the standard gives for the level: a finding, not a refusal.
pub fn outside_row(table: &LevelTable, asked: i32, rpo: SignedDuration, rto: SignedDuration) -> Vec<Finding> {
    let Some(row) = table.row(asked) else { return Vec::new() };
    [("rpo", rpo, &row.rpo), ("rto", rto, &row.rto)]
        .into_iter()
        .filter(|(_, time, range)| range.is_passed_by(*time))
        .map(|(name, time, range)| {
            let to = range.to.as_ref().map(ToString::to_string).unwrap_or_default();
            Finding::new(
                format!("/spec/objectives/{name}"),
                Reason::ObjectiveOutsideRow.as_str(),
                format!(
                    "{name} {} is longer than {to}, the example of {} for level {asked}: shorten it, or ask for a lower level",
                    duration::print(time),
                    table.edition
                ),
            )
        })
        .collect()
}

fn element_level(table: &LevelTable, element: Element, evidence: &Evidence) -> ElementLevel {
    let mut reached = ElementLevel { element, level: 0, basis: Basis::Missing };
    for row in &table.levels {
        let clauses = row.elements.iter().filter(|e| e.element == element).flat_map(|e| &e.clauses);
        let mut attested = false;
        for clause in clauses {
            match proven(clause, element, row.level, evidence) {
                Some(Basis::Attested) => attested = true,
                Some(Basis::Measured) => {}
                Some(Basis::Missing) | None => return reached,
            }
        }
        let basis = if attested || reached.basis == Basis::Attested { Basis::Attested } else { Basis::Measured };
        reached = ElementLevel { element, level: row.level, basis };
    }
    reached
}

/// What proves a clause, a measurement before a word.
fn proven(clause: &Clause, element: Element, level: i32, evidence: &Evidence) -> Option<Basis> {
    if clause.proof.iter().any(|proof| measured(proof, evidence)) {
        return Some(Basis::Measured);
    }
    let may_be_attested = clause.proof.contains(&Proof::Attested);
    (may_be_attested && evidence.attested(element, level).is_some()).then_some(Basis::Attested)
}

fn measured(proof: &Proof, evidence: &Evidence) -> bool {
    match proof {
        Proof::AtMost { metric, limit } => {
            let limit = duration::parse("limit", limit).ok();
            matches!((evidence.read(*metric), limit), (Some(Reading::Time(time)), Some(limit)) if time <= limit)
        }
        Proof::AtLeast { metric, count } => {
            matches!(evidence.read(*metric), Some(Reading::Count(have)) if have >= *count)
        }
        Proof::Attested => false,
    }
}

fn unmet_in(row: &LevelRow, evidence: &Evidence) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    for element in &row.elements {
        for clause in &element.clauses {
            if proven(clause, element.element, row.level, evidence).is_none() {
                unmet.push(Unmet {
                    clause: clause.id.clone(),
                    element: element.element,
                    level: row.level,
                    required: required(clause),
                    measured: found(clause, element.element, row.level, evidence),
                    remedy: clause.remedy.clone(),
                });
            }
        }
    }
    unmet
}

fn required(clause: &Clause) -> String {
    let ways: Vec<String> = clause
        .proof
        .iter()
        .map(|proof| match proof {
            Proof::AtMost { metric, limit } => format!("{metric:?} at most {limit}"),
            Proof::AtLeast { metric, count } => format!("{metric:?} at least {count}"),
            Proof::Attested => "attested with a document".to_owned(),
        })
        .collect();
    format!("{} ({})", clause.text.en, ways.join(", or "))
}

fn found(clause: &Clause, element: Element, level: i32, evidence: &Evidence) -> String {
    let parts: Vec<String> = clause
        .proof
        .iter()
        .map(|proof| match proof {
            Proof::AtMost { metric, .. } | Proof::AtLeast { metric, .. } => match evidence.read(*metric) {
                Some(reading) => format!("{metric:?} is {reading}"),
                None => format!("{metric:?} was not measured"),
            },
            Proof::Attested => match evidence.attestations.iter().find(|word| word.element == element) {
                None => format!("{element} is not attested"),
                Some(word) if word.level < level => format!("{element} is attested up to level {} only", word.level),
                Some(word) => format!("the attestation of {element} counted until {}", word.until),
            },
        })
        .collect();
    parts.join("; ")
}
