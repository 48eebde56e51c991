//! Shapes that several nouns share in answers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zhengyun_crds::amounts::{AmountText, LimitText};

use crate::words::ConditionStatusWord;

/// Resource name to exact quantity, such as `{"cpu": "4", "memory": "8Gi"}`; in limits also `unlimited`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"cpu": "4", "memory": "8Gi"}))]
pub(crate) struct Amounts(BTreeMap<String, String>);

/// Amounts as they stand in answers.
pub(crate) fn amounts(amounts: &BTreeMap<String, AmountText>) -> Amounts {
    Amounts(amounts.iter().map(|(resource, amount)| (resource.clone(), amount.0.clone())).collect())
}

/// Limits as they stand in answers: quantities or `unlimited`.
pub(crate) fn limits(limits: &BTreeMap<String, LimitText>) -> Amounts {
    Amounts(limits.iter().map(|(resource, limit)| (resource.clone(), limit.0.clone())).collect())
}

/// A moment as RFC 3339 text.
pub(crate) fn moment(time: &Time) -> String {
    time.0.to_string()
}

/// When an object was created; empty only for an object that was never stored.
pub(crate) fn created(metadata: &ObjectMeta) -> String {
    metadata.creation_timestamp.as_ref().map(moment).unwrap_or_default()
}

/// As it goes over the wire.
pub(crate) fn json(shape: &impl serde::Serialize) -> serde_json::Value {
    // Shapes are strings, numbers, lists and objects of them, which always have a JSON form.
    serde_json::to_value(shape).unwrap_or_default()
}

/// An object's name.
pub(crate) fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// A name in one language.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DisplayName {
    /// Full legal name.
    pub(crate) full: String,
    /// Short name for lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) short: Option<String>,
}

/// Names for people, by language.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DisplayNames {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    pub(crate) zh_cn: DisplayName,
    /// English.
    pub(crate) en: DisplayName,
    /// Mongolian in the traditional script.
    #[serde(rename = "mn-Mong", skip_serializing_if = "Option::is_none")]
    pub(crate) mn_mong: Option<DisplayName>,
}

impl From<&zhengyun_crds::names::DisplayName> for DisplayName {
    fn from(name: &zhengyun_crds::names::DisplayName) -> Self {
        Self { full: name.full.clone(), short: name.short.clone() }
    }
}

impl From<&zhengyun_crds::DisplayNames> for DisplayNames {
    fn from(names: &zhengyun_crds::DisplayNames) -> Self {
        Self { zh_cn: (&names.zh_cn).into(), en: (&names.en).into(), mn_mong: names.mn_mong.as_ref().map(Into::into) }
    }
}

/// One observation about an object.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    #[schema(example = "Ready")]
    pub(crate) kind: String,
    /// Whether it holds.
    #[schema(value_type = ConditionStatusWord)]
    pub(crate) status: String,
    /// Stable code.
    #[schema(example = "AwaitingApproval")]
    pub(crate) reason: String,
    /// What happened, the numbers, and what to do next.
    pub(crate) message: String,
    /// When the status last changed.
    #[schema(format = DateTime)]
    pub(crate) last_transition_time: String,
}

impl From<&zhengyun_crds::Condition> for Condition {
    fn from(condition: &zhengyun_crds::Condition) -> Self {
        Self {
            kind: condition.type_.clone(),
            status: condition.status.to_string(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_time: moment(&condition.last_transition_time),
        }
    }
}

/// Conditions as they stand in answers.
pub(crate) fn conditions(conditions: Option<&Vec<zhengyun_crds::Condition>>) -> Vec<Condition> {
    conditions.into_iter().flatten().map(Condition::from).collect()
}

/// Whether a thing is as intended, in one line for a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Readiness {
    /// `True`, `False`, or `Unknown` while nothing was decided.
    #[schema(value_type = ConditionStatusWord)]
    pub(crate) status: String,
    /// Stable code.
    #[schema(example = "AsIntended")]
    pub(crate) reason: String,
    /// What happened and what to do next.
    pub(crate) message: String,
}

/// The `Ready` condition in one line.
pub(crate) fn readiness(conditions: Option<&Vec<zhengyun_crds::Condition>>) -> Readiness {
    let ready = conditions.and_then(|c| zhengyun_crds::condition::find(c, zhengyun_crds::ConditionType::Ready));
    ready.map_or_else(
        || Readiness { status: "Unknown".to_owned(), reason: "Pending".to_owned(), message: String::new() },
        |c| Readiness { status: c.status.to_string(), reason: c.reason.clone(), message: c.message.clone() },
    )
}
