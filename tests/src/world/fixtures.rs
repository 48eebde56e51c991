//! The fixture tables.

use anyhow::{Context as _, Result};

use crate::lab::project_root;

/// A unit of government.
#[derive(Debug, Clone)]
pub struct UnitRow {
    /// Name in the system.
    pub slug: String,
    /// `Division`, `Organ`, `Institution`.
    pub type_: String,
    /// `Region`, `League`, `Banner`.
    pub level: String,
    /// Parent, if any.
    pub parent: Option<String>,
    /// Full Chinese name.
    pub name_zh: String,
    /// Short Chinese name.
    pub short_zh: String,
    /// English name.
    pub name_en: String,
    /// Division code.
    pub code: Option<String>,
}

/// An information system.
#[derive(Debug, Clone)]
pub struct SystemRow {
    /// Name in the system.
    pub slug: String,
    /// Chinese name.
    pub name_zh: String,
    /// Department that owns it.
    pub department: String,
    /// Protection level.
    pub level: i32,
}

fn rows(file: &str) -> Result<Vec<Vec<String>>> {
    let path = project_root().join("tests/fixtures").join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(text
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect())
}

fn cell(row: &[String], at: usize) -> String {
    row.get(at).cloned().unwrap_or_default()
}

fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The region, its leagues and banners: parents before children.
pub fn divisions() -> Result<Vec<UnitRow>> {
    Ok(rows("divisions.csv")?
        .iter()
        .map(|row| UnitRow {
            slug: cell(row, 3),
            type_: "Division".to_owned(),
            level: cell(row, 1),
            parent: optional(cell(row, 2)),
            name_zh: cell(row, 4),
            short_zh: cell(row, 4),
            name_en: cell(row, 3),
            code: optional(cell(row, 0)),
        })
        .collect())
}

/// The departments of the region and some of leagues and banners.
pub fn units() -> Result<Vec<UnitRow>> {
    Ok(rows("departments.csv")?
        .iter()
        .map(|row| UnitRow {
            slug: cell(row, 0),
            type_: cell(row, 1),
            level: cell(row, 2),
            parent: optional(cell(row, 3)),
            name_zh: cell(row, 4),
            short_zh: cell(row, 5),
            name_en: cell(row, 6),
            code: None,
        })
        .collect())
}

/// The information systems.
pub fn systems() -> Result<Vec<SystemRow>> {
    rows("systems.csv")?
        .iter()
        .map(|row| {
            Ok(SystemRow {
                slug: cell(row, 0),
                name_zh: cell(row, 1),
                department: cell(row, 2),
                level: cell(row, 3).parse().context("mlps_level of a system")?,
            })
        })
        .collect()
}
