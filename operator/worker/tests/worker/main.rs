//! The worker as its users have it: the program on real directories, with Debian's restic beside it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod copies;
mod damage;
mod files;
mod keys;
mod kills;
mod lease;
mod namespace;
mod retention;
mod support;
