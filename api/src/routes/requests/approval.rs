//! Approvals: one immutable object per person, stage, order and verdict, so that repeating a decision repeats nothing.

use data_encoding::BASE32_NOPAD;
use kube::Resource as _;
use sha2::{Digest as _, Sha256};
use zhengyun_crds::approval::{Approval, ApprovalSpec, Approver, Verdict};
use zhengyun_crds::{ResourceRequest, marks};
use zhengyun_domain::naming::MAX_LABEL_BYTES;
use zhengyun_domain::seeded::{self, Bug};

use crate::auth::Identity;
use crate::names::{cut, department_of};

/// Characters of the digest in a name: 50 bits.
const DIGEST_CHARS: usize = 10;
/// Separates these digests from those of other names.
const DOMAIN: &str = "zhengyun.io/approval-name";

/// What a person decides.
pub(super) struct Opinion<'a> {
    pub(super) stage: &'a str,
    pub(super) verdict: Verdict,
    pub(super) reason: &'a str,
    /// Digest of the order under review.
    pub(super) order_digest: &'a str,
    /// Review round.
    pub(super) round: i64,
}

/// The approval that records an opinion.
pub(super) fn approval(request: &ResourceRequest, opinion: &Opinion<'_>, approver: &Identity) -> Approval {
    let uid = request.metadata.uid.clone().unwrap_or_default();
    let request_name = request.metadata.name.clone().unwrap_or_default();
    let spec = ApprovalSpec {
        request: request_name.clone(),
        request_uid: uid.clone(),
        order_digest: opinion.order_digest.to_owned(),
        stage: opinion.stage.to_owned(),
        verdict: opinion.verdict,
        reason: opinion.reason.to_owned(),
        // Exactly as the hub described the caller: its admission policy compares with what it sees itself.
        approver: Approver { username: approver.username.clone(), groups: approver.groups.clone() },
    };
    let mut approval = Approval::new(&name(&request_name, &uid, opinion, &approver.username), spec);
    approval.metadata.namespace.clone_from(&request.metadata.namespace);
    let department = request.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default();
    approval.metadata.labels = Some([(marks::LABEL_DEPARTMENT.to_owned(), department.to_owned())].into());
    // The record of a decision goes with the record that it decided on, when that may go.
    approval.metadata.owner_references = request.owner_ref(&()).map(|owner| vec![owner]);
    approval
}

/// `<request, cut>-<stage>-<digest>`, a DNS label.
fn name(request: &str, uid: &str, opinion: &Opinion<'_>, username: &str) -> String {
    let drawn = seeded::is(Bug::DecisionNameDrawn).then(|| jiff::Timestamp::now().to_string());
    let digest = digest(&[
        drawn.as_deref().unwrap_or(uid),
        &opinion.round.to_string(),
        opinion.stage,
        username,
        opinion.order_digest,
        opinion.verdict.as_str(),
    ]);
    let room = MAX_LABEL_BYTES.saturating_sub(opinion.stage.len()).saturating_sub(DIGEST_CHARS).saturating_sub(2);
    format!("{}-{}-{digest}", cut(request, room), opinion.stage)
}

fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in std::iter::once(&DOMAIN).chain(parts) {
        // The length goes first, so that no two lists of parts read the same.
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    BASE32_NOPAD.encode(&hasher.finalize()).chars().take(DIGEST_CHARS).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use zhengyun_crds::approval::Verdict;
    use zhengyun_domain::naming::is_label;

    use super::{Opinion, approval};
    use crate::auth::Identity;
    use crate::testing::a_request;

    fn person(username: &str) -> Identity {
        Identity {
            username: username.into(),
            uid: None,
            groups: vec!["g1".into(), "system:authenticated".into()],
            extra: BTreeMap::new(),
        }
    }

    fn opinion(stage: &'static str, verdict: Verdict, round: i64) -> Opinion<'static> {
        Opinion { stage, verdict, reason: "", order_digest: "sha256:00", round }
    }

    #[test]
    fn every_decision_has_its_own_name_and_the_same_decision_the_same() {
        let request = a_request("finance", "r1");
        let mut names = BTreeSet::new();
        for (who, stage, verdict, round) in [
            ("li", "technical", Verdict::Approve, 1),
            ("wang", "technical", Verdict::Approve, 1),
            ("li", "capacity", Verdict::Approve, 1),
            ("li", "technical", Verdict::Reject, 1),
            ("li", "technical", Verdict::Approve, 2),
        ] {
            let made = approval(&request, &opinion(stage, verdict, round), &person(who));
            let again = approval(&request, &opinion(stage, verdict, round), &person(who));
            assert_eq!(made, again);
            assert!(names.insert(made.metadata.name.unwrap()));
        }
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|n| n.starts_with("r1-")), "{names:?}");
    }

    #[test]
    fn the_longest_parts_still_make_a_label() {
        let request = a_request("finance", &"r".repeat(63));
        let stage: &'static str = "a-stage-with-the-longest-name-there-is--";
        let stage = &stage[..38];
        let made = approval(&request, &opinion(stage, Verdict::Approve, 1), &person("li"));
        let name = made.metadata.name.unwrap();
        assert!(is_label(&name), "{name}");
    }

    #[test]
    fn the_approver_is_recorded_exactly_as_the_hub_describes_them() {
        let made = approval(&a_request("finance", "r1"), &opinion("technical", Verdict::Approve, 1), &person("li"));
        assert_eq!(
            (made.spec.approver.username.as_str(), made.spec.approver.groups),
            ("li", vec!["g1".into(), "system:authenticated".into()])
        );
        assert_eq!(
            (made.spec.request_uid.as_str(), made.metadata.namespace.as_deref()),
            ("uid-r1", Some("dept-finance"))
        );
    }
}
