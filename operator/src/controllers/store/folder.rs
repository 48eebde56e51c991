//! The folder of a store: is it the one that was joined, can it be written, how much lies in it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

use crate::runtime::controller::ReconcileError;

/// File that says which store a folder is. A disk that is not mounted, or another one in its place, does not have it.
const MARK: &str = "zhengyun-store";

/// An open folder.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) identity: String,
    pub(super) used: u64,
}

/// Opens the folder of a store, and makes it when it was never seen; or says why it cannot be used.
///
/// One that another hub marked as its own is refused.
pub(super) async fn open(
    place: PathBuf,
    pinned: Option<String>,
    hub: String,
) -> Result<Result<Opened, String>, ReconcileError> {
    tokio::task::spawn_blocking(move || look(&place, pinned.as_deref(), &hub))
        .await
        .map_err(|e| ReconcileError::Transient(e.to_string()))
}

fn look(place: &Path, pinned: Option<&str>, hub: &str) -> Result<Opened, String> {
    let told = |what: &str, error: io::Error| {
        format!(
            "spec.backend.filesystem.path: {}: {what}: {error}; make it usable, it goes on by itself",
            place.display()
        )
    };
    let mark = place.join(MARK);
    let found = fs::read_to_string(&mark).map(|text| {
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    });
    let identity = match (found, pinned) {
        (Ok((_, owner)), _) if !owner.is_empty() && owner != hub => {
            return Err(format!(
                "spec.backend.filesystem.path: {} belongs to the hub with UID {owner}, and this is {hub}: give each hub a folder of its own; if that hub is gone for good, delete the file {MARK} in it",
                place.display()
            ));
        }
        (Ok((identity, _)), Some(pinned)) if identity != pinned => {
            return Err(format!(
                "{} is store {identity}, {pinned} was joined: another disk or folder stands in its place; mount the right one",
                place.display()
            ));
        }
        (Ok((identity, _)), _) => identity,
        (Err(error), Some(pinned)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "{} is not store {pinned} that was joined: its disk is not mounted, or its file {MARK} was removed; nothing is written until it is back",
                place.display()
            ));
        }
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => {
            make(place, &mark, hub).map_err(|e| told("it cannot be made", e))?
        }
        (Err(error), _) => return Err(told("it cannot be read", error)),
    };
    let probe = place.join(format!(".{MARK}-probe"));
    private(&probe)
        .and_then(|mut file| file.write_all(b"x").and_then(|()| file.sync_all()))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|e| told("it cannot be written", e))?;
    let used = size(place).map_err(|e| told("it cannot be read through", e))?;
    Ok(Opened { identity, used })
}

fn make(place: &Path, mark: &Path, hub: &str) -> io::Result<String> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("the system has no random bytes"))?;
    let identity = HEXLOWER.encode(&bytes);
    let staged = mark.with_extension("next");
    let mut file = private(&staged)?;
    file.write_all(format!("{identity}\n{hub}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&staged, mark)?;
    Ok(identity)
}

fn private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Bytes of all files below a folder. Links are not followed; what goes away meanwhile does not count.
fn size(place: &Path) -> io::Result<u64> {
    let (mut sum, mut open) = (0_u64, vec![place.to_path_buf()]);
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) if meta.is_file() => sum = sum.saturating_add(meta.len()),
                _ => {}
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::{MARK, look};

    const HUB: &str = "hub-1";

    #[test]
    fn a_folder_that_is_not_the_joined_one_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("zhengyun-folder-{}", std::process::id()));
        let place = dir.join("store");
        let first = look(&place, None, HUB).unwrap();
        assert_eq!(look(&place, Some(&first.identity), HUB).unwrap().identity, first.identity);
        std::fs::write(place.join("pack"), vec![0; 1000]).unwrap();
        assert!(look(&place, Some(&first.identity), HUB).unwrap().used >= 1000);
        let another = look(&place, Some("another"), HUB).unwrap_err();
        assert!(another.contains("another was joined"), "{another}");
        let stranger = look(&place, None, "hub-2").unwrap_err();
        assert!(stranger.contains("hub-1") && stranger.contains("a folder of its own"), "{stranger}");
        std::fs::remove_file(place.join(MARK)).unwrap();
        let unmounted = look(&place, Some(&first.identity), HUB).unwrap_err();
        assert!(unmounted.contains("not mounted"), "{unmounted}");
        assert!(!place.join(MARK).exists(), "nothing is written into a folder that is not the one");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
