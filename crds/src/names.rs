//! Names for people: every noun that is shown to a user carries them in Chinese and English.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisplayName {
    /// Full legal name.
    #[schemars(length(min = 1, max = 128))]
    pub full: String,
    /// Short name used in lists; the full name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub short: Option<String>,
}

/// The names of a thing in the languages of the region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisplayNames {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    pub zh_cn: DisplayName,
    /// English.
    pub en: DisplayName,
    /// Mongolian in the traditional script.
    #[serde(rename = "mn-Mong", default, skip_serializing_if = "Option::is_none")]
    pub mn_mong: Option<DisplayName>,
}

impl DisplayNames {
    /// Names from a Chinese full and short name and an English one.
    pub fn new(zh_full: &str, zh_short: &str, en: &str) -> Self {
        let short = (zh_short != zh_full && !zh_short.is_empty()).then(|| zh_short.to_owned());
        Self {
            zh_cn: DisplayName { full: zh_full.to_owned(), short },
            en: DisplayName { full: en.to_owned(), short: None },
            mn_mong: None,
        }
    }

    /// The Chinese name for a list: short where there is one.
    pub fn zh_short(&self) -> &str {
        self.zh_cn.short.as_deref().unwrap_or(&self.zh_cn.full)
    }
}
