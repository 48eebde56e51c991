//! Names that Zhengyun derives, the same from the same input on every run and every machine.
//!
//! Every derived name is a DNS label: lower-case letters, digits and hyphens, starting and ending with a letter or
//! digit, at most 63 characters. The readable part is cut to fit; what keeps two names apart is the digest, whose
//! inputs are written with their length in front, so that `a-b` with `c` never reads the same as `a` with `b-c`.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The longest DNS label, in bytes (RFC 1123, section 2.1 with RFC 1035, section 2.3.4).
pub const MAX_LABEL_BYTES: usize = 63;

/// The longest department name, in bytes: `dept-` and the name must fit in one label.
pub const MAX_DEPARTMENT_BYTES: usize = 58;

/// How much of a department's or a grant's name is kept in a site namespace, in bytes.
const SITE_PART_BYTES: usize = 20;

/// Digest characters in a grant's name: 30 bits, guarded further by the recorded request UID.
const GRANT_DIGEST_CHARS: usize = 6;

/// Digest characters in a site namespace: 50 bits.
const SITE_DIGEST_CHARS: usize = 10;

/// Separate the digests of different kinds of names, so that one can never be passed off as another.
const GRANT_DOMAIN: &str = "zhengyun.io/grant-name";
const SITE_DOMAIN: &str = "zhengyun.io/site-namespace";
const RUN_DOMAIN: &str = "zhengyun.io/recovery-run";

/// Digest characters in the name of a scheduled run.
const RUN_DIGEST_CHARS: usize = 6;

/// How much of a plan's name is kept in the name of a run, in bytes: a plan's name has no more.
const RUN_PLAN_BYTES: usize = 40;

/// A text that cannot be used as a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is not a DNS label.
    #[error(
        "\"{name}\" is not a valid name: use lower-case letters, digits and hyphens, starting and ending with a letter or digit, at most {MAX_LABEL_BYTES} characters"
    )]
    NotALabel {
        /// The offending text, cut to a printable length.
        name: String,
    },
    /// The department's name leaves no room for the prefix of its namespace.
    #[error("\"{name}\" has {length} characters, a department's name has at most {MAX_DEPARTMENT_BYTES}")]
    DepartmentTooLong {
        /// The department's name.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
}

/// The name of the grant that a Create request leads to: the request's name, cut, with six characters of the digest of
/// its UID, so that a request made again under the same name never meets the old grant.
pub fn grant_name(request_name: &str, request_uid: &str) -> String {
    let digest = digest(GRANT_DOMAIN, &[request_uid], GRANT_DIGEST_CHARS);
    let room = MAX_LABEL_BYTES.saturating_sub(GRANT_DIGEST_CHARS).saturating_sub(1);
    join_label(&[&cut(request_name, room), &digest])
}

/// The namespace of a grant at its site: `zy-<department>-<grant>-<digest of hub and grant UID>`.
pub fn site_namespace(department: &str, grant: &str, hub_uid: &str, grant_uid: &str) -> String {
    let digest = digest(SITE_DOMAIN, &[hub_uid, grant_uid], SITE_DIGEST_CHARS);
    join_label(&["zy", &cut(department, SITE_PART_BYTES), &cut(grant, SITE_PART_BYTES), &digest])
}

/// The name of a run that a recovery plan makes at a due time: plan, due time in UTC, and a digest of the plan's UID, the kind of
/// run and the store. The same run has the same name however often it is started, and a plan made again under its old name never
/// meets the runs of the old one.
pub fn run_name(kind: &str, plan: &str, plan_uid: &str, store: &str, due: Timestamp) -> String {
    let digest = digest(RUN_DOMAIN, &[kind, plan_uid, store], RUN_DIGEST_CHARS);
    let time = due.strftime("%Y%m%dt%H%M%S").to_string();
    join_label(&[&cut(plan, RUN_PLAN_BYTES), &time, &digest])
}

/// The hub namespace that holds a department's own objects: `dept-<department>`.
pub fn department_namespace(department: &str) -> Result<String, NameError> {
    check_label(department)?;
    if department.len() > MAX_DEPARTMENT_BYTES {
        return Err(NameError::DepartmentTooLong { name: department.to_owned(), length: department.len() });
    }
    Ok(format!("dept-{department}"))
}

/// Whether a text is a DNS label, the form of every name Zhengyun accepts or derives.
pub fn is_label(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= MAX_LABEL_BYTES
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Refuses a text that is not a DNS label, saying what one looks like.
pub fn check_label(name: &str) -> Result<(), NameError> {
    if is_label(name) {
        Ok(())
    } else {
        Err(NameError::NotALabel { name: name.chars().take(MAX_LABEL_BYTES).collect() })
    }
}

/// The first `chars` characters of a name, fit for the middle of a label: what a label cannot hold (a Kubernetes name
/// may have dots) becomes a hyphen, and no hyphen is left at an edge.
fn cut(name: &str, chars: usize) -> String {
    let fit = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let kept: String = name.chars().take(chars).map(fit).collect();
    kept.trim_matches('-').to_owned()
}

fn join_label(parts: &[&str]) -> String {
    let present: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    present.join("-")
}

/// The first `chars` base32 characters of SHA-256 over the domain and the parts, each with its length in front.
fn digest(domain: &str, parts: &[&str], chars: usize) -> String {
    let mut hasher = Sha256::new();
    for part in std::iter::once(&domain).chain(parts) {
        // Eight bytes, big-endian: no two lists of parts give the same bytes.
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    // RFC 4648 base32 in lower case without padding: letters and 2 to 7, all fit for a DNS label.
    BASE32_NOPAD.encode(&hasher.finalize()).chars().take(chars).map(|c| c.to_ascii_lowercase()).collect()
}
