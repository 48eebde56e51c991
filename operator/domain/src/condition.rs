//! Conditions as decisions make them: a set that moves `lastTransitionTime` only when `status` moves.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::condition::{Condition, ConditionStatus, ConditionType, Conditions, Reason};

use crate::seeded::{self, Bug};

/// When the seeded mistake [`Bug::TimesRefreshed`] takes a condition's time for old.
const REFRESHED: SignedDuration = SignedDuration::from_secs(120);

/// Builds the next conditions of an object from its present ones.
///
/// What is not set again is left out: a status is a function of what was observed, not of its history.
#[derive(Debug)]
pub struct ConditionSet<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Timestamp,
    next: Conditions,
}

impl<'a> ConditionSet<'a> {
    /// Starts from the conditions that stand on the object.
    pub fn new(before: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { before, generation: generation.unwrap_or_default(), now, next: Vec::new() }
    }

    /// Sets a condition.
    pub fn set(
        &mut self,
        type_: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) -> &mut Self {
        let unchanged_since = zhengyun_crds::condition::find(self.before, type_)
            .filter(|c| c.status == status && !seeded::is(Bug::Restless))
            .filter(|c| {
                !seeded::is(Bug::TimesRefreshed) || self.now.duration_since(c.last_transition_time.0) < REFRESHED
            })
            .map(|c| c.last_transition_time.clone());
        let mut condition = Condition {
            type_: type_.as_str().to_owned(),
            status,
            observed_generation: self.generation,
            last_transition_time: unchanged_since.unwrap_or(Time(self.now)),
            reason: reason.as_str().to_owned(),
            message: cut(message.into(), 4000),
        };
        let known = self.before.iter().find(|c| c.type_ == condition.type_ && c.message == condition.message);
        if let Some(known) = known.filter(|_| seeded::is(Bug::ConditionsNotRefreshed)) {
            condition.observed_generation = known.observed_generation;
        }
        self.next.retain(|c| c.type_ != condition.type_);
        self.next.push(condition);
        self
    }

    /// Sets a condition to `True`.
    pub fn yes(&mut self, type_: ConditionType, reason: Reason, message: impl Into<String>) -> &mut Self {
        self.set(type_, ConditionStatus::True, reason, message)
    }

    /// Sets a condition to `False`.
    pub fn no(&mut self, type_: ConditionType, reason: Reason, message: impl Into<String>) -> &mut Self {
        self.set(type_, ConditionStatus::False, reason, message)
    }

    /// Sets a condition to `Unknown`.
    pub fn unknown(&mut self, type_: ConditionType, reason: Reason, message: impl Into<String>) -> &mut Self {
        self.set(type_, ConditionStatus::Unknown, reason, message)
    }

    /// `Ready=False` and `Stalled=True`: a user must act.
    pub fn stalled(&mut self, reason: Reason, message: impl Into<String>) -> &mut Self {
        let message = message.into();
        self.no(ConditionType::Ready, reason, message.clone()).yes(ConditionType::Stalled, reason, message)
    }

    /// `Ready=Unknown` and `Reconciling=True`: the operator is at work.
    pub fn reconciling(&mut self, reason: Reason, message: impl Into<String>) -> &mut Self {
        let message = message.into();
        self.unknown(ConditionType::Ready, reason, message.clone()).yes(ConditionType::Reconciling, reason, message)
    }

    /// Keeps a condition as it stands on the object, if it does and was not set again.
    pub fn keep(&mut self, type_: ConditionType) -> &mut Self {
        let set_again = self.next.iter().any(|c| c.type_ == type_.as_str());
        if let Some(condition) = zhengyun_crds::condition::find(self.before, type_).filter(|_| !set_again) {
            self.next.push(condition.clone());
        }
        self
    }

    /// Says again, of the present generation, what stands on the object and still holds, if it was not set anew.
    pub fn again(&mut self, type_: ConditionType) -> &mut Self {
        let known = self.next.len();
        self.keep(type_);
        for condition in self.next.iter_mut().skip(known) {
            condition.observed_generation = self.generation;
        }
        self
    }

    /// The conditions, sorted by type so that equal sets are equal lists.
    pub fn finish(mut self) -> Conditions {
        self.next.sort_by(|a, b| a.type_.cmp(&b.type_));
        self.next
    }
}

/// Cuts a text to a number of bytes at a character's edge.
pub fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let edge = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(edge);
        text.push('…');
    }
    text
}
