//! How a restore ends other than as intended.

use serde_json::{Value, json};
use zhengyun_domain::finding::Finding;
use zhengyun_worker::error::WorkerError;

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The engine, the store or the API server.
    #[error("{0}")]
    Worker(#[from] WorkerError),
    /// The plan is not the agreed one, or something stands in its way. Nothing was written.
    #[error("{}", .0.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Finding>),
}

impl Ended {
    /// The last line on stderr.
    pub(crate) fn word(&self, wrote: bool) -> Value {
        let (reason, transient) = match self {
            Self::Worker(error) => (error.reason().to_owned(), error.is_transient()),
            Self::Refused(findings) => (findings.first().map_or_else(String::new, |f| f.rule.clone()), false),
        };
        let message = zhengyun_domain::condition::cut(self.to_string(), 1500);
        json!({ "error": { "reason": reason, "message": message, "transient": transient, "wrote": wrote } })
    }
}
