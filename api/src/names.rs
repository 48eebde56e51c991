//! Names out of a path or body, checked before they go into any call.

use zhengyun_crds::marks::DEPARTMENT_NAMESPACE_PREFIX;
use zhengyun_domain::naming;

/// The hub namespace of a department, or nothing for a name that no department can have.
pub(crate) fn namespace_of(department: &str) -> Option<String> {
    naming::department_namespace(department).ok()
}

/// The department whose objects a namespace holds.
pub(crate) fn department_of(namespace: &str) -> Option<&str> {
    namespace.strip_prefix(DEPARTMENT_NAMESPACE_PREFIX).filter(|department| !department.is_empty())
}

/// The first `bytes` bytes of a name, without a hyphen at the end.
pub(crate) fn cut(name: &str, bytes: usize) -> &str {
    // Names are ASCII labels; were one not, an uncut name is refused by the hub rather than cut inside a character.
    name.get(..bytes).unwrap_or(name).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::{cut, department_of, namespace_of};

    #[test]
    fn namespaces_and_departments_correspond() {
        assert_eq!(namespace_of("finance").as_deref(), Some("dept-finance"));
        assert_eq!(namespace_of("../x"), None);
        assert_eq!(department_of("dept-finance"), Some("finance"));
        assert_eq!(department_of("dept-"), None);
        assert_eq!(department_of("kube-system"), None);
    }

    #[test]
    fn a_cut_leaves_no_hyphen_at_the_end() {
        assert_eq!(cut("smart-emergency", 6), "smart");
        assert_eq!(cut("abc", 10), "abc");
    }
}
