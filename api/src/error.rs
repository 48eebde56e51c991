//! Why the process ends early.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What keeps the API from running, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kubeconfig cannot be used.
    #[error("--kubeconfig {}: {cause}; give a readable kubeconfig whose current context names the hub", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod.
    #[error(
        "--kubeconfig is not set and this process runs in no pod ({0}); set --kubeconfig or ZHENGYUN_KUBECONFIG to the hub's kubeconfig"
    )]
    NoHub(#[source] kube::config::InClusterError),
    /// The connection to the hub cannot be set up.
    #[error("the hub's connection settings cannot be used: {0}")]
    Client(#[source] kube::Error),
    /// An address cannot be listened on.
    #[error("{flag} {address}: {cause}; choose a free address of this machine")]
    Bind {
        /// The flag that holds the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The runtime or its signal handlers cannot be started.
    #[error("the process cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

impl RunError {
    /// 2 for what the person who started the process can mend in its arguments, otherwise 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Kubeconfig { .. } | Self::NoHub(_) => 2,
            Self::Client(_) | Self::Bind { .. } | Self::Runtime(_) => 1,
        }
    }
}
