//! The dump, part after part, into programs.

use std::io::Write;
use std::process::{ChildStdin, ChildStdout, Command};

use crate::database::tool::Running;
use crate::engine::{Kind, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::items::path_text;
use crate::run::restore::Ready;
use crate::run::verify::Digesting;
use crate::source::database::DUMP_DIR;

/// A part of a dump.
pub(super) struct Part {
    stored: Stored,
    digest: String,
    size: u64,
}

impl Part {
    /// How long it is, by the manifest.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

/// The parts of a dump, in order. The manifest was proved, so none of them is missing.
pub(super) fn parts(ready: &Ready<'_>) -> Result<Vec<Part>> {
    let (top, mut parts) = (ready.top().join(DUMP_DIR), Vec::new());
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        if stored.kind == Kind::File && stored.path.parent() == Some(&top) {
            parts.push(Part { stored, digest: item.digest, size: item.size });
        }
        Ok(())
    })?;
    Ok(parts)
}

/// Feeds a dump to a program, and to others beside it, and reads what it writes. What it said is the inner error.
pub(super) fn through<T: Send>(
    ready: &Ready<'_>,
    parts: &[Part],
    others: &mut [ChildStdin],
    command: &mut Command,
    read: impl FnOnce(ChildStdout) -> std::io::Result<T> + Send,
) -> Result<std::result::Result<T, String>> {
    let mut running = Running::start(command, ready.control)?;
    let (Some(stdin), Some(stdout)) = (running.stdin.take(), running.stdout.take()) else {
        return Err(WorkerError::engine("starting a program", "it has no pipes"));
    };
    let (fed, got) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(stdout));
        let fed = feed(ready, parts, stdin, others);
        (fed, reading.join())
    });
    if fed.is_err() {
        running.kill();
    }
    let ended = running.end()?;
    fed?;
    if let Err(said) = ended {
        return if ready.control.is_cancelled() { Err(WorkerError::Cancelled) } else { Ok(Err(said)) };
    }
    match got {
        Ok(Ok(got)) => Ok(Ok(got)),
        Ok(Err(error)) => Err(WorkerError::engine("reading what a program writes", error)),
        Err(_) => Err(WorkerError::engine("reading what a program writes", "it panicked")),
    }
}

fn feed(ready: &Ready<'_>, parts: &[Part], stdin: ChildStdin, others: &mut [ChildStdin]) -> Result<()> {
    let mut sinks = Sinks { first: Some(stdin), others };
    for part in parts {
        ready.control.check()?;
        if sinks.are_closed() {
            return Ok(());
        }
        let mut sink = Digesting::new(&mut sinks);
        ready.engine.read(&part.stored, &mut sink)?;
        let (digest, size) = sink.finish();
        if digest != part.digest {
            let problem = "its content is not what the manifest says";
            return Err(WorkerError::damaged(path_text(&part.stored.path), problem));
        }
        ready.control.count_bytes(size);
    }
    Ok(())
}

/// Pipes. A program that reads no more has what it needs, or says at its end what is wrong.
struct Sinks<'a> {
    first: Option<ChildStdin>,
    others: &'a mut [ChildStdin],
}

impl Sinks<'_> {
    fn are_closed(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }
}

impl Write for Sinks<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if let Some(first) = &mut self.first
            && let Err(error) = first.write_all(buffer)
        {
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                return Err(error);
            }
            self.first = None;
        }
        for other in &mut *self.others {
            match other.write_all(buffer) {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
