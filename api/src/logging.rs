//! Log lines: text for people or JSON for machines, always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::args::{Args, LogFormat};

/// The library that speaks to the hub logs every failure that it also returns; each is logged once here, where it is handled.
const OF_ITS_OWN: &str = "kube_client";

/// Starts logging as the arguments say; a second call changes nothing.
pub fn start(args: &Args) {
    // The filter was checked when the arguments were read.
    let filter = EnvFilter::try_new(filter(&args.log)).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match args.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // A panic is a log line like any other, under the request that it ended.
    std::panic::set_hook(Box::new(|panic| tracing::error!("defect: {panic}")));
    // Failing means that a test or an embedding program already logs its own way.
    started.ok();
}

/// The filter asked for, without double lines unless they are asked for.
fn filter(asked: &str) -> String {
    if asked.contains(OF_ITS_OWN) { asked.to_owned() } else { format!("{asked},{OF_ITS_OWN}=off") }
}
