//! What an approval, a cutover and a way back have in common: a person signs the digest of what was seen.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Party, RefusedSignature, Signature, SignedPurpose, SystemMigration as Resource};
use zhengyun_domain::migration::sealed::{came_unguarded, judged};

use super::{read, refusal, stage};
use crate::auth::Caller;
use crate::cache::Written as _;
use crate::extract::InDepartment;
use crate::problem::{Finding, Problem};
use crate::routes::writing::{ATTEMPTS, PAUSE};
use crate::state::AppState;
use crate::words::PartyWord;

/// A signature under what was seen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewSignature {
    /// On whose behalf the caller signs.
    #[schema(value_type = PartyWord)]
    pub(super) party: Party,
    /// The digest that is signed, as `evidence` of the migration shows it.
    #[schema(min_length = 71, max_length = 71, pattern = "^sha256:[0-9a-f]{64}$")]
    pub(super) digest: String,
}

/// Adds a signature as the caller. One that is there already is not added again.
///
/// Whether it would count is decided by the operator's own rules before it is written, so that nobody leaves a signature behind
/// that does nothing.
pub(super) async fn sign(
    state: &AppState,
    caller: &Caller,
    at: &InDepartment,
    purpose: SignedPurpose,
    wanted: &NewSignature,
) -> Result<Resource, Problem> {
    let NewSignature { party, digest } = wanted;
    let signature = Signature { purpose, party: *party, by: caller.username().to_owned(), digest: digest.clone() };
    for _ in 0..ATTEMPTS {
        let current = read(state, caller, at).await?;
        let stands = current.spec.signatures.contains(&signature);
        if stands && refused_for_good(&current, &signature).is_none() {
            // Whoever repeats a call did not hear that the first one was seen.
            current.shown(&state.cache).await;
            return Ok(current);
        }
        if stage(&current).is_terminal() {
            return Err(Problem::migration_ended(&at.name, stage(&current).as_str()));
        }
        let refused = refused_for_good(&current, &signature).or_else(|| object(&current, &signature));
        if let Some(refused) = refused {
            let finding = Finding::new(pointer(&refused), refused.reason, refused.message);
            return Err(Problem::signature_not_counted(&at.name).with_findings(vec![finding]));
        }
        let mut signatures = current.spec.signatures;
        signatures.push(signature.clone());
        let guard = json!({ "uid": current.metadata.uid, "resourceVersion": current.metadata.resource_version });
        let patch = json!({ "metadata": guard, "spec": { "signatures": signatures } });
        match caller.hub(state).patch(&at.namespace, &at.name, &patch, false).await {
            Ok(written) => return Ok(written),
            // Progress is written all the time: what was read is a moment old, and what is signed has not changed.
            Err(error) if error.is_conflict() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(refusal(state, caller, &error, at).await),
        }
    }
    Err(Problem::conflict())
}

/// That the signature stands there, and came in while nothing held it to its author: the same one once more tells nothing.
fn refused_for_good(migration: &Resource, wanted: &Signature) -> Option<RefusedSignature> {
    let mut refused = migration.status.iter().flat_map(|status| &status.refused_signatures);
    refused.find(|refused| came_unguarded(refused, wanted)).cloned()
}

/// Why the operator would not count the signature. Whether the caller holds the right is for the hub.
fn object(migration: &Resource, wanted: &Signature) -> Option<RefusedSignature> {
    let mut spec = migration.spec.clone();
    spec.signatures.push(wanted.clone());
    let mut status = migration.status.clone().unwrap_or_default();
    judged(&spec, &mut status, true, Timestamp::now());
    let is_ours = |refused: &RefusedSignature| {
        (refused.purpose, refused.party, &refused.by) == (wanted.purpose, wanted.party, &wanted.by)
    };
    let counts = status.signatures.iter().any(|one| {
        (one.purpose, one.party, &one.by, &one.digest) == (wanted.purpose, wanted.party, &wanted.by, &wanted.digest)
    });
    // Refusals keep the order of the signatures: the last one is about the new one.
    if counts { None } else { status.refused_signatures.into_iter().rev().find(is_ours) }
}

/// The part of the body that a refusal is about.
fn pointer(refused: &RefusedSignature) -> &'static str {
    let of_the_digest = [Reason::EvidenceChanged, Reason::NotGuarded];
    if of_the_digest.iter().any(|known| known.as_str() == refused.reason) { "/digest" } else { "/party" }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use zhengyun_crds::migration::{Party, Signature, SignedPurpose, SystemMigration};

    use super::{object, pointer, refused_for_good};

    const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    /// A migration whose cutover and acceptance can be signed; qian signed the acceptance for the department.
    fn migration() -> SystemMigration {
        let evidence = |kind: &str| json!({ "kind": kind, "digest": DIGEST, "at": "2026-03-01T08:00:00Z" });
        serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemMigration", "metadata": { "name": "m", "namespace": "dept-finance" },
            "spec": {
                "system": "portal", "room": "old", "strategy": "Rehost", "grant": "g", "recoveryPlan": "p",
                "workloads": [{ "name": "files", "source": { "files": { "root": "share", "subpath": "" } } }],
                "cutover": { "downtimeBudget": "10m", "approvers": ["sun"], "rollbackPlan": "back" },
                "signers": { "department": ["qian", "sun"], "authority": ["li"], "provider": ["wu"] },
                "signatures": [{ "purpose": "Acceptance", "party": "Department", "by": "qian", "digest": DIGEST }]
            },
            "status": { "stage": "ParallelRun", "evidence": [evidence("Cutover"), evidence("Acceptance")] }
        }))
        .unwrap()
    }

    #[rstest]
    #[case(SignedPurpose::Acceptance, Party::Authority, "li", DIGEST, None)]
    #[case(SignedPurpose::Acceptance, Party::Authority, "li", OTHER, Some(("/digest", "EvidenceChanged")))]
    #[case(SignedPurpose::Acceptance, Party::Authority, "zhou", DIGEST, Some(("/party", "NotEntitled")))]
    #[case(SignedPurpose::Acceptance, Party::Department, "sun", DIGEST, None)]
    #[case(SignedPurpose::Cutover, Party::Department, "sun", DIGEST, None)]
    #[case(SignedPurpose::Cutover, Party::Department, "qian", DIGEST, Some(("/party", "NotEntitled")))]
    #[case(SignedPurpose::Cutover, Party::Provider, "wu", DIGEST, Some(("/party", "NotEntitled")))]
    #[case(SignedPurpose::Rollback, Party::Authority, "li", DIGEST, Some(("/digest", "EvidenceChanged")))]
    fn who_may_sign_what(
        #[case] purpose: SignedPurpose,
        #[case] party: Party,
        #[case] by: &str,
        #[case] digest: &str,
        #[case] expected: Option<(&str, &str)>,
    ) {
        let wanted = Signature { purpose, party, by: by.to_owned(), digest: digest.to_owned() };
        let refused = object(&migration(), &wanted);
        let told = refused.as_ref().map(|r| (pointer(r), r.reason.as_str()));
        assert_eq!(told, expected, "{refused:?}");
    }

    #[test]
    fn what_came_in_while_nothing_guarded_is_not_signed_by_saying_it_again() {
        let mut migration = migration();
        let signed = migration.spec.signatures[0].clone();
        assert_eq!(refused_for_good(&migration, &signed), None);
        let status = migration.status.as_mut().unwrap();
        status.refused_signatures = serde_json::from_value(json!([{
            "purpose": "Acceptance", "party": "Department", "by": "qian", "digest": DIGEST, "reason": "NotGuarded", "message": "sign anew"
        }]))
        .unwrap();
        let refused = refused_for_good(&migration, &signed).unwrap();
        assert_eq!((pointer(&refused), refused.message.as_str()), ("/digest", "sign anew"));
        let anew = Signature { digest: OTHER.to_owned(), ..signed };
        assert_eq!(refused_for_good(&migration, &anew), None);
    }
}
