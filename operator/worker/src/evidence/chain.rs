//! The signed chain of a repository: what happened to it, each link over the one before.
//!
//! A link is created only if it is not there, so two writers cannot both append. The statement is signed as the very text that is
//! stored: no reader has to write JSON the same way again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::signed::{self, broken};
use crate::error::{Result, WorkerError};
use crate::secret::{PublicKey, SigningKey, sha256_hex};
use crate::store::{OWN, Put, Store};

/// The format that is written.
const FORMAT: &str = "zhengyun-chain-1";

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// Position in the chain, from 0.
    pub counter: u64,
    /// SHA-256 of the statement before; empty for the first.
    pub previous: String,
    /// Epoch of the lease under which it was written: a repository that lost its leases does not begin with the first again.
    pub epoch: u64,
    /// When it was made.
    pub at: String,
    /// What happened.
    pub event: Event,
    /// All index files of the repository from now on: a missing one shows although no snapshot may need it.
    pub indexes: Vec<String>,
    /// All snapshots from now on.
    pub snapshots: Vec<String>,
}

/// What happened to a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Event {
    /// It was created.
    #[serde(rename_all = "camelCase")]
    Created {
        /// SHA-256 of its config.
        config: String,
        /// Its escrow key.
        escrow_key: String,
        /// SHA-256 of the wrapped key.
        wrapped_key: String,
    },
    /// A backup was finished.
    Backup(Box<BackupStatement>),
    /// Backups were forgotten. What is missing without such a link was taken away by somebody else.
    #[serde(rename_all = "camelCase")]
    Forgotten {
        /// Which snapshots.
        snapshots: Vec<String>,
    },
    /// What no snapshot needs any more was marked or removed, and the index files were written anew.
    #[serde(rename_all = "camelCase")]
    Pruned {
        /// Packs that are removed.
        packs: u64,
        /// Bytes in them.
        bytes: u64,
    },
}

/// What is signed of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupStatement {
    /// The run.
    pub run: String,
    /// Its attempt.
    pub attempt: u32,
    /// The snapshot.
    pub snapshot: String,
    /// Its root tree.
    pub tree: String,
    /// Merkle root over the manifest.
    pub root: String,
    /// Items in it, the head not counted.
    pub items: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// The oldest capture time of its sources.
    pub captured_at: String,
    /// Names of the sources.
    pub sources: Vec<String>,
    /// Where it was copied from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The repository that a backup was copied from, as it stood then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// SHA-256 of its config.
    pub repository: String,
    /// Snapshot there.
    pub snapshot: String,
    /// Position of the last link of its chain.
    pub counter: u64,
    /// SHA-256 of that link's statement.
    pub head: String,
}

/// A whole, checked chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The statements in order.
    pub statements: Vec<Statement>,
    /// SHA-256 of the last statement.
    pub head: String,
    /// Who signed all of it.
    pub signer: PublicKey,
}

/// What others remember of a chain: enough to notice that an old copy of the repository came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownHead {
    /// Position of the last link.
    pub counter: u64,
    /// SHA-256 of its statement.
    pub head: String,
    /// Who signed it.
    pub signer: String,
}

impl KnownHead {
    /// Reads a head as a report gives it.
    pub fn parse(field: &str, file: &Path, text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            let problem = format!("\"{}\" is no head of a chain: {e}", file.display());
            WorkerError::input(field, problem, "give the object \"chain\" of a backup's report")
        })
    }
}

impl Chain {
    /// Reads and checks every link. With a known signer, only that one is accepted.
    pub fn read(store: &Store, trusted: Option<&PublicKey>) -> Result<Self> {
        let below = format!("{OWN}/chain");
        let mut chain: Option<Self> = None;
        for (expected, stored) in (0_u64..).zip(store.list(&below)?) {
            if stored.name != name(expected) {
                return Err(broken(&name(expected), "it is missing"));
            }
            let bytes = store.get(&stored.name)?.ok_or_else(|| broken(&stored.name, "it is missing"))?;
            let (statement, signer, digest) = open(&stored.name, &bytes)?;
            let before = chain.as_ref().map_or("", |c| c.head.as_str());
            if statement.counter != expected || statement.previous != before {
                return Err(broken(&stored.name, "it does not continue the link before it"));
            }
            if let Some(known) = trusted.or_else(|| chain.as_ref().map(|c| &c.signer))
                && *known != signer
            {
                return Err(broken(
                    &stored.name,
                    &format!("it is signed by \"{}\", not by \"{}\"", signer.text(), known.text()),
                ));
            }
            let mut statements = chain.map(|c| c.statements).unwrap_or_default();
            // Only the last lists are in force; all of them together would grow with the square of the backups.
            if let Some(before) = statements.last_mut() {
                (before.indexes, before.snapshots) = (Vec::new(), Vec::new());
            }
            statements.push(statement);
            chain = Some(Self { statements, head: digest, signer });
        }
        chain.ok_or_else(|| broken(&name(0), "it is missing"))
    }

    /// Appends a link.
    pub fn append(&mut self, store: &Store, key: &SigningKey, statement: Statement) -> Result<()> {
        let digest = write(store, key, &statement)?;
        self.statements.push(statement);
        self.head = digest;
        Ok(())
    }

    /// The next statement.
    pub fn next(&self, epoch: u64, event: Event, indexes: Vec<String>, snapshots: Vec<String>) -> Statement {
        let (counter, at) = (self.statements.len() as u64, jiff::Timestamp::now().to_string());
        Statement { counter, previous: self.head.clone(), epoch, at, event, indexes, snapshots }
    }

    /// The highest epoch that is known to have written.
    pub fn epoch(&self) -> u64 {
        self.last().map_or(0, |statement| statement.epoch)
    }

    /// Makes the first link.
    pub fn create(store: &Store, key: &SigningKey, event: Event) -> Result<Self> {
        let statement = Statement {
            counter: 0,
            previous: String::new(),
            epoch: 0,
            at: jiff::Timestamp::now().to_string(),
            event,
            indexes: Vec::new(),
            snapshots: Vec::new(),
        };
        let head = write(store, key, &statement)?;
        Ok(Self { statements: vec![statement], head, signer: key.public() })
    }

    /// Backups that were not forgotten, oldest first.
    pub fn backups(&self) -> Vec<&BackupStatement> {
        let mut kept: BTreeMap<u64, &BackupStatement> = BTreeMap::new();
        for statement in &self.statements {
            match &statement.event {
                Event::Created { .. } | Event::Pruned { .. } => {}
                Event::Backup(backup) => {
                    kept.insert(statement.counter, backup);
                }
                Event::Forgotten { snapshots } => kept.retain(|_, b| !snapshots.contains(&b.snapshot)),
            }
        }
        kept.into_values().collect()
    }

    /// Their snapshots.
    pub fn snapshots(&self) -> Vec<String> {
        self.backups().into_iter().map(|backup| backup.snapshot.clone()).collect()
    }

    /// Snapshots that were forgotten. One that still stands was about to be removed when its run was killed.
    pub fn forgotten(&self) -> BTreeSet<&str> {
        let events = self.statements.iter().map(|statement| &statement.event);
        events
            .filter_map(|event| if let Event::Forgotten { snapshots } = event { Some(snapshots) } else { None })
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// SHA-256 of the config, by which the repository is known elsewhere.
    pub fn repository(&self) -> Result<&str> {
        match self.statements.first().map(|s| &s.event) {
            Some(Event::Created { config, .. }) => Ok(config),
            _ => Err(WorkerError::damaged("the chain", "it does not begin with the creation of the repository")),
        }
    }

    /// The last statement.
    pub fn last(&self) -> Option<&Statement> {
        self.statements.last()
    }

    /// What others shall remember.
    pub fn known_head(&self) -> KnownHead {
        KnownHead {
            counter: self.statements.len().saturating_sub(1) as u64,
            head: self.head.clone(),
            signer: self.signer.text(),
        }
    }

    /// Fails if the chain does not hold what others remember: then an old copy stands in its place.
    pub fn continues(&self, known: &KnownHead) -> Result<()> {
        let part = "the chain of the repository";
        let fix = "somebody put an old copy in place; restore from another copy and find out who";
        let at = usize::try_from(known.counter).unwrap_or(usize::MAX);
        // The digest of a statement stands in the one after it, and the last one's in `head`.
        let digest = match self.statements.get(at.saturating_add(1)) {
            Some(after) => &after.previous,
            None if at + 1 == self.statements.len() => &self.head,
            None => {
                let problem = format!(
                    "link {} is known elsewhere, and this copy ends at {}",
                    known.counter,
                    self.statements.len().saturating_sub(1)
                );
                return Err(WorkerError::Evidence { part: part.to_owned(), problem, fix: fix.to_owned() });
            }
        };
        if *digest == known.head && self.signer.text() == known.signer {
            return Ok(());
        }
        let problem = format!("link {} is not the one that is known elsewhere", known.counter);
        Err(WorkerError::Evidence { part: part.to_owned(), problem, fix: fix.to_owned() })
    }
}

fn name(counter: u64) -> String {
    format!("{OWN}/chain/{counter:020}.json")
}

fn write(store: &Store, key: &SigningKey, statement: &Statement) -> Result<String> {
    let text = serde_json::to_string(statement).map_err(|e| WorkerError::engine("writing the chain", e))?;
    let bytes = signed::seal(FORMAT, key, &text)?;
    let name = name(statement.counter);
    if !store.put(&name, bytes.clone().into(), Put::Create)? && store.get(&name)?.as_deref() != Some(&bytes) {
        return Err(broken(&name, "another writer appended it at the same moment"));
    }
    Ok(sha256_hex(text.as_bytes()))
}

fn open(name: &str, bytes: &[u8]) -> Result<(Statement, PublicKey, String)> {
    let (text, signer) = signed::open(FORMAT, name, bytes)?;
    let statement =
        serde_json::from_str(&text).map_err(|e| broken(name, &format!("its statement is not readable: {e}")))?;
    Ok((statement, signer, sha256_hex(text.as_bytes())))
}
