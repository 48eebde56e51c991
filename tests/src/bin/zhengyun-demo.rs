//! Plays the story of the demo on a running lab.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use zhengyun_tests::demo::{self, Sizes};
use zhengyun_tests::lab::{client, project_root};

/// The demo: request, review, grant at a site, revocation to zero, on real data.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The lab's folder.
    #[arg(long, env = "ZHENGYUN_LAB_DIR", default_value_os_t = project_root().join(".lab"))]
    dir: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Plays the story (the default).
    Play,
    /// Plays the story of disaster recovery: protected at two sites, drilled, lost, restored elsewhere, compared.
    Recovery,
    /// Plays the story of migration: two systems leave a machine room in two waves, under load, and the room is closed.
    ///
    /// As root, the shares of the room are volumes of their own, and their closing is proven. Otherwise people declare it.
    Migration {
        /// Rows of the database that moves.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
        rows: u64,
        /// Files on the share that moves with it; the other system has a fifth of them.
        #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(50..=1_000_000))]
        files: u64,
    },
    /// Approves the request that was left waiting, each stage as the person who may.
    Approve {
        /// Department, such as finance.
        department: String,
        /// Request.
        request: String,
    },
    /// Revokes what came of a request, to zero.
    Revoke {
        /// Department, such as finance.
        department: String,
        /// Request.
        request: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    client::install_crypto_provider();
    let args = Args::parse();
    #[expect(clippy::print_stdout, reason = "this program tells a story")]
    let mut out = |line: &str| println!("{line}");
    let story = async {
        match args.action.unwrap_or(Action::Play) {
            Action::Play => demo::play(args.dir, &mut out).await,
            Action::Recovery => demo::recover(args.dir, &mut out).await,
            Action::Migration { rows, files } => demo::migrate(args.dir, Sizes { rows, files }, &mut out).await,
            Action::Approve { department, request } => demo::approve(args.dir, &department, &request, &mut out).await,
            Action::Revoke { department, request } => demo::revoke(args.dir, &department, &request, &mut out).await,
        }
    };
    // A story that is dropped takes away what it holds, such as mounts.
    let ended = tokio::select! {
        ended = story => ended,
        told = told_to_end() => match told {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error.into()),
        },
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zhengyun-demo: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// The exit code by the signal that came, as shells have it.
async fn told_to_end() -> std::io::Result<u8> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    })
}
