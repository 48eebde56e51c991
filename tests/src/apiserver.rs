//! An **in-memory API server** with the semantics of kube-apiserver for what the product uses, for simulations: thousands of
//! runs a minute, on a paused clock, each the same for the same seed.
//!
//! It is driven through [`kube::Client`]s, so real controllers and the real REST API run on it. What it does not model it answers
//! with 501, which fails a run, rather than with a guess. Its truth is a real kube-apiserver: `tests/tests/conformance` plays the
//! same random operations on both and compares.
//!
//! Modelled: kinds by discovery and by CustomResourceDefinitions (schema, defaults, pruning, CEL rules, status subresource,
//! selectable fields), resourceVersion, UID, generation, create, update, merge patch, JSON patch, server-side apply, preconditions,
//! finalizers and deletion, dry run, lists in pages, watches with bookmarks and 410, metadata-only answers, admission policies,
//! `TokenReview`, `SubjectAccessReview`. The cluster's own controllers (namespaces, garbage collection, quota counts, binding of
//! volumes) are **simulated** in [`housekeeping`].
//!
//! Not modelled: authorization by RBAC (the caller says who may what), `managedFields` in answers, conversion between versions,
//! protobuf, tables, strategic merge patches, eviction, sub-resources other than `status`.

pub mod admission;
mod answer;
mod apply;
mod ask;
pub mod cel;
mod create;
mod defaults;
mod delete;
mod door;
mod fields;
mod form;
pub mod housekeeping;
mod kinds;
mod list;
mod meta;
mod patches;
mod pulse;
mod reviews;
pub mod schema;
mod selector;
mod serve;
mod store;
mod update;
mod user;
mod watch;
mod write;

pub use answer::{Answer, AnswerBody, BoxError, Refusal};
pub use door::Service;
pub use kinds::KindInfo;
pub use pulse::Changes;
pub use serve::{Apiserver, ApiserverOptions, Everything, Rights};
pub use store::{Commit, Journal, Key, Verb};
pub use user::User;
