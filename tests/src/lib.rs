//! The lab, the demo, the figures, the simulation and the cluster tests of Zhengyun.

pub mod apiserver;
pub mod audit;
pub mod demo;
pub mod figures;
pub mod lab;
pub mod race;
pub mod sim;
pub mod town;
pub mod world;
