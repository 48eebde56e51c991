//! Trees of departments: flat as in a peer's published baseline, and as deep as a real region.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use zhengyun_crds::{Department, DepartmentQuota, InformationSystem};
use zhengyun_tests::world;

use crate::stage::SitePlan;

/// Group whose people are clerks everywhere in the tree.
pub const CLERKS: &str = "bench:clerks";
/// Group whose people may read everything in the tree.
pub const READERS: &str = "bench:readers";
/// The information system of every department.
pub const SYSTEM: &str = "bench";
/// The item that is ordered: one core each, and nothing in its template.
pub const ITEM: &str = "bench-unit";
/// An item that fits nowhere.
pub const HUGE_ITEM: &str = "bench-huge";

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Parent.
    pub parent: Option<String>,
    /// `Division` or `Organ`.
    pub type_: &'static str,
    /// `Region`, `League`, `Banner`.
    pub level: String,
    /// Below the root: 0.
    pub depth: usize,
}

/// A tree, parents before children.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// Every node.
    pub nodes: Vec<Node>,
    /// Names of the departments that order.
    pub leaves: Vec<String>,
}

impl Region {
    /// A region with leagues, and departments right below each.
    pub fn flat(prefix: &str, leagues: usize, departments: usize) -> Self {
        let mut region = Self::default();
        let root = format!("{prefix}-region");
        region.add(root.clone(), None, "Division", "Region", 0);
        for league in 0..leagues {
            let name = format!("{prefix}-{league}");
            region.add(name.clone(), Some(root.clone()), "Division", "League", 1);
            for department in 0..departments {
                region.leaf(format!("{name}-{department}"), &name, "League", 2);
            }
        }
        region
    }

    /// The autonomous region with its real leagues and banners, and invented departments below each banner.
    ///
    /// # Errors
    /// When the fixture cannot be read.
    pub fn deep(departments: usize) -> Result<Self> {
        let mut region = Self::default();
        for row in world::divisions()? {
            let depth = ["Region", "League", "Banner"].iter().position(|l| *l == row.level).context("a level")?;
            region.add(row.slug.clone(), row.parent, "Division", &row.level, depth);
            if row.level == "Banner" {
                for department in 0..departments {
                    region.leaf(format!("{}-d{department}", row.slug), &row.slug, "Banner", 3);
                }
            }
        }
        Ok(region)
    }

    /// Only the first leaves of the tree, and what is above them.
    #[must_use]
    pub fn first(&self, leaves: usize) -> Self {
        let kept: Vec<String> = self.leaves.iter().take(leaves.max(1)).cloned().collect();
        let mut needed: std::collections::BTreeSet<&str> = kept.iter().map(String::as_str).collect();
        // Parents stand before children, so one walk from the end finds all that is above.
        for node in self.nodes.iter().rev() {
            if needed.contains(node.name.as_str())
                && let Some(parent) = &node.parent
            {
                needed.insert(parent);
            }
        }
        let nodes = self.nodes.iter().filter(|n| needed.contains(n.name.as_str())).cloned().collect();
        Self { nodes, leaves: kept }
    }

    fn add(&mut self, name: String, parent: Option<String>, type_: &'static str, level: &str, depth: usize) {
        self.nodes.push(Node { name, parent, type_, level: level.to_owned(), depth });
    }

    fn leaf(&mut self, name: String, parent: &str, level: &str, depth: usize) {
        self.add(name.clone(), Some(parent.to_owned()), "Organ", level, depth);
        self.leaves.push(name);
    }

    /// How deep the tree is.
    pub fn depth(&self) -> usize {
        self.nodes.iter().map(|n| n.depth).max().unwrap_or_default()
    }

    /// Departments of a depth.
    ///
    /// # Errors
    /// Never for the names made here.
    pub fn departments(&self, depth: usize) -> Result<Vec<Department>> {
        self.nodes.iter().filter(|n| n.depth == depth).map(department).collect()
    }

    /// Quotas of a depth: every leaf may hold so many cores at each site, every node above the sum of what is below it.
    ///
    /// # Errors
    /// Never for the names made here.
    pub fn quotas(&self, depth: usize, sites: &[SitePlan]) -> Result<Vec<DepartmentQuota>> {
        let at_depth = self.nodes.iter().filter(|n| n.depth == depth);
        at_depth.map(|node| quota(&node.name, self.leaves_below(&node.name), sites)).collect()
    }

    /// One information system for every leaf.
    ///
    /// # Errors
    /// Never for the names made here.
    pub fn systems(&self) -> Result<Vec<InformationSystem>> {
        self.leaves.iter().map(|leaf| system(leaf)).collect()
    }

    fn leaves_below(&self, name: &str) -> u64 {
        let children = self.nodes.iter().filter(|n| n.parent.as_deref() == Some(name));
        let below: u64 = children.map(|child| self.leaves_below(&child.name)).sum();
        below.max(1)
    }
}

fn department(node: &Node) -> Result<Department> {
    let subject = |group: &str| json!([{ "kind": "Group", "name": group }]);
    let roles: Value = if node.parent.is_none() {
        json!([
            { "role": "Clerk", "scope": "Subtree", "subjects": subject(CLERKS) },
            { "role": "Viewer", "scope": "Subtree", "subjects": subject(READERS) }
        ])
    } else {
        json!([])
    };
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "Department", "metadata": { "name": node.name },
        "spec": {
            "type": node.type_, "level": node.level, "parent": node.parent, "roles": roles,
            "displayNames": { "zh-CN": { "full": format!("测试部门 {}", node.name) }, "en": { "full": node.name } }
        }
    }))?)
}

fn quota(name: &str, leaves: u64, sites: &[SitePlan]) -> Result<DepartmentQuota> {
    let line = |site: &SitePlan| json!({ "site": site.name, "hard": { "cpu": (site.each * leaves).to_string() } });
    let limits: Vec<Value> = sites.iter().map(line).collect();
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota", "metadata": { "name": name },
        "spec": { "limits": limits, "unlistedChildren": "Refuse" }
    }))?)
}

fn system(department: &str) -> Result<InformationSystem> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "InformationSystem",
        "metadata": { "name": SYSTEM, "namespace": format!("dept-{department}") },
        "spec": {
            "displayNames": { "zh-CN": { "full": "基准测试系统" }, "en": { "full": "Benchmark" } },
            "protection": { "level": 2 }, "dataClass": "General", "zone": "GovernmentExtranet"
        }
    }))?)
}

#[cfg(test)]
mod tests {
    use super::Region;
    use crate::stage::SitePlan;

    #[test]
    fn the_deep_tree_is_the_region() {
        let region = Region::deep(10).unwrap();
        assert_eq!((region.nodes.len(), region.leaves.len(), region.depth()), (1 + 12 + 103 + 1030, 1030, 3));
        assert_eq!(region.leaves_below("neimenggu"), 1030);
        let part = region.first(3);
        assert_eq!((part.leaves.len(), part.nodes.len()), (3, 6));
    }

    #[test]
    fn the_flat_tree_is_the_baselines() {
        let region = Region::flat("b1", 5, 6);
        assert_eq!((region.nodes.len(), region.leaves.len(), region.depth()), (36, 30, 2));
        let quotas = region.quotas(0, &[SitePlan::joined("a", 10)]).unwrap();
        assert_eq!(quotas[0].spec.limits[0].hard["cpu"].0, "300");
    }
}
