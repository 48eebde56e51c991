//! `zhengyun-restorer`: restores one namespace, database or file tree of a backup, as planned.

mod agreement;
mod args;
mod backed;
mod database;
mod ended;
mod files;
mod guard;
mod restore;
mod target;
mod told;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use zhengyun_worker::control::{Control, Reporter};

use crate::args::{Args, Command};

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
    let (outcome, wrote) = match &args.command {
        Command::Restore(order) => (restore::restore(order, runtime.handle(), &control), restore::wrote(order)),
        Command::RestoreDatabase(order) => {
            (database::restore(order, runtime.handle(), &control), database::wrote(order))
        }
        Command::RestoreFiles(order) => (files::restore(order, runtime.handle(), &control), files::wrote(order)),
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

#[expect(clippy::print_stdout, reason = "the report is the output of the program")]
fn say(report: &restore::Report) -> ExitCode {
    match serde_json::to_string(report) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("zhengyun-restorer: writing the report: {error}");
            ExitCode::from(1)
        }
    }
}
