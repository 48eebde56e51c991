//! `zhengyun-restorer`: restores one namespace, database or file tree of a backup, as planned; and removes what it made for a drill.

mod agreement;
mod args;
mod backed;
mod database;
mod ended;
mod files;
mod guard;
mod restore;
mod scratch;
mod target;
mod told;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use zhengyun_worker::control::{Control, Reporter};
use zhengyun_worker::error::WorkerError;

use crate::args::{Args, Command};
use crate::ended::Ended;

fn main() -> ExitCode {
    // Two TLS providers in one process panic at run time, so the choice is made before anything else.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("zhengyun-restorer: another TLS provider is installed already");
        return ExitCode::from(1);
    }
    let args = Args::parse();
    let Ok(runtime) = Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        eprintln!("zhengyun-restorer: the system has no threads left");
        return ExitCode::from(1);
    };
    let control = Control::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let _inside = runtime.enter();
        if let Ok(mut signals) = signal(kind) {
            let control = control.clone();
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    // The second signal ends the process, which is safe at any point.
                    if control.is_cancelled() {
                        std::process::exit(1);
                    }
                    control.cancel();
                }
            });
        }
    }
    let reporter = Reporter::start(control.clone(), args.progress, args.heartbeat_file);
    let handle = runtime.handle();
    let (outcome, wrote) = match &args.command {
        Command::Restore(order) => (told(restore::restore(order, handle, &control)), restore::wrote(order)),
        Command::RestoreDatabase(order) => (told(database::restore(order, handle, &control)), database::wrote(order)),
        Command::RemoveDatabases(order) => (told(scratch::remove(order, handle, &control)), true),
        Command::RestoreFiles(order) => (told(files::restore(order, handle, &control)), files::wrote(order)),
    };
    drop(reporter);
    match outcome {
        Ok(report) => say(&report),
        Err(error) => {
            eprintln!("{}", error.word(wrote));
            ExitCode::from(1)
        }
    }
}

/// A report as text.
fn told<T: Serialize>(report: Result<T, Ended>) -> Result<String, Ended> {
    report.and_then(|report| {
        serde_json::to_string(&report).map_err(|e| WorkerError::engine("writing the report", e).into())
    })
}

#[expect(clippy::print_stdout, reason = "the report is the output of the program")]
fn say(report: &str) -> ExitCode {
    println!("{report}");
    ExitCode::SUCCESS
}
