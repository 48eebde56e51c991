//! The tenancy tree as decisions follow it: departments by their parent *in force*.

use std::collections::{BTreeMap, BTreeSet};

use zhengyun_crds::Reason;
use zhengyun_crds::department::{Department, DepartmentSpec, Level, UnitType};

/// Deepest tree that is walked; a longer chain is a cycle or a mistake.
const MAX_DEPTH: usize = 16;

/// Who is under whom, in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    parents: BTreeMap<String, Option<String>>,
}

/// Why a place in the tree is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The department is not in the tree.
    #[error("department {0} does not exist, or its place in the tree is not decided yet")]
    NotFound(String),
    /// Following the parents leads back.
    #[error("following the parents from {0} leads back to it: {1}")]
    Cycle(String, String),
    /// Type or level does not fit the parent's.
    #[error("{0}")]
    LevelMismatch(String),
}

impl TreeError {
    /// The condition reason that says the same.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NotFound(_) => Reason::ParentNotFound,
            Self::Cycle(..) => Reason::CyclicTree,
            Self::LevelMismatch(_) => Reason::LevelMismatch,
        }
    }
}

impl Tree {
    /// The tree of the parents in force (`status.parent`) of placed departments.
    pub fn in_force<'a>(departments: impl IntoIterator<Item = &'a Department>) -> Self {
        let parents = departments
            .into_iter()
            .filter_map(|d| {
                let status = d.status.as_ref().filter(|s| s.placed)?;
                Some((d.metadata.name.clone()?, status.parent.clone()))
            })
            .collect();
        Self { parents }
    }

    /// Puts a department under a parent, or at the root.
    pub fn place(&mut self, department: &str, parent: Option<&str>) {
        self.parents.insert(department.to_owned(), parent.map(str::to_owned));
    }

    /// Takes a department out.
    pub fn remove(&mut self, department: &str) {
        self.parents.remove(department);
    }

    /// Whether the department has a place.
    pub fn contains(&self, department: &str) -> bool {
        self.parents.contains_key(department)
    }

    /// The parent in force.
    pub fn parent(&self, department: &str) -> Option<&str> {
        self.parents.get(department)?.as_deref()
    }

    /// The department itself, then its ancestors up to the root.
    ///
    /// # Errors
    /// When the department or an ancestor has no place, or the chain does not end.
    pub fn chain(&self, department: &str) -> Result<Vec<String>, TreeError> {
        let mut chain: Vec<String> = Vec::new();
        let mut next = Some(department.to_owned());
        while let Some(name) = next.take() {
            if chain.contains(&name) || chain.len() >= MAX_DEPTH {
                chain.push(name);
                return Err(TreeError::Cycle(department.to_owned(), chain.join(" → ")));
            }
            let parent = self.parents.get(&name).ok_or_else(|| TreeError::NotFound(name.clone()))?;
            chain.push(name);
            next.clone_from(parent);
        }
        Ok(chain)
    }

    /// The department and everything below it.
    pub fn subtree(&self, department: &str) -> BTreeSet<String> {
        self.parents
            .keys()
            .filter(|name| self.chain(name).is_ok_and(|chain| chain.iter().any(|a| a == department)))
            .cloned()
            .collect()
    }

    /// Departments directly below.
    pub fn children(&self, department: &str) -> Vec<&str> {
        self.parents.iter().filter(|(_, p)| p.as_deref() == Some(department)).map(|(n, _)| n.as_str()).collect()
    }

    /// Whether `department` could stand under `parent` without closing a circle.
    ///
    /// # Errors
    /// When it could not, with the circle.
    pub fn admits(&self, department: &str, parent: &str) -> Result<(), TreeError> {
        let mut chain = self.chain(parent)?;
        if let Some(at) = chain.iter().position(|a| a == department) {
            chain.truncate(at.saturating_add(1));
            chain.insert(0, department.to_owned());
            return Err(TreeError::Cycle(department.to_owned(), chain.join(" → ")));
        }
        if chain.len() >= MAX_DEPTH {
            return Err(TreeError::LevelMismatch(format!(
                "spec.parent: {parent} is already {} levels deep, the tree has at most {MAX_DEPTH}; choose a parent nearer to the region",
                chain.len()
            )));
        }
        Ok(())
    }
}

/// Whether a node of this type and level may stand under that parent.
///
/// A Division's parent is a Division one level up; a unit's parent is a Division or a unit of its level or above.
///
/// # Errors
/// The rule that is broken, with both values and the fix.
pub fn fits(child: &DepartmentSpec, parent_name: &str, parent: &DepartmentSpec) -> Result<(), TreeError> {
    let mismatch = |rule: &str| {
        Err(TreeError::LevelMismatch(format!(
            "spec.parent: {parent_name} is a {} of level {}, but this is a {} of level {}; {rule}",
            parent.type_, parent.level, child.type_, child.level
        )))
    };
    match child.type_ {
        UnitType::Division if parent.type_ != UnitType::Division || one_up(child.level) != Some(parent.level) => {
            mismatch("a Division's parent is a Division exactly one level up")
        }
        UnitType::Division => Ok(()),
        _ if parent.level > child.level => mismatch("a unit's parent is a Division or unit of its own level or above"),
        _ => Ok(()),
    }
}

const fn one_up(level: Level) -> Option<Level> {
    match level {
        Level::Region => None,
        Level::League => Some(Level::Region),
        Level::Banner => Some(Level::League),
        Level::Township => Some(Level::Banner),
    }
}

#[cfg(test)]
mod tests {
    use super::{Tree, TreeError};

    fn tree(edges: &[(&str, Option<&str>)]) -> Tree {
        let mut tree = Tree::default();
        for (name, parent) in edges {
            tree.place(name, *parent);
        }
        tree
    }

    #[test]
    fn chain_runs_from_the_department_to_the_root() {
        let tree = tree(&[("region", None), ("hohhot", Some("region")), ("education", Some("hohhot"))]);
        assert_eq!(tree.chain("education").unwrap(), ["education", "hohhot", "region"]);
        assert_eq!(tree.subtree("hohhot").into_iter().collect::<Vec<_>>(), ["education", "hohhot"]);
        assert_eq!(tree.chain("nobody"), Err(TreeError::NotFound("nobody".into())));
    }

    #[test]
    fn a_circle_is_refused_and_shown() {
        let tree = tree(&[("a", None), ("b", Some("a")), ("c", Some("b"))]);
        let error = tree.admits("a", "c").unwrap_err();
        assert_eq!(error, TreeError::Cycle("a".into(), "a → c → b → a".into()));
        assert!(tree.admits("c", "a").is_ok());
    }

    #[test]
    fn a_circle_that_is_already_there_ends_the_walk() {
        let tree = tree(&[("a", Some("b")), ("b", Some("a"))]);
        assert!(matches!(tree.chain("a"), Err(TreeError::Cycle(..))));
    }
}
