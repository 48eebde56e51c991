//! The commands.

pub mod backup;
pub mod forget;
pub mod init;
pub mod manifest;
pub mod open;
pub mod probe;
pub mod prune;
pub mod replicate;
pub mod restore;
pub mod restore_database;
pub mod restore_files;
pub mod restore_objects;
pub mod snapshots;
pub mod verify;
pub mod writing;
