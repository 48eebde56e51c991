//! Keys: from files, never from arguments, never into logs, errors or debug output.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, WorkerError};

/// The largest key file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// Bytes of a department's key.
const KEY_BYTES: usize = 32;
/// Wrapping that is known; another is refused by name.
const WRAP: &str = "aes-256-gcm";
/// What a wrapped key is bound to: it is of no use in another place.
const WRAP_PURPOSE: &[u8] = b"zhengyun repository key 1";

/// The digest of bytes, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Reads a file of secrets.
pub fn read_secret(argument: &str, file: &Path) -> Result<String> {
    let fix = "name a readable file with the key in it";
    let shown = file.display();
    let failed = |e: &dyn fmt::Display| WorkerError::input(argument, format!("\"{shown}\" cannot be read: {e}"), fix);
    let mut text = String::new();
    let mut open = std::fs::File::open(file).map_err(|e| failed(&e))?.take(MAX_FILE);
    open.read_to_string(&mut text).map_err(|e| failed(&e))?;
    if text.len() as u64 == MAX_FILE {
        return Err(failed(&format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Writes a new file of secrets that only its owner can read; one that is there stays.
pub fn write_secret(argument: &str, file: &Path, content: &str) -> Result<()> {
    let failed = |e: std::io::Error| {
        WorkerError::input(
            argument,
            format!("\"{}\" cannot be created: {e}", file.display()),
            "name a file that does not exist, in a directory that can be written",
        )
    };
    let mut open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    open.write_all(content.as_bytes()).and_then(|()| open.sync_all()).map_err(failed)
}

/// Random bytes.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    rand::fill(&mut bytes).map_err(|_| WorkerError::engine("drawing random bytes", "the system has none"))?;
    Ok(bytes)
}

/// A department's key: it wraps the keys of repositories.
pub struct DepartmentKey([u8; KEY_BYTES]);

impl fmt::Debug for DepartmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DepartmentKey")
    }
}

impl DepartmentKey {
    /// Reads it from a file: one line of base64.
    pub fn read(argument: &str, file: &Path) -> Result<Self> {
        let text = read_secret(argument, file)?;
        let wrong = || {
            WorkerError::input(
                argument,
                format!("\"{}\" holds no key of 32 bytes in base64", file.display()),
                "write one with `head -c 32 /dev/urandom | base64`, or `zhengyun-worker init --generate`",
            )
        };
        let bytes = BASE64.decode(text.trim().as_bytes()).map_err(|_| wrong())?;
        Ok(Self(bytes.try_into().map_err(|_| wrong())?))
    }

    /// Makes a new one in a new file.
    pub fn generate(argument: &str, file: &Path) -> Result<Self> {
        let key = random()?;
        write_secret(argument, file, &format!("{}\n", BASE64.encode(&key)))?;
        Ok(Self(key))
    }

    /// Wraps the key of a repository.
    pub fn wrap(&self, secret: &[u8]) -> Result<Wrapped> {
        let broken = |_| WorkerError::engine("wrapping a key", "the cipher refused");
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.0).map_err(broken)?;
        let mut content = secret.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(WRAP_PURPOSE), &mut content).map_err(broken)?;
        Ok(Wrapped {
            format: 1,
            algorithm: WRAP.to_owned(),
            nonce: BASE64.encode(nonce.as_ref()),
            content: BASE64.encode(&content),
        })
    }

    /// Unwraps the key of a repository; none if this is not the key that wrapped it, or if it was changed.
    pub fn unwrap(&self, wrapped: &Wrapped) -> Result<Option<Vec<u8>>> {
        let part = "the wrapped key";
        if wrapped.format != 1 || wrapped.algorithm != WRAP {
            let problem = format!("format {} with \"{}\" is not known", wrapped.format, wrapped.algorithm);
            return Err(WorkerError::Evidence { part: part.to_owned(), problem, fix: NEWER.to_owned() });
        }
        let damaged = || WorkerError::damaged(part, "it is not base64 of the right length");
        let nonce = BASE64.decode(wrapped.nonce.as_bytes()).map_err(|_| damaged())?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| damaged())?;
        let mut content = BASE64.decode(wrapped.content.as_bytes()).map_err(|_| damaged())?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.0)
            .map_err(|_| WorkerError::engine("unwrapping a key", "the cipher refused"))?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        Ok(key.open_in_place(nonce, Aad::from(WRAP_PURPOSE), &mut content).ok().map(|plain| plain.to_vec()))
    }
}

/// What to do about an algorithm or format that is not known.
pub(crate) const NEWER: &str = "use the version of zhengyun-worker that wrote it";

/// A key that a department's key encrypts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapped {
    format: u32,
    algorithm: String,
    nonce: String,
    content: String,
}

/// The control plane's key for signatures.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads it from a file: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(argument: &str, file: &Path) -> Result<Self> {
        let text = read_secret(argument, file)?;
        let wrong = || {
            WorkerError::input(
                argument,
                format!("\"{}\" holds no Ed25519 key as PKCS#8 in PEM", file.display()),
                "write one with `openssl genpkey -algorithm ed25519`, or `zhengyun-worker init --generate`",
            )
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| wrong())?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map(Self).map_err(|_| wrong())
    }

    /// Makes a new one in a new file.
    pub fn generate(argument: &str, file: &Path) -> Result<Self> {
        let broken = |_| WorkerError::engine("making a signing key", "the library refused");
        let der = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).map_err(broken)?;
        let body = BASE64.encode(der.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in body.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        write_secret(argument, file, &pem)?;
        Self::read(argument, file)
    }

    /// Signs bytes.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().to_vec())
    }
}

/// Whom signatures are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads it from a file: `ed25519 BASE64`, as `init` writes it.
    pub fn read(argument: &str, file: &Path) -> Result<Self> {
        let text = read_secret(argument, file)?;
        Self::parse(text.trim()).ok_or_else(|| {
            WorkerError::input(
                argument,
                format!("\"{}\" holds no public key", file.display()),
                "write the line that init printed: ed25519 and the key in base64",
            )
        })
    }

    /// From its text; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let key = BASE64.decode(text.strip_prefix("ed25519 ")?.as_bytes()).ok()?;
        (key.len() == 32).then_some(Self(key))
    }

    /// As people copy it.
    pub fn text(&self) -> String {
        format!("ed25519 {}", BASE64.encode(&self.0))
    }

    /// Whether this key signed the bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{DepartmentKey, PublicKey, SigningKey, Wrapped, write_secret};

    #[test]
    fn a_wrapped_key_opens_with_its_key_alone_and_only_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let key = DepartmentKey::generate("--key-file", &dir.path().join("a")).unwrap();
        let other = DepartmentKey::generate("--key-file", &dir.path().join("b")).unwrap();
        let wrapped = key.wrap(b"secret").unwrap();
        assert_eq!(key.unwrap(&wrapped).unwrap().as_deref(), Some(&b"secret"[..]));
        assert_eq!(other.unwrap(&wrapped).unwrap(), None);
        let mut text = serde_json::to_value(&wrapped).unwrap();
        text["content"] = other.wrap(b"secret").unwrap().content.into();
        assert_eq!(key.unwrap(&serde_json::from_value::<Wrapped>(text.clone()).unwrap()).unwrap(), None);
        text["algorithm"] = "sm4-gcm".into();
        let refusal = key.unwrap(&serde_json::from_value::<Wrapped>(text).unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("sm4-gcm"), "{refusal}");
        let read_again = DepartmentKey::read("--key-file", &dir.path().join("a")).unwrap();
        assert!(read_again.unwrap(&wrapped).unwrap().is_some());
    }

    #[test]
    fn a_signature_holds_for_its_bytes_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate("--signing-key-file", &dir.path().join("a")).unwrap();
        let signature = key.sign(b"root");
        let public = PublicKey::parse(&key.public().text()).unwrap();
        assert!(public.verifies(b"root", &signature));
        assert!(!public.verifies(b"toor", &signature));
        let other = SigningKey::generate("--signing-key-file", &dir.path().join("b")).unwrap();
        assert!(!other.public().verifies(b"root", &signature));
    }

    #[test]
    fn a_file_of_secrets_is_for_its_owner_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        write_secret("--key-file", &file, "first").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_secret("--key-file", &file, "second").is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "first");
        assert!(!format!("{:?}", SigningKey::generate("-", &dir.path().join("s")).unwrap()).contains("BASE"));
    }
}
