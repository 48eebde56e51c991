//! The commands.

pub mod backup;
pub mod init;
pub mod manifest;
pub mod open;
pub mod restore;
pub mod restore_files;
pub mod restore_objects;
pub mod snapshots;
pub mod verify;
