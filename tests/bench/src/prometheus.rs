//! Reading metrics in Prometheus' text form.

use std::collections::BTreeMap;

/// One line of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    /// A label's value; empty when it is absent. The values that are asked for here hold no quotes.
    pub fn label(&self, name: &str) -> &'a str {
        let mut rest = self.labels;
        while let Some(at) = rest.find(name) {
            let (before, from) = rest.split_at(at);
            let after = from.get(name.len()..).unwrap_or_default();
            let begins = before.is_empty() || before.ends_with(',') || before.ends_with('{');
            if let (true, Some(value)) = (begins, after.strip_prefix("=\"")) {
                return value.split('"').next().unwrap_or_default();
            }
            rest = after;
        }
        ""
    }

    /// The value of a counter.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter, written as a float")]
    pub const fn whole(&self) -> u64 {
        self.value as u64
    }
}

/// Every line of a metric.
pub fn samples<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = Sample<'a>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some(())?;
        Some(Sample { labels, value: value.parse().ok()? })
    })
}

/// Requests that an API server answered by `VERB resource/subresource`; conflicts, other refusals and dry runs are told apart,
/// and what is no resource is left out.
pub fn requests(text: &str) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for sample in samples(text, "apiserver_request_total") {
        let (verb, resource, sub) = (sample.label("verb"), sample.label("resource"), sample.label("subresource"));
        if resource.is_empty() {
            continue;
        }
        let mut name = format!("{verb} {resource}");
        if !sub.is_empty() {
            name = format!("{name}/{sub}");
        }
        if !sample.label("dry_run").is_empty() {
            name.push_str(" (dry run)");
        }
        match sample.label("code") {
            "409" => name.push_str(" 409"),
            code if code.starts_with('4') || code.starts_with('5') => name.push_str(" refused"),
            _ => {}
        }
        *all.entry(name).or_default() += sample.whole();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{requests, samples};

    #[test]
    fn labels_are_found_by_their_whole_name() {
        let text = "a_total{dry_run=\"\",subresource=\"status\",resource=\"ledgers\",verb=\"PATCH\"} 3\na_total_more{verb=\"GET\"} 9\n";
        let all: Vec<_> = samples(text, "a_total").collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].label("resource"), all[0].label("verb"), all[0].label("none")), ("ledgers", "PATCH", ""));
        assert_eq!(all[0].whole(), 3);
    }

    #[test]
    fn conflicts_are_told_apart() {
        let line = |code: u16, n: u32| {
            format!(
                "apiserver_request_total{{code=\"{code}\",dry_run=\"\",resource=\"ledgers\",subresource=\"status\",verb=\"PATCH\"}} {n}\n"
            )
        };
        let text = line(200, 3)
            + &line(409, 1)
            + &line(201, 1)
            + "apiserver_request_total{code=\"200\",resource=\"\",verb=\"GET\"} 7\n";
        let wanted = [("PATCH ledgers/status".to_owned(), 4), ("PATCH ledgers/status 409".to_owned(), 1)];
        assert_eq!(requests(&text).into_iter().collect::<Vec<_>>(), wanted);
    }
}
