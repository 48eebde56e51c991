//! Command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use zhengyun_crds::recovery::ExistingPolicy;
use zhengyun_worker::cluster::ClusterArgs;
use zhengyun_worker::control::ProgressForm;
use zhengyun_worker::database::{DatabaseArgs, DatabaseTargetArgs};
use zhengyun_worker::run::open::{KeyArgs, TrustArgs};
use zhengyun_worker::run::restore as worker;
use zhengyun_worker::store::open::StoreArgs;

/// Works out what a restore of a namespace, database or file tree would do, and carries out exactly that.
///
/// Without --agreed nothing is written: the report names what would become of every object, and a digest of that. With --agreed the
/// same is worked out again, and carried out only if its digest is the agreed one. Reports are JSON on stdout, progress and the error
/// are JSON lines on stderr. Exit codes: 0 done, 1 failure or refusal, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "zhengyun-restorer", version)]
pub(crate) struct Args {
    /// Form of progress on stderr.
    #[arg(long, value_enum, default_value_t = ProgressForm::Json, global = true)]
    pub progress: ProgressForm,
    /// File that is replaced every second while the process lives.
    #[arg(long, value_name = "FILE", global = true)]
    pub heartbeat_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Restore one namespace of a backup.
    Restore(Box<RestoreArgs>),
    /// Restore one database of a backup.
    RestoreDatabase(Box<DatabaseRestoreArgs>),
    /// Remove databases that were made by `restore-database --scratch`.
    RemoveDatabases(Box<DatabaseRemoveArgs>),
    /// Restore one file tree of a backup.
    RestoreFiles(Box<FilesRestoreArgs>),
}

/// From where to which directory.
#[derive(Debug, clap::Args)]
pub(crate) struct FilesRestoreArgs {
    /// From where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known of the repository.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Directory that receives it, by a path without symbolic links; one that is not there is made, in one that is.
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// Snapshot of the backup.
    #[arg(long, value_name = "SNAPSHOT")]
    pub snapshot: String,
    /// Root of the backup's manifest, as it was recorded when the backup was made.
    #[arg(long, value_name = "HEX")]
    pub root: String,
    /// Source in the backup.
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// What becomes of a directory that is not empty.
    #[arg(long, value_enum)]
    pub existing: Existing,
    /// Digest of the plan that is carried out; without it nothing is written.
    #[arg(long, value_name = "DIGEST", conflicts_with = "scratch")]
    pub agreed: Option<String>,
    /// The target is for this restore alone: what is worked out needs nobody's agreement and is carried out at once.
    #[arg(long)]
    pub scratch: bool,
    /// Folder for what must be known again when a killed process is followed by another one.
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// New file for the outcome of every item, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
}

/// From where to which database.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseRestoreArgs {
    /// From where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known of the repository.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// API server at which Secrets say how the database is reached.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseTargetArgs,
    /// Snapshot of the backup.
    #[arg(long, value_name = "SNAPSHOT")]
    pub snapshot: String,
    /// Root of the backup's manifest, as it was recorded when the backup was made.
    #[arg(long, value_name = "HEX")]
    pub root: String,
    /// Source in the backup.
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// What becomes of a database that is not empty and differs.
    #[arg(long, value_enum)]
    pub existing: Existing,
    /// Digest of the plan that is carried out; without it nothing is written.
    #[arg(long, value_name = "DIGEST", conflicts_with = "scratch")]
    pub agreed: Option<String>,
    /// Name of a database that is made for this restore alone, on the server of --target-database-file; what is worked out needs
    /// nobody's agreement and is carried out at once.
    #[arg(long, value_name = "NAME", requires_all = ["target_database_file", "server_named_by", "attempt"])]
    pub scratch: Option<String>,
    /// Database that it is made like.
    #[arg(long, value_name = "NAME", default_value = "template0")]
    pub template: String,
    /// What names that server, for messages.
    #[arg(long, value_name = "TEXT")]
    pub server_named_by: Option<String>,
    /// How often a process was started for this, with this one: of those that ran elsewhere nobody here knows what they wrote.
    #[arg(long, value_name = "NUMBER")]
    pub attempt: Option<u32>,
    /// Folder for what must be known again when a killed process is followed by another one.
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// New file for the outcome of every object, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
}

/// Which databases, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseRemoveArgs {
    /// File with the login of the database that they were made from.
    #[arg(long, value_name = "FILE")]
    pub target_database_file: PathBuf,
    /// What is true of all databases.
    #[command(flatten)]
    pub databases: DatabaseArgs,
    /// Name of one; may be given several times.
    #[arg(long, value_name = "NAME", required = true)]
    pub scratch: Vec<String>,
    /// What names that server, for messages.
    #[arg(long, value_name = "TEXT")]
    pub server_named_by: String,
}

/// From where to where.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// From where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known of the repository.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// API server of the target.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Snapshot of the backup.
    #[arg(long, value_name = "SNAPSHOT")]
    pub snapshot: String,
    /// Root of the backup's manifest, as it was recorded when the backup was made.
    #[arg(long, value_name = "HEX")]
    pub root: String,
    /// Source in the backup.
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// Name of the backup, for the plan.
    #[arg(long, value_name = "NAME")]
    pub backup: String,
    /// Name of the store, for the plan.
    #[arg(long, value_name = "NAME")]
    pub store_name: String,
    /// Department that both belong to.
    #[arg(long, value_name = "NAME")]
    pub department: String,
    /// Site of the target.
    #[arg(long, value_name = "NAME")]
    pub site: String,
    /// Grant of the target.
    #[arg(long, value_name = "NAME")]
    pub grant: String,
    /// UID of that grant.
    #[arg(long, value_name = "UID")]
    pub grant_uid: String,
    /// Namespace of that grant at the site.
    #[arg(long, value_name = "NAME")]
    pub namespace: String,
    /// What becomes of objects that are there already and differ.
    #[arg(long, value_enum)]
    pub existing: Existing,
    /// Digest of the plan that is carried out; without it nothing is written.
    #[arg(long, value_name = "DIGEST", conflicts_with = "scratch")]
    pub agreed: Option<String>,
    /// The target was made for this restore alone: what is worked out needs nobody's agreement and is carried out at once.
    #[arg(long)]
    pub scratch: bool,
    /// Folder for what must be known again when a killed process is followed by another one.
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// New file for the outcome of every object that was written, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
}

/// What becomes of objects that are there already and differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Existing {
    /// They are a conflict, and nothing is restored.
    Fail,
    /// They stay.
    Skip,
    /// They are replaced.
    Replace,
}

impl From<Existing> for worker::Existing {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Fail => Self::Fail,
            Existing::Skip => Self::Skip,
            Existing::Replace => Self::Replace,
        }
    }
}

impl From<Existing> for ExistingPolicy {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Fail => Self::Fail,
            Existing::Skip => Self::Skip,
            Existing::Replace => Self::Replace,
        }
    }
}
