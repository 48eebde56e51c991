//! Which of the two languages a caller reads.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use super::Text;

/// A language of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// Simplified Chinese, unless another is asked for.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// The language that `Accept-Language` prefers (RFC 9110, section 12.5.4); Chinese when it names neither.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut best = (0, Self::default());
        for value in headers.get_all(ACCEPT_LANGUAGE) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let (tag, weight) = weighted(range);
                let Some(language) = Self::of_tag(tag) else { continue };
                // Strictly greater: among equals the one named first wins.
                if weight > best.0 {
                    best = (weight, language);
                }
            }
        }
        best.1
    }

    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        match primary {
            _ if primary.eq_ignore_ascii_case("zh") || primary == "*" => Some(Self::Chinese),
            _ if primary.eq_ignore_ascii_case("en") => Some(Self::English),
            _ => None,
        }
    }

    /// Its tag (BCP 47).
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// The sentence in this language.
    pub(crate) fn pick(self, text: &Text) -> &str {
        match self {
            Self::Chinese => &text.zh,
            Self::English => &text.en,
        }
    }
}

/// A language range with its weight in thousandths; a weight that cannot be read counts as nothing.
fn weighted(range: &str) -> (&str, u32) {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next().unwrap_or_default();
    let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))).map_or(1000, thousandths);
    (tag, weight)
}

fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1000,
        "0" => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::ACCEPT_LANGUAGE;
    use rstest::rstest;

    use super::Language;

    #[rstest]
    #[case(&[], Language::Chinese)]
    #[case(&["en"], Language::English)]
    #[case(&["en-GB,en;q=0.9"], Language::English)]
    #[case(&["zh-CN,zh;q=0.9,en;q=0.8"], Language::Chinese)]
    #[case(&["zh;q=0.5, EN;q=0.9"], Language::English)]
    #[case(&["mn, en;q=0.3"], Language::English)]
    #[case(&["mn"], Language::Chinese)]
    #[case(&["*"], Language::Chinese)]
    #[case(&["en;q=0"], Language::Chinese)]
    #[case(&["en;q=0.5", "zh;q=0.7"], Language::Chinese)]
    #[case(&["en;q=x"], Language::Chinese)]
    #[case(&["en;q=0.12345"], Language::Chinese)]
    #[case(&["zh;q=0.05, en;q=0.1"], Language::English)]
    fn the_best_weight_wins(#[case] values: &[&str], #[case] expected: Language) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_LANGUAGE, value.parse().unwrap());
        }
        assert_eq!(Language::of(&headers), expected);
    }
}
