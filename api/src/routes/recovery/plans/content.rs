//! What people write in a recovery plan, as it stands in bodies and answers: the same in both, so that what was read can be changed
//! and sent back.
//!
//! The fields are those of the custom resource, which a test holds them to; only here an unknown one is refused, where the hub would
//! drop it without a word.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zhengyun_crds::recovery::{Edition, Element, MissedRuns, RecoveryPlanSpec};

use crate::problem::Problem;
use crate::words::{EditionWord, ElementWord, MissedRunsWord};

/// What is protected, when, where, for how long, and what is expected of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PlanContent {
    /// Information system that is protected; stays what it is once written.
    #[schema(min_length = 1, max_length = 58)]
    system: String,
    /// What is protected.
    #[schema(min_items = 1, max_items = 16)]
    sources: Vec<Source>,
    /// When a backup is due.
    schedule: Schedule,
    /// How many backups are kept.
    retention: Retention,
    /// Backups that must not be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    holds: Vec<Hold>,
    /// Stores; the first is written first, the others are copied from it.
    #[schema(min_items = 1, max_items = 4)]
    copies: Vec<CopyIn>,
    /// How far the copies must be from what they protect; one independent copy unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topology: Option<Topology>,
    /// Bytes that the backups may take up in each store, such as `50Gi`.
    #[schema(min_length = 1, max_length = 40)]
    ceiling: String,
    /// What may be lost, and for how long.
    objectives: Objectives,
    /// Recovery level asked for (GB/T 20988).
    #[schema(minimum = 1, maximum = 6)]
    level: i32,
    /// Edition of the standard that defines the level; the current one unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EditionWord>)]
    edition: Option<Edition>,
    /// What people attest where nothing can measure it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 7)]
    attestations: Vec<Attestation>,
    /// How restores are proven. Without drills no recovery time is measured, and no objective is met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drill: Option<DrillPolicy>,
    /// The department's key.
    encryption: Encryption,
    /// Password keys that people put into a safe place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    escrow: Vec<Escrow>,
    /// Starts no further run while it is true. What runs goes on; what is measured goes on ageing.
    #[serde(default)]
    paused: bool,
}

/// One thing that is protected.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Source {
    /// Name within the plan.
    #[schema(min_length = 1, max_length = 30, pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    name: String,
    /// What it is.
    origin: Origin,
}

/// What a source is: exactly one of these. Each names something that the department holds or that an administrator declared for it;
/// none holds an address or a path of a machine.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum Origin {
    /// Everything that a grant delivered.
    Namespace(GrantOrigin),
    /// A database or volume that a grant delivered.
    Item(ItemOrigin),
    /// A declared database outside the cloud.
    Database(DatabaseOrigin),
    /// A folder below a declared file root.
    Files(FilesOrigin),
}

/// Everything that a grant delivered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GrantOrigin {
    /// Grant of the same department.
    #[schema(min_length = 1, max_length = 63)]
    grant: String,
}

/// A database or volume that a grant delivered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ItemOrigin {
    /// Grant of the same department.
    #[schema(min_length = 1, max_length = 63)]
    grant: String,
    /// Name of the order line that delivered it.
    #[schema(min_length = 1, max_length = 30)]
    item: String,
}

/// A database that a site declares for the department.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DatabaseOrigin {
    /// Site that declares it.
    #[schema(min_length = 1, max_length = 40)]
    site: String,
    /// Name under which it is declared; an address is not accepted here.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    endpoint: String,
    /// Database.
    #[schema(min_length = 1, max_length = 63, pattern = "^[A-Za-z_][A-Za-z0-9_$-]*$")]
    database: String,
}

/// A folder below a file root that a site declares for the department.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FilesOrigin {
    /// Site that declares the root.
    #[schema(min_length = 1, max_length = 40)]
    site: String,
    /// Name under which the root is declared; a path is not accepted here.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    root: String,
    /// Folder below the root, relative and without `.` or `..`; empty for all of it.
    #[serde(default)]
    #[schema(max_length = 512)]
    subpath: String,
}

/// When something is due: either `cron` or `every`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Schedule {
    /// Five fields, as in crontab; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 5, max_length = 128)]
    cron: Option<String>,
    /// Interval since the plan was written, such as `6h`; at least one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 2, max_length = 32)]
    every: Option<String>,
    /// IANA time zone in which `cron` is read; Asia/Shanghai unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    time_zone: Option<String>,
    /// Runs start up to this much later, each plan by its own constant share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 2, max_length = 32)]
    jitter: Option<String>,
    /// What becomes of due times that passed while nothing could be started; one run for all of them unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MissedRunsWord>)]
    missed: Option<MissedRuns>,
}

/// How many backups are kept; at least one of the first five is above zero.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retention {
    /// How many of the newest.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    last: i32,
    /// Of how many days.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    daily: i32,
    /// Of how many weeks (ISO 8601, from Monday).
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    weekly: i32,
    /// Of how many months.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    monthly: i32,
    /// Of how many years.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    yearly: i32,
    /// Verified backups that are kept in any case, the newest ones; 1 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    minimum: Option<i32>,
    /// Records of backups without data that are kept, the newest; 30 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000)]
    history: Option<i32>,
}

/// A backup that must not be deleted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hold {
    /// Backup.
    #[schema(min_length = 1, max_length = 63)]
    backup: String,
    /// Why: case number, audit, order.
    #[schema(min_length = 1, max_length = 512)]
    reason: String,
    /// Last day of the hold; until it is taken away unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    until: Option<String>,
}

/// A store that holds a copy of every backup.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CopyIn {
    /// Store.
    #[schema(min_length = 1, max_length = 40)]
    store: String,
}

/// How far the copies must be from what they protect.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Topology {
    /// Copies that must share no failure domain with the sources nor with one another; 1 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 4)]
    independent_copies: Option<i32>,
    /// Kilometres that at least one of them must be away from every source; 0 for no demand.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 5000)]
    minimum_kilometres: i32,
}

/// What may be lost, and for how long the service may be away.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Objectives {
    /// Recovery point objective, such as `6h`: data of at most this long may be lost.
    #[schema(min_length = 2, max_length = 32)]
    rpo: String,
    /// Recovery time objective, such as `4h`: the system is back within this long.
    #[schema(min_length = 2, max_length = 32)]
    rto: String,
}

/// A person's word, with a document, that an element meets a level where nothing can measure it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attestation {
    /// Element that it is about.
    #[schema(value_type = ElementWord)]
    element: Element,
    /// Level whose clauses it covers, with those below it.
    #[schema(minimum = 1, maximum = 6)]
    level: i32,
    /// Who attests: person and office.
    #[schema(min_length = 1, max_length = 128)]
    by: String,
    /// Last day on which it counts.
    #[schema(format = Date, pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    until: String,
    /// The document.
    document: Attested,
}

/// A document that proves an attestation, kept elsewhere and named by its digest.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attested {
    /// Its title.
    #[schema(min_length = 1, max_length = 128)]
    title: String,
    /// SHA-256 of the document in hexadecimal digits.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    sha256: String,
    /// Where it is kept.
    #[schema(min_length = 1, max_length = 512)]
    reference: String,
}

/// How restores are proven.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DrillPolicy {
    /// When drills are due.
    schedule: Schedule,
    /// Site at which copies are restored into scratch.
    #[schema(min_length = 1, max_length = 40)]
    site: String,
    /// How long a passed drill counts as evidence; `92d` unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 2, max_length = 32)]
    valid_for: Option<String>,
}

/// The department's key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Encryption {
    /// Secret, kept by the cloud administrator and marked as the department's, that wraps the keys of the plan's repositories.
    #[schema(min_length = 1, max_length = 63)]
    secret_name: String,
}

/// A person's word that the password key of a repository lies in a safe place outside this cloud.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Escrow {
    /// Store of the repository.
    #[schema(min_length = 1, max_length = 40)]
    store: String,
    /// Fingerprint of the key, as shown with it.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    fingerprint: String,
    /// Who keeps it: person and office.
    #[schema(min_length = 1, max_length = 128)]
    keeper: String,
}

impl PlanContent {
    /// What is written to the hub, what was left out filled in.
    pub(super) fn spec(self) -> Result<RecoveryPlanSpec, Problem> {
        // One shape under two rules: only the refusal of unknown fields tells them apart.
        let written = serde_json::to_value(self).map_err(|error| Problem::internal(&error))?;
        serde_json::from_value(written).map_err(|error| Problem::internal(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use zhengyun_crds::RecoveryPlan;

    use super::PlanContent;

    /// Fields and words of a schema at every depth, as paths; `references` are what its parts may be kept under.
    fn paths(schema: &Value, references: &Value, at: &str, into: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
            return paths(&references[name], references, at, into);
        }
        for part in ["oneOf", "allOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            paths(part, references, at, into);
        }
        for word in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            into.insert(format!("{at}={word}"));
        }
        if schema["items"].is_object() {
            paths(&schema["items"], references, &format!("{at}[]"), into);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{at}/{name}");
            into.insert(place.clone());
            paths(field, references, &place, into);
        }
    }

    #[test]
    fn the_body_has_the_fields_of_the_custom_resource_and_no_others() {
        let definition = <RecoveryPlan as kube::CustomResourceExt>::crd();
        let stored = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let stored = serde_json::to_value(stored).unwrap();
        let document: Value = serde_json::from_str(crate::openapi::document()).unwrap();
        let components = &document["components"]["schemas"];
        let (mut of_hub, mut of_body) = (BTreeSet::new(), BTreeSet::new());
        paths(&stored["properties"]["spec"], &Value::Null, "", &mut of_hub);
        paths(&components["PlanContent"], components, "", &mut of_body);
        assert!(of_hub.len() > 60 && of_hub.contains("/sources[]/origin/files/subpath"), "{of_hub:?}");
        assert_eq!(of_hub, of_body);
    }

    #[test]
    fn what_is_read_can_be_sent_back() {
        let mut plan: RecoveryPlan = serde_json::from_value(crate::tests::recovery::a_plan()).unwrap();
        plan.spec.drill =
            serde_json::from_value(serde_json::json!({"schedule": {"every": "7d"}, "site": "ulanqab"})).unwrap();
        let shown = serde_json::to_value(&plan.spec).unwrap();
        let content: PlanContent = serde_json::from_value(shown).unwrap();
        assert_eq!(content.spec().unwrap(), plan.spec);
    }
}
