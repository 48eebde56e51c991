//! Objects of one kind on the local disk, until they are stored.
//!
//! There are Secrets among them, so the file is encrypted with a key that lives in this process alone, and has no name.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use jiff::Timestamp;

use crate::error::{Result, WorkerError};
use crate::secret::random;

/// A spool.
pub(super) struct Spool {
    file: File,
    key: RandomizedNonceKey,
    end: u64,
}

/// Where an object lies in it.
#[derive(Clone, Debug)]
pub(super) struct Spooled {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) created: Option<Timestamp>,
    offset: u64,
    sealed: usize,
}

impl Spool {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let broken = |e: std::io::Error| WorkerError::local(directory, e);
        std::fs::create_dir_all(directory).map_err(broken)?;
        let path = directory.join(format!(".spool-{}", data_encoding::HEXLOWER.encode(&random::<8>()?)));
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(broken)?;
        // From here on it goes away with the process.
        std::fs::remove_file(&path).map_err(broken)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &random::<32>()?)
            .map_err(|_| WorkerError::engine("making a key for the spool", "the cipher refused"))?;
        Ok(Self { file, key, end: 0 })
    }

    pub(super) fn add(&mut self, name: String, created: Option<Timestamp>, object: Vec<u8>) -> Result<Spooled> {
        let size = object.len() as u64;
        let mut sealed = object;
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::empty(), &mut sealed)
            .map_err(|_| WorkerError::engine("writing to the spool", "the cipher refused"))?;
        let broken = |e: std::io::Error| WorkerError::local("the spool", e);
        let mut file = &self.file;
        file.write_all(nonce.as_ref()).and_then(|()| file.write_all(&sealed)).map_err(broken)?;
        let spooled = Spooled { name, size, created, offset: self.end, sealed: sealed.len() };
        self.end += (NONCE_LEN + sealed.len()) as u64;
        Ok(spooled)
    }

    pub(super) fn read(&self, object: &Spooled) -> Result<Vec<u8>> {
        let broken = || WorkerError::local("the spool", "it does not hold what was written");
        let mut nonce = [0; NONCE_LEN];
        let mut sealed = vec![0; object.sealed];
        self.file
            .read_exact_at(&mut nonce, object.offset)
            .and_then(|()| self.file.read_exact_at(&mut sealed, object.offset + NONCE_LEN as u64))
            .map_err(|e| WorkerError::local("the spool", e))?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.key.open_in_place(nonce, Aad::empty(), &mut sealed).map_err(|_| broken())?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::Spool;

    #[test]
    fn what_is_spooled_comes_back_and_is_not_readable_on_the_disk() {
        use std::os::fd::AsRawFd;
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path()).unwrap();
        let a = spool.add("a".to_owned(), None, b"password".to_vec()).unwrap();
        let b = spool.add("b".to_owned(), None, Vec::new()).unwrap();
        assert_eq!(spool.read(&a).unwrap(), b"password");
        assert_eq!(spool.read(&b).unwrap(), b"");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let raw = std::fs::read(format!("/proc/self/fd/{}", spool.file.as_raw_fd())).unwrap();
        assert!(!raw.windows(8).any(|w| w == b"password"));
    }
}
