//! Writes that an API server answered, by its own metrics.

use std::collections::BTreeMap;

/// Requests that store nothing, or that go on by themselves.
const APART: [&str; 6] = [
    "leases",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "localsubjectaccessreviews",
    "tokenreviews",
];

/// How often each `VERB resource/subresource` was written, leases and reviews apart.
pub(super) fn counted(metrics: &str) -> BTreeMap<String, u64> {
    let mut writes = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let Some((labels, value)) = line.rsplit_once(' ') else { continue };
        let label = |name: &str| {
            labels.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
        };
        let (verb, resource, sub) = (label("verb"), label("resource"), label("subresource"));
        let writes_something = matches!(verb, "POST" | "PUT" | "PATCH" | "DELETE" | "DELETECOLLECTION" | "APPLY");
        if !writes_something || APART.contains(&resource) || !label("dry_run").is_empty() {
            continue;
        }
        // Counters are whole numbers in a float's form.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        let count = value.parse::<f64>().unwrap_or_default() as u64;
        let name = if sub.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}/{sub}") };
        *writes.entry(name).or_default() += count;
    }
    writes
}

/// What was written between two looks.
pub(super) fn between(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    after
        .iter()
        .map(|(name, count)| (name.clone(), count.saturating_sub(before.get(name).copied().unwrap_or_default())))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{between, counted};

    #[test]
    fn leases_reviews_reads_and_dry_runs_are_apart() {
        let text = "# HELP apiserver_request_total\n\
            apiserver_request_total{code=\"200\",dry_run=\"\",resource=\"ledgers\",subresource=\"status\",verb=\"PATCH\"} 3\n\
            apiserver_request_total{code=\"409\",dry_run=\"\",resource=\"ledgers\",subresource=\"status\",verb=\"PATCH\"} 1\n\
            apiserver_request_total{code=\"200\",dry_run=\"\",resource=\"leases\",subresource=\"\",verb=\"PUT\"} 9\n\
            apiserver_request_total{code=\"201\",dry_run=\"\",resource=\"tokenreviews\",subresource=\"\",verb=\"POST\"} 9\n\
            apiserver_request_total{code=\"201\",dry_run=\"All\",resource=\"configmaps\",subresource=\"\",verb=\"POST\"} 9\n\
            apiserver_request_total{code=\"200\",dry_run=\"\",resource=\"ledgers\",subresource=\"\",verb=\"GET\"} 9\n";
        let writes = counted(text);
        assert_eq!(writes.into_iter().collect::<Vec<_>>(), [("PATCH ledgers/status".to_owned(), 4)]);
    }

    #[test]
    fn only_what_is_new_is_between() {
        let before = [("A".to_owned(), 1), ("B".to_owned(), 2)].into();
        let after = [("A".to_owned(), 4), ("B".to_owned(), 2), ("C".to_owned(), 1)].into();
        assert_eq!(between(&before, &after), [("A".to_owned(), 3), ("C".to_owned(), 1)].into());
    }
}
