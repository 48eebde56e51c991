//! What a request asks for: its path and its query, taken apart.

use std::collections::BTreeMap;

use http::Uri;

use super::answer::Refusal;
use super::schema::Cause;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/version`.
    Version,
    /// `/api`.
    Core,
    /// `/apis`.
    Groups,
    /// The kinds of a group and version.
    Resources { group: String, version: String },
    /// Objects.
    Objects(Place),
}

/// Objects of a kind, or one of them, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    /// Empty for all namespaces, and for kinds that have none.
    pub(crate) namespace: String,
    /// Empty for the collection.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) part: String,
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    pub(crate) fn says(&self, key: &str) -> bool {
        // As the real server reads it: whatever is not false is true.
        self.0.get(key).is_some_and(|v| v != "0" && !v.eq_ignore_ascii_case("false"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        self.get(key).map(|v| v.parse().map_err(|_| Refusal::bad(format!("{key}: {v:?} is no number")))).transpose()
    }

    /// The revision that is asked for.
    pub(crate) fn version(&self) -> Result<Option<u64>, String> {
        let wrong = |v: &str| {
            format!("resourceVersion: Invalid value: {v:?}: strconv.ParseUint: parsing {v:?}: invalid syntax")
        };
        self.get("resourceVersion").map(|v| v.parse().map_err(|_| wrong(v))).transpose()
    }

    pub(crate) fn whole(&self, key: &str) -> Result<Option<i64>, Refusal> {
        self.get(key).map(|v| v.parse().map_err(|_| Refusal::bad(format!("{key}: {v:?} is no number")))).transpose()
    }

    /// Checks the options that all writes have; `kind` is how they are called.
    pub(crate) fn options(&self, kind: &str) -> Result<(), Refusal> {
        let mut causes = Vec::new();
        let mut cause = |field: &str, reason: &str, told: &str| causes.push(cause(field, reason, told));
        if !matches!(self.get("dryRun"), None | Some("All")) {
            cause("dryRun", "FieldValueNotSupported", "Unsupported value");
        }
        if !matches!(self.get("fieldValidation"), None | Some("Ignore" | "Warn" | "Strict")) {
            cause("fieldValidation", "FieldValueNotSupported", "Unsupported value");
        }
        if let Some(manager) = self.get("fieldManager") {
            if manager.len() > 128 {
                cause("fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes");
            }
            if manager.chars().any(char::is_control) {
                cause("fieldManager", "FieldValueInvalid", "Invalid value: should only contain printable characters");
            }
        }
        if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid_options(kind, &causes)) }
    }

    /// Checks how a list says of which revision it is to be.
    pub(crate) fn list_options(&self) -> Result<(), Refusal> {
        let mut causes = Vec::new();
        let mut forbidden = |field: &str, told: &str| {
            causes.push(cause(field, "FieldValueForbidden", &format!("Forbidden: {field} is forbidden {told}")));
        };
        let version = self.get("resourceVersion");
        let said = self.get("resourceVersionMatch");
        if said.is_some() && version.is_none() {
            forbidden("resourceVersionMatch", "unless resourceVersion is provided");
        }
        if said.is_some() && self.get("continue").is_some() {
            forbidden("resourceVersionMatch", "when continue is provided");
        }
        if said == Some("Exact") && version == Some("0") {
            forbidden("resourceVersionMatch", "for resourceVersion \"0\"");
        }
        if self.get("sendInitialEvents").is_some() {
            forbidden("sendInitialEvents", "for list");
        }
        if !matches!(said, None | Some("Exact" | "NotOlderThan")) {
            causes.push(cause("resourceVersionMatch", "FieldValueNotSupported", "Unsupported value"));
        }
        if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid_options("ListOptions", &causes)) }
    }

    /// Checks the options that patches have beside.
    pub(crate) fn patch_options(&self, apply: bool) -> Result<(), Refusal> {
        let fault = match (apply, self.get("fieldManager"), self.get("force")) {
            (true, None, _) => {
                cause("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
            }
            (false, _, Some(_)) => {
                cause("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch")
            }
            _ => return Ok(()),
        };
        Err(Refusal::invalid_options("PatchOptions", &[fault]))
    }
}

fn cause(field: &str, reason: &str, told: &str) -> Cause {
    Cause { reason: reason.to_owned(), field: field.to_owned(), message: told.to_owned() }
}

/// Takes a path apart.
pub(crate) fn target(path: &str) -> Result<Target, Refusal> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let resources =
        |group: &str, version: &str| Target::Resources { group: group.to_owned(), version: version.to_owned() };
    Ok(match parts.as_slice() {
        ["version"] => Target::Version,
        ["api"] => Target::Core,
        ["apis"] => Target::Groups,
        ["api", version] => resources("", version),
        ["apis", group, version] => resources(group, version),
        ["api", version, rest @ ..] => Target::Objects(place("", version, rest)?),
        ["apis", group, version, rest @ ..] => Target::Objects(place(group, version, rest)?),
        _ => return Err(Refusal::no_such_path()),
    })
}

fn place(group: &str, version: &str, rest: &[&str]) -> Result<Place, Refusal> {
    let at = |namespace: &str, plural: &str, name: &str, part: &str| Place {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        part: part.to_owned(),
    };
    Ok(match rest {
        ["namespaces", name, part @ ("status" | "finalize")] if group.is_empty() => at("", "namespaces", name, part),
        ["namespaces", namespace, plural] => at(namespace, plural, "", ""),
        ["namespaces", namespace, plural, name] => at(namespace, plural, name, ""),
        ["namespaces", namespace, plural, name, part] => at(namespace, plural, name, part),
        [plural] => at("", plural, "", ""),
        [plural, name] => at("", plural, name, ""),
        [plural, name, part] => at("", plural, name, part),
        _ => return Err(Refusal::no_such_path()),
    })
}
