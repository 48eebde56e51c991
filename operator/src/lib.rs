//! The hands of Zhengyun: controllers that carry out what the domain decides, the ledger's one writer, and the site drivers.

pub mod controllers;
pub mod executor;
pub mod ledger;
pub mod runtime;
pub mod site;
