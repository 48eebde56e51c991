//! The backup engine of Zhengyun.
//!
//! Captures file trees, Kubernetes namespaces and PostgreSQL databases into a repository in restic's open format, proves what it stored, and restores
//! it, with the store and a key and nothing else. Moves existing systems onto the cloud. A process of its own: the operator starts it,
//! watches its heartbeat and reads its report.

pub mod args;
pub mod cluster;
pub mod control;
pub mod database;
pub mod engine;
pub mod error;
pub mod evidence;
pub mod journal;
pub mod mover;
pub mod run;
pub mod secret;
pub mod source;
pub mod store;
