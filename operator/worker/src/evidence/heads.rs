//! What a store remembers of the repositories in other stores: the last head of their chains, signed.
//!
//! With it an old copy of a repository shows although nobody else remembers it: whoever puts an old copy into one store has to do the
//! same in all the others at once.

use serde::{Deserialize, Serialize};

use super::chain::{Chain, KnownHead};
use super::signed::{self, broken};
use crate::error::{Result, WorkerError};
use crate::secret::SigningKey;
use crate::store::{OWN, Put, Store};

/// The format that is written.
const FORMAT: &str = "zhengyun-head-1";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Remembered {
    /// SHA-256 of the config of the repository that it is about.
    repository: String,
    head: KnownHead,
    at: String,
}

fn below() -> String {
    format!("{OWN}/heads")
}

fn name(repository: &str) -> String {
    format!("{}/{repository}.json", below())
}

/// Writes the head of a chain into another store. An older one is replaced if the chain continues it, a newer one stays.
///
/// # Errors
/// When the chain does not hold what is remembered: that is what the head is remembered for, so it stays.
pub fn remember(store: &Store, key: &SigningKey, chain: &Chain) -> Result<()> {
    let repository = chain.repository()?;
    let head = chain.known_head();
    // What cannot be read is written anew.
    if let Ok(Some((before, _))) = read(store, repository) {
        if before.head.counter > head.counter {
            return Ok(());
        }
        chain.continues(&before.head)?;
    }
    let body = Remembered { repository: repository.to_owned(), head, at: jiff::Timestamp::now().to_string() };
    let text = serde_json::to_string(&body).map_err(|e| WorkerError::engine("writing a head", e))?;
    store.put(&name(repository), signed::seal(FORMAT, key, &text)?.into(), Put::Replace).map(drop)
}

/// Fails if a chain does not hold what a store remembers of it; what cannot be read does not count, and is found by verification.
pub fn agrees(store: &Store, chain: &Chain) -> Result<()> {
    match read(store, chain.repository()?) {
        Ok(Some((remembered, _))) => chain.continues(&remembered.head),
        Ok(None) | Err(WorkerError::Evidence { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Passes on what one store remembers of third ones to another.
pub fn pass_on(from: &Store, to: &Store, of: &[&str], signer: &str) -> Result<()> {
    for stored in from.list(&below())? {
        let id = stored.name.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
        // What is not signed by the same key is not passed on.
        let Ok(Some((theirs, bytes))) = read(from, &id) else { continue };
        let known = read(to, &id).ok().flatten().map(|(ours, _)| ours.head.counter);
        let is_newer = known.is_none_or(|ours| ours < theirs.head.counter);
        if is_newer && theirs.head.signer == signer && !of.contains(&id.as_str()) {
            to.put(&name(&id), bytes.into(), Put::Replace)?;
        }
    }
    Ok(())
}

/// Fails if a chain does not hold what another store remembers of it. Nothing is remembered of a repository that was never copied.
pub fn check(peer: &Store, chain: &Chain) -> Result<()> {
    let id = chain.repository()?;
    match read(peer, id)? {
        None => Ok(()),
        Some((remembered, _)) if remembered.head.signer != chain.signer.text() => {
            Err(broken(&name(id), "it is signed by another key than the chain"))
        }
        Some((remembered, _)) => chain.continues(&remembered.head),
    }
}

/// What of the heads in a store does not prove.
pub fn inspect(store: &Store) -> Result<()> {
    for stored in store.list(&below())? {
        let id = stored.name.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
        if read(store, &id)?.is_none() {
            return Err(broken(&stored.name, "it is named like no repository; remove it if nobody knows it"));
        }
    }
    Ok(())
}

fn read(store: &Store, repository: &str) -> Result<Option<(Remembered, Vec<u8>)>> {
    let name = name(repository);
    let Some(bytes) = store.get(&name)? else { return Ok(None) };
    let (text, signer) = signed::open(FORMAT, &name, &bytes)?;
    let body: Remembered = serde_json::from_str(&text).map_err(|_| broken(&name, "its statement is not readable"))?;
    if body.repository != repository || body.head.signer != signer.text() {
        return Err(broken(&name, "it is about another repository, or not signed by whom it names"));
    }
    Ok(Some((body, bytes.to_vec())))
}
