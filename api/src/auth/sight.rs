//! What a caller may see: everything, or what belongs to some departments.
//!
//! A right on all departments is asked first. Otherwise the watched RoleBindings say where the caller *may* have a role,
//! and a review confirms each place: bindings only save questions, they never answer one.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::rbac::v1::{RoleBinding, Subject};

use super::{Caller, Identity, Right};
use crate::names::{department_of, namespace_of};
use crate::problem::Problem;
use crate::state::AppState;

/// Departments that are asked about at once for one list.
const ASKED_AT_ONCE: usize = 16;

/// Where a right is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// In every department.
    Everywhere,
    /// In these departments.
    Departments(BTreeSet<String>),
}

impl Sight {
    /// Whether it reaches a department.
    pub(crate) fn reaches(&self, department: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Departments(departments) => departments.contains(department),
        }
    }

    /// Whether it reaches what lies in a namespace.
    pub(crate) fn reaches_namespace(&self, namespace: Option<&str>) -> bool {
        namespace.and_then(department_of).is_some_and(|department| self.reaches(department))
    }
}

impl Caller {
    /// Whether the caller has a right in one department.
    pub(crate) async fn may(&self, state: &AppState, right: &Right, department: &str) -> Result<bool, Problem> {
        let Some(namespace) = namespace_of(department) else { return Ok(false) };
        state.access.holds(&state.hub, &self.identity, right, Some(&namespace)).await
    }

    /// Whether the caller has a right in all departments.
    pub(crate) async fn may_everywhere(&self, state: &AppState, right: &Right) -> Result<bool, Problem> {
        state.access.holds(&state.hub, &self.identity, right, None).await
    }

    /// Where the caller has a right.
    pub(crate) async fn sight(&self, state: &AppState, right: &Right) -> Result<Sight, Problem> {
        if self.may_everywhere(state, right).await? {
            return Ok(Sight::Everywhere);
        }
        let confirmed = futures::stream::iter(self.candidates(state))
            .map(async |department| Ok::<_, Problem>(self.may(state, right, &department).await?.then_some(department)))
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(Sight::Departments(confirmed.into_iter().flatten().collect()))
    }

    /// Whether the caller has a right anywhere: what belongs to no department is shown to those with a role in some.
    pub(crate) async fn may_somewhere(&self, state: &AppState, right: &Right) -> Result<bool, Problem> {
        if self.may_everywhere(state, right).await? {
            return Ok(true);
        }
        for department in self.candidates(state) {
            if self.may(state, right, &department).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Departments in which a RoleBinding names the caller.
    fn candidates(&self, state: &AppState) -> BTreeSet<String> {
        state
            .cache
            .bindings
            .filter(|binding| names(binding, &self.identity))
            .iter()
            .filter_map(|b| department_of(b.metadata.namespace.as_deref()?).map(str::to_owned))
            .collect()
    }

    /// The cluster roles that RoleBindings give the caller, by department.
    pub(crate) fn bound_roles(&self, state: &AppState) -> Vec<(String, String)> {
        let bindings = state.cache.bindings.filter(|b| b.role_ref.kind == "ClusterRole" && names(b, &self.identity));
        let roles = bindings.iter().filter_map(|b| {
            Some((department_of(b.metadata.namespace.as_deref()?)?.to_owned(), b.role_ref.name.clone()))
        });
        roles.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn names(binding: &RoleBinding, identity: &Identity) -> bool {
    binding.subjects.iter().flatten().any(|subject| is(subject, identity))
}

fn is(subject: &Subject, identity: &Identity) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == identity.username,
        "Group" => identity.groups.contains(&subject.name),
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            identity.username == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::rbac::v1::Subject;
    use rstest::rstest;

    use super::{Identity, Sight, is};

    fn subject(kind: &str, name: &str, namespace: Option<&str>) -> Subject {
        Subject { kind: kind.into(), name: name.into(), namespace: namespace.map(Into::into), api_group: None }
    }

    #[rstest]
    #[case(subject("User", "li", None), true)]
    #[case(subject("User", "clerks", None), false)]
    #[case(subject("Group", "clerks", None), true)]
    #[case(subject("Group", "li", None), false)]
    #[case(subject("ServiceAccount", "li", Some("x")), false)]
    fn a_subject_is_who_it_names(#[case] subject: Subject, #[case] expected: bool) {
        let identity =
            Identity { username: "li".into(), uid: None, groups: vec!["clerks".into()], extra: BTreeMap::new() };
        assert_eq!(is(&subject, &identity), expected);
    }

    #[test]
    fn a_service_account_is_its_full_username() {
        let identity = Identity {
            username: "system:serviceaccount:ns:robot".into(),
            uid: None,
            groups: vec![],
            extra: BTreeMap::new(),
        };
        assert!(is(&subject("ServiceAccount", "robot", Some("ns")), &identity));
        assert!(!is(&subject("ServiceAccount", "robot", Some("other")), &identity));
    }

    #[test]
    fn nothing_outside_departments_is_ever_reached() {
        assert!(Sight::Everywhere.reaches_namespace(Some("dept-finance")));
        assert!(!Sight::Everywhere.reaches_namespace(Some("zhengyun-system")));
        assert!(!Sight::Everywhere.reaches_namespace(None));
        assert!(!Sight::Departments(["health".into()].into()).reaches_namespace(Some("dept-finance")));
    }
}
