//! Who sends a request.

/// Somebody, as authentication found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Username, such as `system:serviceaccount:zhengyun-system:zhengyun-operator`.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// UID; empty where the authenticator gives none.
    pub uid: String,
}

impl User {
    /// The cluster's own administrator.
    pub fn system() -> Self {
        Self {
            name: "system:admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            uid: String::new(),
        }
    }
}
