//! Tasks that run for as long as a lab does, whichever test started it.

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

/// A runtime of the lab's own: a lab that several tests share outlives the runtime of the first of them.
#[derive(Debug)]
pub(super) struct Background(Option<Runtime>);

impl Background {
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lab-background")
            .enable_all()
            .build()
            .context("start the lab's background tasks")?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(task);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Not waited for: a lab may be dropped inside another runtime, where waiting is forbidden.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
