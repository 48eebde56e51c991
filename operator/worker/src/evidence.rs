//! What a backup can prove about itself, without the hub: a list of its items, a tree of digests over it, and a signed chain.

pub mod chain;
pub mod heads;
pub mod items;
pub mod merkle;
pub mod signed;
