//! Evidence in buckets: digests, and signatures of a key that is the same in every run.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

/// What a PKCS#8 document of an Ed25519 key begins with, up to its 32 bytes.
const PKCS8: &str = "302e020100300506032b657004220420";
/// The control plane's key in the simulated world: no secret, and the same in every run.
const SEED: [u8; 32] = *b"a key that signs simulated chain";

/// What a namespace or a backup holds: content of each object, by `SOURCE/KIND/NAME`.
pub type Items = BTreeMap<String, String>;

/// The control plane's signing key, as the operator finds it in its Secret.
pub fn signing_key() -> String {
    let mut der = HEXLOWER.decode(PKCS8.as_bytes()).unwrap_or_default();
    der.extend(SEED);
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&der))
}

/// SHA-256 of a text, in hexadecimal digits.
pub fn sha256(text: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

/// The root over everything that a backup holds.
pub fn root(items: &Items) -> String {
    let lines: Vec<String> = items.iter().map(|(path, content)| format!("{path}\n{}\n", sha256(content))).collect();
    sha256(&lines.concat())
}

/// Signature of a text and the signer's name, with the key of a PEM document; none if it holds no key.
pub fn sign(pem: &str, text: &str) -> Option<(String, String)> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&BASE64.decode(body.as_bytes()).ok()?).ok()?;
    let signer = format!("ed25519 {}", BASE64.encode(key.public_key().as_ref()));
    Some((BASE64.encode(key.sign(text.as_bytes()).as_ref()), signer))
}

/// Whether a text was signed by a signer.
pub fn verifies(signer: &str, text: &str, signature: &str) -> bool {
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).unwrap_or_default();
    let key = decoded(signer.strip_prefix("ed25519 ").unwrap_or_default());
    UnparsedPublicKey::new(&ED25519, &key).verify(text.as_bytes(), &decoded(signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Items, root, sha256, sign, signing_key, verifies};

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        let (signature, signer) = sign(&signing_key(), "a statement").unwrap();
        assert!(verifies(&signer, "a statement", &signature));
        assert!(!verifies(&signer, "another statement", &signature));
        assert!(!verifies("ed25519 AAAA", "a statement", &signature));
        assert!(sign("no key", "a statement").is_none());
    }

    #[test]
    fn a_root_stands_for_every_path_and_every_byte() {
        let items = |path: &str, content: &str| Items::from([(path.to_owned(), content.to_owned())]);
        assert_ne!(root(&items("a", "x")), root(&items("a", "y")));
        assert_ne!(root(&items("a", "x")), root(&items("b", "x")));
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
