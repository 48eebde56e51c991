//! A Merkle tree over the lines of a manifest, built as they pass by.
//!
//! Leaves and inner nodes are told apart by their first byte, as in RFC 6962 section 2.1, so that no line passes for a node. Each
//! leaf is salted with a secret of the manifest: the root stands in clear beside the repository, and nobody shall try out what a small
//! Secret might have said.

use sha2::{Digest, Sha256};

/// A digest.
pub type Hash = [u8; 32];

/// Builds the root.
#[derive(Clone, Debug)]
pub struct Merkle {
    salt: Vec<u8>,
    /// Roots of full subtrees, each with its height; the highest first.
    stack: Vec<(u32, Hash)>,
    leaves: u64,
}

impl Merkle {
    /// An empty tree.
    pub fn new(salt: &[u8]) -> Self {
        Self { salt: salt.to_vec(), stack: Vec::new(), leaves: 0 }
    }

    /// Adds a line.
    pub fn add(&mut self, line: &[u8]) {
        let mut hash: Hash =
            Sha256::new().chain_update([0]).chain_update(&self.salt).chain_update(line).finalize().into();
        let mut height = 0;
        while let Some((_, left)) = self.stack.pop_if(|(h, _)| *h == height) {
            hash = join(&left, &hash);
            height += 1;
        }
        self.stack.push((height, hash));
        self.leaves += 1;
    }

    /// How many lines there are.
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root over all lines so far.
    pub fn root(&self) -> Hash {
        let mut right_to_left = self.stack.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = right_to_left.next() else { return Sha256::digest(&self.salt).into() };
        right_to_left.fold(last, |right, left| join(&left, &right))
    }
}

fn join(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{Hash, Merkle, join};
    use sha2::{Digest, Sha256};

    fn root(lines: &[&str]) -> Hash {
        let mut tree = Merkle::new(b"s");
        for line in lines {
            tree.add(line.as_bytes());
        }
        tree.root()
    }

    fn leaf(line: &str) -> Hash {
        Sha256::digest([&[0], &b"s"[..], line.as_bytes()].concat()).into()
    }

    #[test]
    fn it_is_the_tree_of_rfc_6962() {
        let [one, two, three, four, five] = ["a", "b", "c", "d", "e"].map(leaf);
        assert_eq!(root(&["a"]), one);
        assert_eq!(root(&["a", "b", "c"]), join(&join(&one, &two), &three));
        assert_eq!(root(&["a", "b", "c", "d", "e"]), join(&join(&join(&one, &two), &join(&three, &four)), &five));
    }

    #[test]
    fn order_number_and_salt_count() {
        assert_ne!(root(&["a", "b"]), root(&["b", "a"]));
        assert_ne!(root(&["a", "b"]), root(&["a", "b", "b"]));
        let mut other = Merkle::new(b"t");
        other.add(b"a");
        assert_ne!(other.root(), root(&["a"]));
    }
}
