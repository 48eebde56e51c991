//! Whose signature counts: the right person, for the right party, on the digest that is in force.

use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Party, RefusedSignature, Signature, SignedPurpose, Signers};

use super::facts::Signed;
use crate::condition::cut;

/// A signature, and whether the API server held it to its author and to who may sign for the party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The signature.
    pub signature: &'a Signature,
    /// Whether it did when the signature came in.
    pub guarded: bool,
}

/// What a purpose asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms<'a> {
    /// Purpose.
    pub purpose: SignedPurpose,
    /// Digest that is in force; none while there is nothing to sign.
    pub digest: Option<&'a str>,
    /// Parties that must sign, each with its people and how many of them.
    pub needed: Vec<(Party, &'a [String], usize)>,
}

/// Parties that sign, by what is signed. The cloud provider operates and signs for the result; it approves nothing.
pub fn terms<'a>(
    purpose: SignedPurpose,
    digest: Option<&'a str>,
    signers: &'a Signers,
    approvers: (&'a [String], usize),
) -> Terms<'a> {
    use Party as P;
    let needed = match purpose {
        SignedPurpose::Cutover => vec![(P::Department, approvers.0, approvers.1.max(1))],
        SignedPurpose::DeclaredFreeze => vec![(P::Department, signers.of(P::Department), 1)],
        SignedPurpose::Rollback | SignedPurpose::Erasure => {
            vec![(P::Department, signers.of(P::Department), 1), (P::Authority, signers.of(P::Authority), 1)]
        }
        SignedPurpose::Acceptance => {
            [P::Department, P::Authority, P::Provider].map(|party| (party, signers.of(party), 1)).to_vec()
        }
    };
    Terms { purpose, digest, needed }
}

/// What came of the signatures of a purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// Those that count.
    pub counted: Vec<&'a Signature>,
    /// Those that do not, and why.
    pub refused: Vec<RefusedSignature>,
    /// Whether enough people signed.
    pub signed: Signed,
}

/// Judges the signatures of a purpose. One person counts once, for one party.
pub fn judge<'a>(terms: &Terms<'_>, candidates: &[Candidate<'a>]) -> Judgement<'a> {
    let mut counted: Vec<&'a Signature> = Vec::new();
    let mut refused = Vec::new();
    for candidate in candidates.iter().filter(|candidate| candidate.signature.purpose == terms.purpose) {
        let signature = candidate.signature;
        match objection(terms, candidate, &counted) {
            None => counted.push(signature),
            Some((reason, message)) => refused.push(RefusedSignature {
                purpose: signature.purpose,
                party: signature.party,
                by: signature.by.clone(),
                digest: signature.digest.clone(),
                reason: reason.as_str().to_owned(),
                message: cut(message, 500),
            }),
        }
    }
    let signed = missing(terms, &counted).map_or(Ok(()), Err);
    Judgement { counted, refused, signed }
}

fn objection(terms: &Terms<'_>, candidate: &Candidate<'_>, counted: &[&Signature]) -> Option<(Reason, String)> {
    let Signature { party, by, digest, .. } = candidate.signature;
    // Before anything else: what came in so is known by this reason, and never counts.
    if !candidate.guarded {
        return Some((
            Reason::NotGuarded,
            format!(
                "anybody could have written it: it came in while policy zhengyun-migration was not enforced; once it is, raise spec.round, and {by} signs the digest of {} that is in status.evidence then",
                terms.purpose
            ),
        ));
    }
    let people = terms.needed.iter().find(|(needed, ..)| needed == party).map(|(_, people, _)| *people);
    let Some(people) = people else {
        return Some((Reason::NotEntitled, format!("{party} does not sign for {}", terms.purpose)));
    };
    if !people.contains(by) {
        return Some((
            Reason::NotEntitled,
            format!("{by} is not among those who sign {} for {party}: {}", terms.purpose, people.join(", ")),
        ));
    }
    if terms.digest != Some(digest.as_str()) {
        return Some((
            Reason::EvidenceChanged,
            format!(
                "signs {digest}, {} is to be signed now: look at status.evidence again",
                terms.digest.unwrap_or("nothing")
            ),
        ));
    }
    if let Some(earlier) = counted.iter().find(|earlier| &earlier.by == by) {
        return Some((
            Reason::DutiesNotSeparate,
            format!("{by} signed for {} already: another person must sign", earlier.party),
        ));
    }
    None
}

fn missing(terms: &Terms<'_>, counted: &[&Signature]) -> Option<String> {
    let Some(digest) = terms.digest else {
        return Some(format!("there is nothing to sign for {} yet", terms.purpose));
    };
    let open: Vec<String> = terms
        .needed
        .iter()
        .filter_map(|(party, people, count)| {
            let here = counted.iter().filter(|signature| signature.party == *party).count();
            let left = count.saturating_sub(here);
            (left > 0).then(|| format!("{left} of {} for {party}", people.join(", ")))
        })
        .collect();
    (!open.is_empty()).then(|| {
        format!("{} of {digest} is to be signed by {}: add to spec.signatures", terms.purpose, open.join(" and "))
    })
}
