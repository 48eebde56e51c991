//! Looks at single files of the target while applications have no access to it: what the system itself would miss first.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::open_below;
use super::place::{Place, Sides};
use crate::control::Control;
use crate::error::{Result, WorkerError};

/// What is read at a time.
const BUFFER: usize = 64 * 1024;

/// A file that must be there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its path below the root of the target.
    pub path: PathBuf,
    /// `sha256:` and its digest in hexadecimal; absent if any content will do.
    #[serde(default)]
    pub digest: Option<String>,
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let expected: Self = serde_json::from_str(text).map_err(|e| format!("{e}: write {{\"path\": \"a/b\"}}"))?;
        let plain = expected.path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || expected.path.file_name().is_none() {
            let path = expected.path.display();
            return Err(format!("\"{path}\" is no path below the target: write one without . and .."));
        }
        Ok(expected)
    }
}

/// What to look at.
#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// A file that must be there, as JSON: `{"path": "a/b", "digest": "sha256:..."}`; may be given several times.
    #[arg(long, value_name = "JSON", required = true)]
    pub expect: Vec<Expected>,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probed {
    at: String,
    files: Vec<Expected>,
}

/// Looks at the files. The first one that is not as it should be ends it.
pub(super) fn probe(args: &ProbeArgs, control: &Control) -> Result<Probed> {
    let place = Place::open(&args.sides, control)?;
    control.enter("probing");
    let mut files = Vec::new();
    for expected in &args.expect {
        let found = digest(&place, &expected.path, control).map_err(|problem| failed(&expected.path, problem))?;
        if let Some(wanted) = expected.digest.as_ref().filter(|wanted| **wanted != found) {
            return Err(failed(&expected.path, format!("its digest is {found} and should be {wanted}")));
        }
        files.push(Expected { digest: Some(found), ..expected.clone() });
    }
    Ok(Probed { at: Timestamp::now().to_string(), files })
}

fn failed(path: &Path, problem: String) -> WorkerError {
    let fix = "look whether the system's files are complete at the source, and whether the probe still fits it";
    WorkerError::moving("ProbeFailed", path.display().to_string(), problem, fix)
}

fn digest(place: &Place, path: &Path, control: &Control) -> std::result::Result<String, String> {
    let directory = open_below(place.target_root(), path.parent().unwrap_or(Path::new("")));
    let name = CString::new(path.file_name().unwrap_or_default().as_bytes()).map_err(|e| e.to_string())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = directory.and_then(|directory| rustix::fs::openat(directory, name, flags, Mode::empty()));
    let file = file.map_err(|e| format!("it cannot be opened: {e}"))?;
    let stat = rustix::fs::fstat(&file).map_err(|e| e.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("it is no file".to_owned());
    }
    let mut file = File::from(file);
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; BUFFER]);
    loop {
        control.check().map_err(|e| e.to_string())?;
        let read = file.read(&mut buffer).map_err(|e| e.to_string())?;
        if read == 0 {
            return Ok(format!("sha256:{}", HEXLOWER.encode(&sum.finalize())));
        }
        sum.update(buffer.get(..read).unwrap_or_default());
    }
}
