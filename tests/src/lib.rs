//! The lab, the demo, the figures and the cluster tests of Zhengyun.

pub mod audit;
pub mod demo;
pub mod figures;
pub mod lab;
pub mod race;
pub mod town;
pub mod world;
