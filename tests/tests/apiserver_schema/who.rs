//! Who tries: the people and accounts of the tables, as an API server would have authenticated them.

use std::fmt;

use zhengyun_tests::apiserver::User;

pub(crate) use super::callers::Callers;

/// Somebody at an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A person at the hub.
    Person(&'static str),
    /// A ServiceAccount of `zhengyun-system` at the hub.
    Account(&'static str),
    /// The hub's cluster administrator.
    Root,
    /// An account of Kubernetes itself at the hub.
    Kubernetes(&'static str),
    /// The driver at the site.
    Driver,
    /// A person at the site: user, department.
    Tenant(&'static str, &'static str),
    /// The cluster administrator of the site.
    SiteRoot,
}

pub(crate) const ADMIN: Who = Who::Person("cloud-admin");
pub(crate) const PROVIDER: Who = Who::Person("provider-ops");
pub(crate) const CLERK: Who = Who::Person("clerk-emergency");
pub(crate) const HEAD: Who = Who::Person("head-emergency");
pub(crate) const OTHER_CLERK: Who = Who::Person("clerk-finance");
pub(crate) const OTHER_HEAD: Who = Who::Person("head-finance");
pub(crate) const TECHNICAL: Who = Who::Person("reviewer-technical");
pub(crate) const CAPACITY: Who = Who::Person("reviewer-capacity");
pub(crate) const SECURITY: Who = Who::Person("reviewer-security");
pub(crate) const LOCAL: Who = Who::Person("reviewer-hohhot");
pub(crate) const AUTHORITY: Who = Who::Person("authority-chief");
pub(crate) const STRANGER: Who = Who::Person("stranger");
pub(crate) const OPERATOR: Who = Who::Account("zhengyun-operator");
pub(crate) const API_ACCOUNT: Who = Who::Account("zhengyun-api");
pub(crate) const COLLECTOR: Who = Who::Kubernetes("system:serviceaccount:kube-system:generic-garbage-collector");
pub(crate) const TENANT: Who = Who::Tenant("clerk-emergency", "emergency");
pub(crate) const OTHER_TENANT: Who = Who::Tenant("clerk-finance", "finance");

/// Groups of people.
const GROUPS: &[(&str, &str)] = &[
    ("cloud-admin", "zhengyun:cloud-admins"),
    ("provider-ops", "zhengyun:providers"),
    ("clerk-emergency", "dept:emergency"),
    ("head-emergency", "dept:emergency"),
    ("clerk-finance", "dept:finance"),
    ("head-finance", "dept:finance"),
    ("reviewer-hohhot", "zhengyun:local-reviewers:hohhot"),
    ("reviewer-technical", "zhengyun:technical-reviewers"),
    ("reviewer-capacity", "zhengyun:capacity-reviewers"),
    ("reviewer-security", "zhengyun:security-reviewers"),
    ("authority-chief", "zhengyun:authority"),
];

impl Who {
    /// Whether they are at the site.
    pub(crate) const fn at_site(self) -> bool {
        matches!(self, Self::Driver | Self::Tenant(..) | Self::SiteRoot)
    }

    pub(crate) fn user(self) -> User {
        let (name, group) = match self {
            Self::Person(name) => {
                let group = GROUPS.iter().find(|(known, _)| *known == name).map(|(_, group)| (*group).to_owned());
                (name.to_owned(), group)
            }
            Self::Account(name) => return account(name),
            Self::Root | Self::SiteRoot => ("lab-admin".to_owned(), Some("system:masters".to_owned())),
            Self::Kubernetes(name) => (name.to_owned(), None),
            Self::Driver => return account("zhengyun-driver"),
            Self::Tenant(user, department) => (user.to_owned(), Some(format!("dept:{department}"))),
        };
        let groups = group.into_iter().chain(["system:authenticated".to_owned()]).collect();
        User { name, groups, uid: String::new() }
    }
}

fn account(name: &str) -> User {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:zhengyun-system", "system:authenticated"];
    User {
        name: format!("system:serviceaccount:zhengyun-system:{name}"),
        groups: groups.map(str::to_owned).to_vec(),
        uid: String::new(),
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user().name)
    }
}
