//! The invented people of the lab: who they are and which groups they bring.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One invented person, as the apiserver's token file knows them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// The user name of the hub, such as `clerk-emergency`.
    pub username: String,
    /// The groups the token brings, such as `dept:emergency`.
    #[serde(deserialize_with = "semicolons")]
    pub groups: Vec<String>,
    /// What the person may do, in words.
    pub role: String,
    /// The name on Chinese screens.
    pub name_zh: String,
    /// The name on English screens.
    pub name_en: String,
}

/// The people of `tests/fixtures/people.csv`.
pub fn people() -> Result<Vec<Person>> {
    read(&super::project_root().join("tests/fixtures/people.csv"))
}

/// Reads a file in the form of `people.csv`; lines that begin with `#` are remarks.
pub fn read(path: &Path) -> Result<Vec<Person>> {
    csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .from_path(path)
        .with_context(|| format!("read {}", path.display()))?
        .deserialize()
        .map(|row| row.with_context(|| format!("a row of {}", path.display())))
        .collect()
}

fn semicolons<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_is_named_once_and_says_what_for() {
        let people = people().unwrap();
        let names: BTreeSet<&str> = people.iter().map(|person| person.username.as_str()).collect();
        assert_eq!(names.len(), people.len(), "a user name occurs twice");
        for person in &people {
            // Quotes and commas would change the meaning of a line of the token file.
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || "-:".contains(c));
            assert!(plain(&person.username) && person.groups.iter().all(|group| plain(group)), "{person:?}");
            assert!(!person.role.is_empty() && !person.name_zh.is_empty() && !person.name_en.is_empty(), "{person:?}");
        }
    }
}
