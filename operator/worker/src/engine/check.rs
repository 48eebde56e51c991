//! Compares the files of a repository with their names and with each other, without decrypting any content.

use std::collections::BTreeMap;

use rustic_core::FileType;
use rustic_core::repofile::IndexFile;

use super::Finding;
use super::backend::digest;
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::store::{Store, Stored};

/// Packs that the index names, with their sizes.
fn indexed(files: &[IndexFile]) -> BTreeMap<String, u64> {
    let packs = files.iter().flat_map(|file| file.packs.iter().chain(&file.packs_to_delete));
    packs.map(|pack| (pack.id.to_hex().to_string(), u64::from(pack.pack_size()))).collect()
}

/// All findings. Packs are compared by name and size, and read if everything is to be read; snapshots and keys are always read.
pub fn files(store: &Store, index: &[IndexFile], everything: bool, control: &Control) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut missing = indexed(index);
    for stored in store.list(FileType::Pack.dirname())? {
        control.check()?;
        control.count_item();
        let id = last(&stored).to_owned();
        // In another directory, it is not found by whoever needs it.
        let known = if stored.name == pack_name(&id) { missing.remove(&id) } else { None };
        if let Some(size) = known
            && size != stored.size
        {
            findings.push(finding(&stored.name, format!("it has {} bytes, not {size}", stored.size)));
        } else if everything {
            findings.extend(named(store, &stored, control)?);
        }
    }
    findings.extend(missing.into_keys().map(|id| finding(&pack_name(&id), "it is missing".to_owned())));
    for kind in [FileType::Snapshot, FileType::Key] {
        for stored in store.list(kind.dirname())? {
            findings.extend(named(store, &stored, control)?);
        }
    }
    Ok(findings)
}

/// One pack against its name.
pub fn pack(store: &Store, id: &str, control: &Control) -> Result<Option<Finding>> {
    let found = named(store, &Stored { name: pack_name(id), size: 0 }, control)?;
    Ok(found.map(|finding| Finding { needed: true, ..finding }))
}

fn named(store: &Store, stored: &Stored, control: &Control) -> Result<Option<Finding>> {
    control.check()?;
    let bytes = match store.get(&stored.name) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Some(finding(&stored.name, "it is missing".to_owned()))),
        Err(WorkerError::Damaged { part, problem }) => return Ok(Some(finding(&part, problem))),
        Err(other) => return Err(other),
    };
    control.count_bytes(bytes.len() as u64);
    let id = last(stored);
    // What is named like no digest is none of the repository's: restic does not look at it either.
    if id.len() != 64 || digest(&bytes) == id {
        return Ok(None);
    }
    Ok(Some(finding(&stored.name, "its content is not that of its name".to_owned())))
}

fn finding(part: &str, problem: String) -> Finding {
    Finding { part: part.to_owned(), problem, needed: false }
}

fn last(stored: &Stored) -> &str {
    stored.name.rsplit('/').next().unwrap_or_default()
}

fn pack_name(id: &str) -> String {
    format!("data/{}/{id}", id.get(..2).unwrap_or_default())
}
