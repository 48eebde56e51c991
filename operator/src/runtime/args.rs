//! Command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};

use super::writes::CrashPoint;

/// Controllers of Zhengyun: departments, quotas, sites, catalogue, requests and grants.
///
/// Runs until SIGTERM or SIGINT, then finishes the steps under way, releases its lease and ends within 20 seconds.
/// Exit codes: 0 done, 1 failure at run time, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "zhengyun-operator", version)]
pub struct Args {
    /// Options of the operator itself.
    #[command(flatten)]
    pub connection: Connection,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "ZHENGYUN_METRICS_LISTEN", default_value = "0.0.0.0:9090")]
    pub metrics_listen: SocketAddr,
    /// Form of the log.
    #[arg(long, env = "ZHENGYUN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json, global = true)]
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `zhengyun_operator=debug`.
    #[arg(long, env = "ZHENGYUN_LOG", default_value = "info", global = true)]
    pub log: String,
    /// Reconciles of one controller at a time.
    #[arg(long, env = "ZHENGYUN_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Seconds after which an operator that no longer renews its lease is taken for dead.
    #[arg(long, env = "ZHENGYUN_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(4..=120))]
    pub lease_seconds: u64,
    /// Name of this operator in the lease and the ledgers; host name and process id unless given.
    #[arg(long, env = "ZHENGYUN_IDENTITY")]
    pub identity: Option<String>,
    /// Disaster recovery.
    #[command(flatten)]
    pub recovery: RecoveryArgs,
    /// Tests only: end the process abruptly at the n-th write of a kind, such as `hub PATCH ledgers/status 3`.
    #[arg(long, env = "ZHENGYUN_CRASH_AFTER_WRITE", hide = true)]
    pub crash_after_write: Option<CrashPoint>,
    /// Other things than running.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How the hub is reached.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// kubeconfig of the hub; the pod's own ServiceAccount when absent.
    #[arg(long, env = "ZHENGYUN_KUBECONFIG", global = true)]
    pub kubeconfig: Option<PathBuf>,
}

/// Where runs of disaster recovery are carried out.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RecoveryArgs {
    /// Folder of this operator's own for runs of backup and restore; without it none are carried out.
    ///
    /// The next operator on this machine finds runs that are under way there. It holds secrets while they are.
    #[arg(long, env = "ZHENGYUN_RECOVERY_DIR", value_name = "DIR")]
    pub recovery_dir: Option<PathBuf>,
    /// Folder below which backup stores may lie; may be given several times. A BackupStore elsewhere is refused.
    #[arg(long, env = "ZHENGYUN_BACKUP_ROOTS", value_name = "DIR", value_delimiter = ':')]
    pub backup_root: Vec<PathBuf>,
    /// Folder of this machine that may be backed up, and the name that sites declare it by; may be given several times.
    ///
    /// Which department may have which part of it, `spec.externalSources.fileRoots` of a Site says. File trees elsewhere are not read.
    #[arg(long, env = "ZHENGYUN_FILE_ROOTS", value_name = "NAME=PATH", value_delimiter = ':')]
    pub file_root: Vec<NamedFolder>,
    /// The same for a folder that restores may also write to; may be given several times.
    #[arg(long, env = "ZHENGYUN_WRITABLE_FILE_ROOTS", value_name = "NAME=PATH", value_delimiter = ':')]
    pub writable_file_root: Vec<NamedFolder>,
    /// Folder of this machine for drills of file trees at a site, by the site's name; may be given several times. What a drill restores there
    /// is removed when it ends.
    #[arg(long, env = "ZHENGYUN_DRILL_FOLDERS", value_name = "SITE=PATH", value_delimiter = ':')]
    pub drill_folder: Vec<NamedFolder>,
    /// For laboratories: databases that are backed up may be on this machine, and without TLS.
    #[arg(long, env = "ZHENGYUN_LAB_LOCAL_DATABASES")]
    pub lab_local_databases: bool,
    /// For laboratories: a BackupStore may be a bucket without TLS.
    #[arg(long, env = "ZHENGYUN_LAB_HTTP_STORES")]
    pub lab_http_stores: bool,
    /// Folder of the programs zhengyun-worker and zhengyun-restorer; the operator's own unless given.
    #[arg(long, env = "ZHENGYUN_WORKER_DIR", value_name = "DIR")]
    pub worker_dir: Option<PathBuf>,
}

/// A folder, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFolder {
    /// Its name, a DNS label.
    pub name: String,
    /// Absolute path.
    pub path: PathBuf,
}

impl FromStr for NamedFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = text.split_once('=').ok_or("write NAME=PATH, such as exports=/srv/exports")?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edge = |end: Option<u8>| end.is_some_and(|b| b != b'-');
        if name.len() > 63 || !name.bytes().all(plain) || !edge(name.bytes().next()) || !edge(name.bytes().next_back())
        {
            return Err(format!("the name {name:?} is no DNS label: use lower-case letters, digits and -, at most 63"));
        }
        if !path.starts_with('/') {
            return Err(format!("the path {path:?} is not absolute: begin it with /"));
        }
        Ok(Self { name: name.to_owned(), path: path.into() })
    }
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Other things than running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The operator's own: become the program of a run.
    #[command(hide = true)]
    Launch {
        /// Folder of the run.
        folder: PathBuf,
    },
    /// Recompute the books of every site from requests, grants and recovery plans and compare them with the ledgers.
    ///
    /// Needs to read requests, grants and ledgers; with --accept also to update ledgers. Exits 1 when they differ.
    AuditLedger {
        /// Only this site.
        #[arg(long)]
        site: Option<String>,
        /// End `Held`: accept the books with this digest, as printed by a previous audit.
        #[arg(long, requires = "reason", requires = "site")]
        accept: Option<String>,
        /// Why they are accepted; kept on the Ledger.
        #[arg(long)]
        reason: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::NamedFolder;

    #[test]
    fn a_folder_has_a_name_and_an_absolute_path() {
        let folder: NamedFolder = "exports=/srv/a=b".parse().unwrap();
        assert_eq!((folder.name.as_str(), folder.path.to_str()), ("exports", Some("/srv/a=b")));
        for wrong in ["/srv/exports", "=/srv", "Exports=/srv", "-a=/srv", "a-=/srv", "a/b=/srv", "a=srv", "a="] {
            assert!(wrong.parse::<NamedFolder>().is_err(), "{wrong}");
        }
    }
}
