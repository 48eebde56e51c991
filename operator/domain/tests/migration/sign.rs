//! Whose signature counts.

use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::migration::{Party as P, Signature, SignedPurpose as W, Signers};
use zhengyun_domain::migration::sign::{Candidate, Judgement, judge, terms};

const NOW: &str = "sha256:now";

fn signers() -> Signers {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Signers { department: names(&["wang", "li"]), authority: names(&["bao"]), provider: names(&["zhao"]) }
}

fn signature(purpose: W, party: P, by: &str, digest: &str) -> Signature {
    Signature { purpose, party, by: by.to_owned(), digest: digest.to_owned() }
}

fn judged<'a>(purpose: W, all: &'a [(Signature, bool)], digest: Option<&str>, approvals: usize) -> Judgement<'a> {
    let (signers, approvers) = (signers(), ["wang".to_owned(), "li".to_owned(), "su".to_owned()]);
    let candidates: Vec<Candidate<'a>> =
        all.iter().map(|(signature, guarded)| Candidate { signature, guarded: *guarded }).collect();
    judge(&terms(purpose, digest, &signers, (&approvers, approvals)), &candidates)
}

/// Everybody who must sign, and nobody less.
#[rstest]
#[case(W::Acceptance, &[(P::Department, "wang"), (P::Authority, "bao"), (P::Provider, "zhao")])]
#[case(W::Rollback, &[(P::Department, "li"), (P::Authority, "bao")])]
#[case(W::Erasure, &[(P::Department, "li"), (P::Authority, "bao")])]
#[case(W::DeclaredFreeze, &[(P::Department, "wang")])]
#[case(W::Cutover, &[(P::Department, "wang"), (P::Department, "su")])]
fn all_parties_sign_the_same_digest(#[case] purpose: W, #[case] who: &[(P, &str)]) {
    let all: Vec<_> = who.iter().map(|(party, by)| (signature(purpose, *party, by, NOW), true)).collect();
    let judgement = judged(purpose, &all, Some(NOW), 2);
    assert_eq!((judgement.signed, judgement.counted.len()), (Ok(()), who.len()));
    for left_out in 0..who.len() {
        let mut fewer = all.clone();
        let (missing, _) = fewer.remove(left_out);
        let message = judged(purpose, &fewer, Some(NOW), 2).signed.unwrap_err();
        assert!(message.contains(missing.party.as_str()) && message.contains(NOW), "{message}");
        let mut of_before = all.clone();
        of_before[left_out].0.digest = "sha256:before".to_owned();
        let judgement = judged(purpose, &of_before, Some(NOW), 2);
        assert!(judgement.signed.is_err());
        assert_eq!(judgement.refused[0].reason, "EvidenceChanged");
        assert!(judgement.refused[0].message.contains(NOW), "{:?}", judgement.refused);
    }
    assert!(judged(purpose, &all, None, 2).signed.is_err(), "there is nothing to sign");
}

#[rstest]
#[case::a_stranger(P::Department, "chen", true, "NotEntitled")]
#[case::for_another_party(P::Authority, "wang", true, "NotEntitled")]
#[case::a_party_that_does_not_sign(P::Provider, "zhao", true, "NotEntitled")]
#[case::while_nothing_guarded(P::Department, "wang", false, "NotGuarded")]
#[case::a_stranger_while_nothing_guarded(P::Department, "chen", false, "NotGuarded")]
fn who_is_not_entitled_is_refused(#[case] party: P, #[case] by: &str, #[case] guarded: bool, #[case] reason: &str) {
    let all = [(signature(W::Erasure, party, by, NOW), guarded)];
    let judgement = judged(W::Erasure, &all, Some(NOW), 1);
    assert!(judgement.counted.is_empty() && judgement.signed.is_err());
    assert_eq!((judgement.refused[0].reason.as_str(), judgement.refused[0].by.as_str()), (reason, by));
}

#[test]
fn one_person_counts_once() {
    let twice = [
        (signature(W::Cutover, P::Department, "wang", NOW), true),
        (signature(W::Cutover, P::Department, "wang", NOW), true),
    ];
    let judgement = judged(W::Cutover, &twice, Some(NOW), 2);
    assert_eq!((judgement.counted.len(), judgement.refused[0].reason.as_str()), (1, "DutiesNotSeparate"));
    assert!(judgement.signed.unwrap_err().contains("1 of"));
}

#[test]
fn a_signature_for_one_thing_is_none_for_another() {
    let other = [(signature(W::Acceptance, P::Department, "wang", NOW), true)];
    let judgement = judged(W::Rollback, &other, Some(NOW), 1);
    assert!(judgement.counted.is_empty() && judgement.refused.is_empty() && judgement.signed.is_err());
}

proptest! {
    /// However signatures come: it is signed only when different people signed the digest for every party.
    #[test]
    fn nothing_is_signed_by_fewer_people_than_must(
        drawn in prop::collection::vec((0_usize..5, 0_usize..3, 0_usize..6, any::<bool>(), any::<bool>()), 0..24),
        purpose in 0_usize..5,
    ) {
        let people = ["wang", "li", "bao", "zhao", "su", "chen"];
        let all: Vec<(Signature, bool)> = drawn
            .into_iter()
            .map(|(purpose, party, who, current, guarded)| {
                let digest = if current { NOW } else { "sha256:before" };
                (signature(W::ALL[purpose], P::ALL[party], people[who], digest), guarded)
            })
            .collect();
        let purpose = W::ALL[purpose];
        let judgement = judged(purpose, &all, Some(NOW), 2);
        let here = all.iter().filter(|(signature, _)| signature.purpose == purpose).count();
        prop_assert_eq!(judgement.counted.len() + judgement.refused.len(), here);
        let mut who: Vec<&str> = judgement.counted.iter().map(|signature| signature.by.as_str()).collect();
        who.sort_unstable();
        let before = who.len();
        who.dedup();
        prop_assert_eq!(who.len(), before);
        prop_assert!(judgement.counted.iter().all(|signature| signature.digest == NOW));
        if judgement.signed.is_ok() {
            let needed = match purpose { W::Acceptance => 3, W::DeclaredFreeze => 1, _ => 2 };
            prop_assert!(before >= needed);
        }
    }
}
