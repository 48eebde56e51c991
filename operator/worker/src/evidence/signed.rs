//! Text with a signature around it, as it lies in a store.
//!
//! The text is signed as it is stored, with the name of its format in front: no reader has to write JSON the same way again, and a
//! signature of one kind of statement is of no use for another.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::error::{Result, WorkerError};
use crate::secret::{NEWER, PublicKey, SigningKey};

/// Signature and digest that are written; others are refused by name.
const ALGORITHM: &str = "ed25519-sha256";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signed {
    format: String,
    algorithm: String,
    public_key: String,
    signature: String,
    statement: String,
}

/// Signs a text.
pub fn seal(format: &str, key: &SigningKey, text: &str) -> Result<Vec<u8>> {
    let signed = Signed {
        format: format.to_owned(),
        algorithm: ALGORITHM.to_owned(),
        public_key: key.public().text(),
        signature: BASE64.encode(&key.sign(&message(format, text))),
        statement: text.to_owned(),
    };
    serde_json::to_vec(&signed).map_err(|e| WorkerError::engine("signing", e))
}

/// The text and who signed it.
pub fn open(format: &str, name: &str, bytes: &[u8]) -> Result<(String, PublicKey)> {
    let signed: Signed = serde_json::from_slice(bytes).map_err(|_| broken(name, "it is not readable"))?;
    if signed.format != format || signed.algorithm != ALGORITHM {
        return Err(WorkerError::Evidence {
            part: name.to_owned(),
            problem: format!("format \"{}\" with algorithm \"{}\" is not known", signed.format, signed.algorithm),
            fix: NEWER.to_owned(),
        });
    }
    let signer = PublicKey::parse(&signed.public_key).ok_or_else(|| broken(name, "its public key is none"))?;
    let signature =
        BASE64.decode(signed.signature.as_bytes()).map_err(|_| broken(name, "its signature is not base64"))?;
    if !signer.verifies(&message(format, &signed.statement), &signature) {
        return Err(broken(name, "its signature does not match"));
    }
    Ok((signed.statement, signer))
}

/// What does not prove, and what helps.
pub fn broken(name: &str, problem: &str) -> WorkerError {
    WorkerError::Evidence {
        part: name.to_owned(),
        problem: problem.to_owned(),
        fix: "restore from another copy, or bring the missing links back from one".to_owned(),
    }
}

fn message(format: &str, text: &str) -> Vec<u8> {
    [format.as_bytes(), b"\n", text.as_bytes()].concat()
}
