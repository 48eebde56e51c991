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
mod database;
mod files;
mod keys;
mod kills;
mod lease;
mod moving;
mod namespace;
#[path = "../../../../tests/src/lab/postgres.rs"]
#[expect(unreachable_pub, dead_code, reason = "the lab has the same file, and shows it to others")]
mod postgres;
mod relocating;
mod retention;
mod room;
#[path = "../../../../tests/src/lab/s3.rs"]
#[expect(unreachable_pub, reason = "the lab has the same file, and shows it to others")]
mod s3;
mod store_s3;
mod support;
