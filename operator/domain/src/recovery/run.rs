//! What is seen of the process that carries out a run, and what is judged from it alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zhengyun_crds::recovery::RunFailure;

use crate::condition::cut;

/// A process that shows no sign of life for so long hangs, though it lives: it beats every second.
const HANGS_AFTER_SECONDS: u64 = 300;
/// How long a fault that may pass is left to pass.
const REST_SECONDS: u64 = 5;
/// How often a run is taken up after a fault that may have been a moment's and may be for good.
const PATIENCE: i32 = 5;

/// Where a process says that it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it does.
    pub phase: String,
    /// Objects and files so far.
    #[serde(default)]
    pub items: u64,
    /// Bytes read or written so far.
    #[serde(default)]
    pub bytes: u64,
    /// Bytes stored so far.
    #[serde(default)]
    pub uploaded: u64,
    /// Objects and files in all, where that is known.
    #[serde(default, rename = "totalItems")]
    pub total_items: Option<u64>,
    /// Bytes in all.
    #[serde(default, rename = "totalBytes")]
    pub total_bytes: Option<u64>,
    /// Seconds that a copy which follows its source is behind.
    #[serde(default, rename = "lagSeconds")]
    pub lag_seconds: Option<u64>,
}

/// Why a process says that it did not come to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable code.
    pub reason: String,
    /// What happened, and what to do.
    pub message: String,
    /// Whether the same helps later without anybody mending anything.
    #[serde(default)]
    pub transient: bool,
    /// Whether something may have been written to the target of a restore.
    #[serde(default)]
    pub wrote: bool,
    /// Seconds since it was said.
    #[serde(skip)]
    pub seconds_ago: u64,
    /// What it reported beside that, if it did.
    #[serde(skip)]
    pub report: Option<Box<Value>>,
}

impl Fault {
    /// As the status of a run tells it.
    pub fn failure(&self) -> RunFailure {
        RunFailure {
            reason: cut(self.reason.clone(), 60),
            subject: String::new(),
            message: cut(self.message.clone(), 2000),
        }
    }
}

/// What is seen of a run's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It was never started here.
    Absent,
    /// It lives.
    Running {
        /// Where it stands.
        standing: Standing,
        /// Seconds since its last sign of life.
        silent_seconds: u64,
    },
    /// It came to its end, with this report.
    Done(Value),
    /// It said why it could not.
    Failed(Fault),
    /// It is gone without a word: killed, or the machine went down.
    Lost,
}

impl Sighting {
    /// Whether it lives but hangs.
    pub const fn hangs(&self) -> bool {
        matches!(self, Self::Running { silent_seconds, .. } if *silent_seconds > HANGS_AFTER_SECONDS)
    }

    /// Whether there is a process.
    pub const fn runs(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// What is to be done about a run's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Look again.
    Wait,
    /// Start it, or take it up under the next attempt.
    Start,
    /// The same after a pause: something has to pass.
    StartLater,
    /// Ask it to stop.
    Cancel,
    /// End it.
    Kill,
    /// Nothing is left to do with it.
    Nothing,
}

impl Fault {
    /// Whether the run is taken up again.
    ///
    /// A store that is down or a repository that is busy passes. An API server that refused or fell silent may be a right that is
    /// not in force yet or a token that is being renewed, so it is asked a few times more.
    /// When, [`Fault::order`] tells.
    pub fn may_pass(&self, attempt: i32) -> bool {
        let of_the_site = matches!(
            self.reason.as_str(),
            "ClusterFailed" | "SourceUnreadable" | "DatabaseUnreachable" | "DatabaseBusy"
        );
        self.transient || (of_the_site && attempt < PATIENCE)
    }

    /// What is done about a fault that may pass.
    pub const fn order(&self) -> Order {
        if self.seconds_ago >= REST_SECONDS { Order::Start } else { Order::StartLater }
    }
}
