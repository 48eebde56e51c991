//! The folder of a run: what it is to do, who does it, what came of it. All of it can be read by the operator's own user alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::ExecutorError;

/// What is to be started.
pub(super) const ORDER: &str = "order.json";
/// Which process it is.
pub(super) const IDENTITY: &str = "process.json";
/// The report.
pub(super) const REPORT: &str = "report.json";
/// Progress and the error.
pub(super) const LOG: &str = "log.jsonl";
/// What the attempt before said.
pub(super) const LOG_BEFORE: &str = "log.before.jsonl";
/// Sign of life.
pub(super) const HEARTBEAT: &str = "heartbeat.json";
/// What outlives an attempt.
pub(super) const KEPT: &str = "kept";
/// Secrets.
pub(super) const SECRETS: &str = "secrets";
/// Files of one attempt.
pub(super) const FILES: &str = "files";

/// The error of a step with a file.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> ExecutorError + '_ {
    move |cause| ExecutorError::Folder { path: path.display().to_string(), cause: cause.to_string() }
}

/// Makes a folder that nobody else may enter.
pub(super) fn make(path: &Path) -> Result<(), ExecutorError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
}

/// Writes a file that nobody else may read, whole or not at all.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), ExecutorError> {
    let staged = path.with_extension("next");
    let put = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&staged, path)
    };
    put().map_err(failed(path))
}

/// Opens a file to be written on at its end.
pub(super) fn appending(path: &Path) -> Result<fs::File, ExecutorError> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed(path))
}

/// Reads a file; none if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, ExecutorError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Takes a file or a folder with everything in it away.
pub(super) fn remove(path: &Path) -> Result<(), ExecutorError> {
    let gone = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Takes away what an attempt said and wrote. What is kept stays, and so does its log beside the next one.
pub(super) fn clear(folder: &Path) -> Result<(), ExecutorError> {
    let log = folder.join(LOG);
    if log.exists() {
        fs::rename(&log, folder.join(LOG_BEFORE)).map_err(failed(&log))?;
    }
    // The identity goes last: as long as it stands, the attempt counts as this one.
    for name in [REPORT, HEARTBEAT, SECRETS, FILES, IDENTITY] {
        remove(&folder.join(name))?;
    }
    Ok(())
}

/// Makes what an attempt needs.
pub(super) fn prepare(folder: &Path) -> Result<(), ExecutorError> {
    for name in [KEPT, SECRETS, FILES] {
        make(&folder.join(name))?;
    }
    Ok(())
}

/// Where a file of one attempt is; the heartbeat stands beside the log.
pub(super) fn of_attempt(folder: &Path, name: &str) -> PathBuf {
    if name == HEARTBEAT { folder.join(name) } else { folder.join(FILES).join(name) }
}
