//! Goes through stored trees in order, with memory for one path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustic_core::repofile::Node;
use rustic_core::{IndexedFullStatus, Repository, TreeId};

use super::rustic::told;
use super::{Stored, node};
use crate::error::Result;

/// A repository that can be read.
pub type Readable = Arc<Repository<IndexedFullStatus>>;

/// All nodes below a tree: parents before children.
pub struct Walk {
    repository: Readable,
    open: Vec<(PathBuf, std::vec::IntoIter<Node>)>,
}

impl Walk {
    /// Starts at a root.
    pub fn new(repository: Readable, root: TreeId) -> Result<Self> {
        let mut walk = Self { repository, open: Vec::new() };
        walk.enter(PathBuf::new(), root)?;
        Ok(walk)
    }

    fn enter(&mut self, path: PathBuf, tree: TreeId) -> Result<()> {
        let read = self.repository.get_tree(&tree);
        let tree = read.map_err(|e| told(&format!("reading the tree of /{}", path.display()), &e))?;
        self.open.push((path, tree.nodes.into_iter()));
        Ok(())
    }

    fn step(&mut self, parent: &Path, node: Node) -> Result<(Node, Stored)> {
        let stored = node::from_node(parent, &node)?;
        if let Some(tree) = node.subtree {
            self.enter(stored.path.clone(), tree)?;
        }
        Ok((node, stored))
    }
}

impl Iterator for Walk {
    type Item = Result<(Node, Stored)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (path, nodes) = self.open.last_mut()?;
            if let Some(node) = nodes.next() {
                let parent = path.clone();
                return Some(self.step(&parent, node));
            }
            self.open.pop();
        }
    }
}
