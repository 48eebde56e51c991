//! The table of a standard's edition: levels, elements, clauses, and what proves each.

use jiff::SignedDuration;
use serde::Deserialize;
use zhengyun_crds::DurationText;
use zhengyun_crds::recovery::{Edition, Element};

use super::evidence::Metric;
use crate::recovery::duration;

/// The edition of 2025, as it comes with the product.
const GBT_2025: &str = include_str!("../../../../../catalog/recovery/gbt-20988-2025.yaml");
/// The edition of 2007, as it comes with the product.
const GBT_2007: &str = include_str!("../../../../../catalog/recovery/gbt-20988-2007.yaml");

/// Levels of either edition.
const LEVELS: i32 = 6;

/// A text in the languages of the product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// Simplified Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What proves a clause.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Proof {
    /// Something that takes at most this long.
    AtMost {
        /// What is measured.
        metric: Metric,
        /// The longest that meets the clause.
        limit: DurationText,
    },
    /// Something of which there are at least so many.
    AtLeast {
        /// What is measured.
        metric: Metric,
        /// The fewest that meet the clause.
        count: u32,
    },
    /// A person's word, with a document.
    Attested,
}

/// One demand on one element.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Clause {
    /// Name of the clause, such as `A.3-1-a`.
    pub id: String,
    /// What it demands, in our words.
    pub text: Texts,
    /// What proves it; any of them is enough.
    pub proof: Vec<Proof>,
    /// What to do when it is not met.
    pub remedy: String,
}

/// What a level asks of one element. No clause: the standard asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RowElement {
    /// Element.
    pub element: Element,
    /// Its clauses, in the standard's order.
    #[serde(default)]
    pub clauses: Vec<Clause>,
}

/// A range of times that the standard gives as an example; an end that is absent is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Range {
    /// From here on.
    #[serde(default)]
    pub from: Option<DurationText>,
    /// Up to here.
    #[serde(default)]
    pub to: Option<DurationText>,
}

impl Range {
    /// Whether a time is longer than the range allows. A shorter one is better than the level asks for, never worse.
    pub fn is_passed_by(&self, time: SignedDuration) -> bool {
        self.to.as_ref().and_then(|to| duration::parse("to", to).ok()).is_some_and(|to| time > to)
    }
}

/// One level.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LevelRow {
    /// 1 to 6.
    pub level: i32,
    /// Its name.
    pub name: Texts,
    /// Where the row is taken from: standard, clause, and by what way.
    pub source: String,
    /// Whether somebody compared the row with the published standard.
    pub verified: bool,
    /// Example of a recovery point objective at this level.
    #[serde(default)]
    pub rpo: Range,
    /// Example of a recovery time objective at this level.
    #[serde(default)]
    pub rto: Range,
    /// What it asks of the seven elements, in the standard's order.
    pub elements: Vec<RowElement>,
}

/// The levels of one edition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LevelTable {
    /// Edition.
    pub edition: Edition,
    /// Six rows, from level 1 up.
    pub levels: Vec<LevelRow>,
}

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("the level table cannot be read: {0}")]
    Unreadable(String),
    /// Rows are missing, doubled or out of order.
    #[error("the level table of {edition} has the levels {found:?}: it takes 1 to 6, in this order")]
    Levels {
        /// Edition.
        edition: Edition,
        /// What it has.
        found: Vec<i32>,
    },
    /// A row does not have the seven elements.
    #[error(
        "level {level} of {edition}: it takes the seven elements in the standard's order, an element without demands too"
    )]
    Elements {
        /// Edition.
        edition: Edition,
        /// Level.
        level: i32,
    },
    /// Something in a row is wrong.
    #[error("level {level} of {edition}, {place}: {cause}")]
    Row {
        /// Edition.
        edition: Edition,
        /// Level.
        level: i32,
        /// Clause or field.
        place: String,
        /// What is wrong.
        cause: String,
    },
}

impl LevelTable {
    /// Reads a table and checks that it is whole: six levels, seven elements each, every clause with a proof and a remedy.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(yaml: &str) -> Result<Self, TableError> {
        let table: Self = serde_saphyr::from_str(yaml).map_err(|error| TableError::Unreadable(error.to_string()))?;
        let found: Vec<i32> = table.levels.iter().map(|row| row.level).collect();
        if found != (1..=LEVELS).collect::<Vec<_>>() {
            return Err(TableError::Levels { edition: table.edition, found });
        }
        for row in &table.levels {
            table.check(row)?;
        }
        Ok(table)
    }

    fn check(&self, row: &LevelRow) -> Result<(), TableError> {
        let wrong = |place: &str, cause: &str| TableError::Row {
            edition: self.edition,
            level: row.level,
            place: place.to_owned(),
            cause: cause.to_owned(),
        };
        if row.elements.iter().map(|element| element.element).ne(Element::ALL.iter().copied()) {
            return Err(TableError::Elements { edition: self.edition, level: row.level });
        }
        if row.source.is_empty() {
            return Err(wrong("source", "say where the row is taken from"));
        }
        for end in [&row.rpo.from, &row.rpo.to, &row.rto.from, &row.rto.to].into_iter().flatten() {
            duration::parse("objectives", end).map_err(|error| wrong(&error.field, &error.cause))?;
        }
        for clause in row.elements.iter().flat_map(|element| &element.clauses) {
            if clause.proof.is_empty()
                || clause.remedy.is_empty()
                || clause.text.zh.is_empty()
                || clause.text.en.is_empty()
            {
                return Err(wrong(&clause.id, "a clause takes a text in both languages, a proof and a remedy"));
            }
            for proof in &clause.proof {
                match proof {
                    Proof::AtMost { metric, limit } if metric.is_time() => {
                        duration::parse("limit", limit).map_err(|error| wrong(&clause.id, &error.cause))?;
                    }
                    Proof::AtLeast { metric, .. } if !metric.is_time() => {}
                    Proof::Attested => {}
                    Proof::AtMost { .. } | Proof::AtLeast { .. } => {
                        return Err(wrong(
                            &clause.id,
                            "atMost takes a metric that is a time, atLeast one that is a number",
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// The row of a level.
    pub fn row(&self, level: i32) -> Option<&LevelRow> {
        self.levels.iter().find(|row| row.level == level)
    }
}

/// The table of an edition, as it comes with the product.
///
/// # Errors
/// When the data in this build is wrong, which a test rules out.
pub fn built_in(edition: Edition) -> Result<LevelTable, TableError> {
    LevelTable::parse(match edition {
        Edition::Gbt2025 => GBT_2025,
        Edition::Gbt2007 => GBT_2007,
    })
}
