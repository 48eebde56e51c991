//! What can go wrong, in the words of who can mend it.
//!
//! Every error names the field or part, its value and the fix. No error repeats a password or a key.

use std::path::PathBuf;

/// The result of a step of the worker.
pub type Result<T> = std::result::Result<T, WorkerError>;

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// An argument or a file it names cannot be used.
    #[error("{field}: {problem}; {fix}")]
    Input {
        /// The argument or file.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// The key does not open this repository. Nothing was written.
    #[error("{key} does not open the repository at {store}: {problem}; give the key of this repository")]
    WrongKey {
        /// Which key was tried.
        key: String,
        /// The repository.
        store: String,
        /// What was seen.
        problem: String,
    },
    /// There is no repository at the place.
    #[error("{store} holds no repository; create one with `zhengyun-worker init`, or correct --store")]
    NoRepository {
        /// The place.
        store: String,
    },
    /// There is a repository at the place already.
    #[error("{store} holds a repository already; it is left as it is; choose an empty place")]
    RepositoryExists {
        /// The place.
        store: String,
    },
    /// The store does not answer or refuses.
    #[error("store {store}, {action}: {cause}; make the store reachable and run the command again")]
    Store {
        /// The place.
        store: String,
        /// What was tried.
        action: String,
        /// The innermost cause.
        cause: String,
    },
    /// The store has no room. What was stored before stays good.
    #[error("store {store} is full, {action}: {cause}; give it room and run the command again: it resumes")]
    StoreFull {
        /// The place.
        store: String,
        /// What was tried.
        action: String,
        /// The innermost cause.
        cause: String,
    },
    /// The run would make the repository larger than it may be. What was stored before stays good.
    #[error(
        "--repository-limit: the repository may hold {limit} bytes and has room for {left}, {asked} more were to be written; the run stops and the backups before it stay; raise spec.ceiling of the plan, or keep fewer backups"
    )]
    QuotaExceeded {
        /// Bytes that it may hold.
        limit: u64,
        /// What of it is left.
        left: u64,
        /// What was to be written next.
        asked: u64,
    },
    /// The store answers and refuses; it will refuse again until somebody mends it.
    #[error("store {store}, {action}: {problem}; {fix}")]
    StoreRefused {
        /// The place.
        store: String,
        /// What was tried.
        action: String,
        /// Word for programs.
        reason: &'static str,
        /// What it said.
        problem: String,
        /// What to do.
        fix: &'static str,
    },
    /// Somebody else works on the repository.
    #[error("the repository is held by run {run} attempt {attempt} of {holder}; wait for it, or give --lease-wait")]
    Busy {
        /// Host and process.
        holder: String,
        /// Their run.
        run: String,
        /// Their attempt.
        attempt: u32,
    },
    /// Somebody else took the repository over; this run may not write any more.
    #[error("lease epoch {ours} was taken over by epoch {theirs}; this run wrote nothing since; start it again")]
    LeaseLost {
        /// The epoch of this run.
        ours: u64,
        /// The epoch in force.
        theirs: u64,
    },
    /// A part of the source cannot be read. No snapshot is kept of such a run.
    #[error("source {name}: {what} cannot be read: {cause}; make it readable or take it out of the source")]
    Unreadable {
        /// The source.
        name: String,
        /// The file or kind.
        what: String,
        /// The cause.
        cause: String,
    },
    /// Something in the repository is not what was written.
    #[error("{part} is damaged: {problem}; restore from another copy, or choose another backup")]
    Damaged {
        /// The part.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The evidence does not hold.
    #[error("{part} does not prove: {problem}; {fix}")]
    Evidence {
        /// The signature, the chain or the manifest.
        part: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// The named backup is not there.
    #[error("backup {wanted} is not in the repository; `zhengyun-worker snapshots` lists what is")]
    NoBackup {
        /// What was asked for.
        wanted: String,
    },
    /// The target of a restore stands in the way.
    #[error("target {target}: {problem}; {fix}")]
    Target {
        /// Directory or namespace.
        target: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// The API server of a source or target.
    #[error("API server, {action}: {cause}; {fix}")]
    Cluster {
        /// What was tried.
        action: String,
        /// The cause.
        cause: String,
        /// What to do.
        fix: String,
        /// Whether it may answer later.
        transient: bool,
    },
    /// A program that is needed is not there.
    #[error(
        "{tool} cannot be used: {cause}; install the client programs of PostgreSQL (Debian: postgresql-client), or correct --postgres-bin"
    )]
    ToolMissing {
        /// The program.
        tool: String,
        /// What was seen.
        cause: String,
    },
    /// A database of a source or target.
    #[error("database {database}: {problem}; {fix}")]
    Database {
        /// Host, port and database.
        database: String,
        /// Word for programs.
        reason: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// Some items could not be restored; the report names each.
    #[error("{failed} of {total} items were not restored; the report names each; mend the causes and restore again")]
    Incomplete {
        /// How many failed.
        failed: u64,
        /// How many there are.
        total: u64,
    },
    /// Verification found something; the report names each part.
    #[error("verification found {findings} defects, first: {first}; restore from another copy until it is mended")]
    NotIntact {
        /// How many.
        findings: usize,
        /// The first of them.
        first: String,
    },
    /// A migration may not do this now, or does not come to what it should.
    #[error("{subject}: {problem}; {fix}")]
    Move {
        /// Word for programs.
        reason: &'static str,
        /// The side, the file or the record.
        subject: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        fix: String,
        /// Whether the same command may help later.
        transient: bool,
    },
    /// The run was asked to stop. It can be resumed.
    #[error("the run was cancelled; run the same command again to resume it")]
    Cancelled,
    /// The local disk or another part of the machine.
    #[error("{path}: {cause}; make it usable and run the command again")]
    Local {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// A fault of the engine itself.
    #[error("engine, {action}: {cause}; report this with the output of the command")]
    Engine {
        /// What was done.
        action: String,
        /// The cause.
        cause: String,
    },
}

impl WorkerError {
    /// Something about an argument.
    pub fn input(field: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Input { field: field.into(), problem: problem.into(), fix: fix.into() }
    }

    /// Something about the local disk.
    pub fn local(path: impl Into<PathBuf>, cause: impl std::fmt::Display) -> Self {
        Self::Local { path: path.into(), cause: cause.to_string() }
    }

    /// A damaged part.
    pub fn damaged(part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Damaged { part: part.into(), problem: problem.into() }
    }

    /// A fault of the engine.
    pub fn engine(action: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Engine { action: action.into(), cause: cause.to_string() }
    }

    /// Something that keeps a migration from going on.
    pub fn moving(
        reason: &'static str,
        subject: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::Move { reason, subject: subject.into(), problem: problem.into(), fix: fix.into(), transient: false }
    }

    /// A word for conditions and for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Input { .. } => "InvalidInput",
            Self::WrongKey { .. } => "WrongKey",
            Self::NoRepository { .. } => "NoRepository",
            Self::RepositoryExists { .. } => "RepositoryExists",
            Self::Store { .. } => "StoreUnreachable",
            Self::StoreFull { .. } => "StoreFull",
            Self::QuotaExceeded { .. } => "QuotaExceeded",
            Self::StoreRefused { reason, .. } | Self::Database { reason, .. } | Self::Move { reason, .. } => reason,
            Self::Busy { .. } => "RepositoryBusy",
            Self::LeaseLost { .. } => "LeaseLost",
            Self::Unreadable { .. } => "SourceUnreadable",
            Self::Damaged { .. } => "RepositoryDamaged",
            Self::Evidence { .. } => "EvidenceInvalid",
            Self::NoBackup { .. } => "NoSuchBackup",
            Self::Target { .. } => "TargetInvalid",
            Self::Cluster { .. } => "ClusterFailed",
            Self::ToolMissing { .. } => "ToolMissing",
            Self::Incomplete { .. } => "RestoreIncomplete",
            Self::NotIntact { .. } => "NotIntact",
            Self::Cancelled => "Cancelled",
            Self::Local { .. } => "LocalFailure",
            Self::Engine { .. } => "EngineFailure",
        }
    }

    /// Whether the same command helps later without anybody mending anything.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store { .. } | Self::Busy { .. } | Self::LeaseLost { .. } | Self::Cancelled => true,
            Self::Cluster { transient, .. } | Self::Move { transient, .. } => *transient,
            _ => false,
        }
    }
}
