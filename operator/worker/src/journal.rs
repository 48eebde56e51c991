//! What a run has done, on the local disk: a killed process goes on from here.
//!
//! A batch counts once its own file is there; that file is renamed into place after the batch's snapshot is stored. Whoever loses
//! the journal starts a new attempt, which reads everything again and uploads only what is not in the store.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Result, WorkerError};
use crate::evidence::items::{Item, SourceRecord, line, parse, path_of, path_text};

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    run: Run,
    batches: Vec<BatchRecord>,
}

/// What is captured, and into what: a journal of anything else is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// The run.
    pub run: String,
    /// Its attempt.
    pub attempt: u32,
    /// The repository.
    pub store: String,
    /// The sources, by name and origin.
    pub sources: Vec<String>,
}

/// A batch that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchRecord {
    /// Its number, from 1.
    pub number: u32,
    /// Its source.
    pub source: String,
    /// Its snapshot.
    pub snapshot: String,
    /// The last path in it.
    pub last: String,
    /// What the source said of itself when the batch ended.
    pub record: SourceRecord,
    /// Whether the source was at its end.
    pub ended: bool,
}

impl Journal {
    /// Opens the journal of a run, or begins one. What belongs to another attempt or to other sources is dropped.
    pub fn open(below: &Path, run: &Run) -> Result<Self> {
        // The name of a run is an argument and must not lead out of the directory.
        let directory = below.join(crate::secret::sha256_hex(run.run.as_bytes()).get(..32).unwrap_or_default());
        let mut builder = fs::DirBuilder::new();
        // The journal holds names and digests of what is captured.
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&directory).map_err(|e| WorkerError::local(&directory, e))?;
        let mut journal = Self { directory, run: run.clone(), batches: Vec::new() };
        if read::<Run>(&journal.file("run.json"))?.as_ref() != Some(run) {
            journal.clear()?;
            write(&journal.file("run.json"), run)?;
        }
        for number in 1.. {
            match read(&journal.batch_file(number))? {
                // After a power cut, a file may be there and the one that was renamed before it not.
                Some(batch) if journal.items_file(number).is_file() => journal.batches.push(batch),
                _ => break,
            }
        }
        Ok(journal)
    }

    /// The batches so far.
    pub fn batches(&self) -> &[BatchRecord] {
        &self.batches
    }

    /// Keeps the first batches and drops the rest.
    pub fn keep(&mut self, number: usize) -> Result<()> {
        for batch in self.batches.split_off(number.min(self.batches.len())).iter().rev() {
            remove(&self.batch_file(batch.number))?;
        }
        Ok(())
    }

    /// Where a source goes on, and whether it is at its end.
    pub fn progress(&self, source: &str) -> (Option<PathBuf>, bool) {
        let last = self.batches.iter().rfind(|batch| batch.source == source);
        last.map_or((None, false), |batch| (path_of(&batch.last), batch.ended))
    }

    /// Enters a batch that is stored.
    pub fn enter(&mut self, batch: BatchRecord, items: &[Item]) -> Result<()> {
        let file = self.items_file(batch.number);
        let staged = file.with_extension("next");
        let broken = |e: std::io::Error| WorkerError::local(&staged, e);
        let mut writer = BufWriter::new(File::create(&staged).map_err(broken)?);
        for item in items {
            writer.write_all(&line(item)?).and_then(|()| writer.write_all(b"\n")).map_err(broken)?;
        }
        writer.into_inner().map_err(|e| broken(e.into_error()))?.sync_all().map_err(broken)?;
        fs::rename(&staged, &file).map_err(broken)?;
        write(&self.batch_file(batch.number), &batch)?;
        self.batches.push(batch);
        Ok(())
    }

    /// Goes through the items of all batches, in order.
    pub fn items(&self, mut visitor: impl FnMut(&[u8], Item) -> Result<()>) -> Result<()> {
        for batch in &self.batches {
            let file = self.items_file(batch.number);
            let open = File::open(&file).map_err(|e| WorkerError::local(&file, e))?;
            for text in BufReader::new(open).split(b'\n') {
                let text = text.map_err(|e| WorkerError::local(&file, e))?;
                visitor(&text, parse(&text)?)?;
            }
        }
        Ok(())
    }

    /// A file of this run's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The run is over: nothing of it is needed here.
    pub fn finish(self) -> Result<()> {
        fs::remove_dir_all(&self.directory).map_err(|e| WorkerError::local(&self.directory, e))
    }

    /// The name of the run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    fn clear(&self) -> Result<()> {
        // `run.json` goes first: a half cleared journal is nobody's.
        remove(&self.file("run.json"))?;
        for entry in fs::read_dir(&self.directory).map_err(|e| WorkerError::local(&self.directory, e))? {
            let entry = entry.map_err(|e| WorkerError::local(&self.directory, e))?;
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir {
                fs::remove_dir_all(entry.path()).map_err(|e| WorkerError::local(entry.path(), e))?;
            } else {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn batch_file(&self, number: u32) -> PathBuf {
        self.file(&format!("batch-{number:06}.json"))
    }

    fn items_file(&self, number: u32) -> PathBuf {
        self.file(&format!("items-{number:06}.jsonl"))
    }
}

impl BatchRecord {
    /// A record of a batch that ends with a path.
    pub fn new(number: u32, snapshot: String, last: &Path, record: SourceRecord, ended: bool) -> Self {
        Self { number, source: record.name.clone(), snapshot, last: path_text(last), record, ended }
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    match fs::read(file) {
        // What is not readable was not written to its end, or by another version: it is as good as not there.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(WorkerError::local(file, error)),
    }
}

fn write<T: Serialize>(file: &Path, value: &T) -> Result<()> {
    let staged = file.with_extension("next");
    let broken = |e: std::io::Error| WorkerError::local(&staged, e);
    let mut open = File::create(&staged).map_err(broken)?;
    open.write_all(&line(value)?).and_then(|()| open.sync_all()).map_err(broken)?;
    fs::rename(&staged, file).map_err(broken)
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(WorkerError::local(file, error)),
        _ => Ok(()),
    }
}
