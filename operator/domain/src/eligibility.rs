//! Which sites an information system may stand at.

use zhengyun_crds::Reason;
use zhengyun_crds::site::SiteSpec;
use zhengyun_crds::system::InformationSystemSpec;

/// Everything that keeps a system from a site: its protection level (GB/T 22239), its network zone, its architecture.
pub fn unfit(system: &InformationSystemSpec, site: &str, spec: &SiteSpec) -> Vec<(Reason, String)> {
    let name = system.display_names.zh_short();
    let mut found = Vec::new();
    let (level, approved) = (system.protection.level, spec.protection_level);
    if level > approved {
        let message = format!(
            "{name} is at protection level {level} (GB/T 22239), site {site} is approved for level {approved} at most; choose a site of level {level} or above"
        );
        found.push((Reason::ProtectionLevelTooHigh, message));
    }
    if !spec.zones.contains(&system.zone) {
        let served: Vec<&str> = spec.zones.iter().map(|zone| zone.as_str()).collect();
        let (zone, served) = (system.zone, served.join(", "));
        let message =
            format!("{name} is in zone {zone}, site {site} serves {served}; choose a site that serves {zone}");
        found.push((Reason::ZoneNotServed, message));
    }
    if let Some(architecture) = system.architecture
        && !spec.architectures.contains(&architecture)
    {
        let message = format!("{name} needs {architecture} nodes, site {site} has none; choose a site that has");
        found.push((Reason::Invalid, message));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::Reason;

    use super::unfit;

    #[test]
    fn a_site_is_fit_by_level_zone_and_architecture() {
        let system = |level: i32, zone: &str, architecture: Option<&str>| {
            serde_json::from_value(json!({
                "displayNames": {"zh-CN": {"full": "票据"}, "en": {"full": "bills"}}, "protection": {"level": level},
                "dataClass": "General", "zone": zone, "architecture": architecture,
            }))
            .unwrap()
        };
        let site = serde_json::from_value(json!({
            "displayNames": {"zh-CN": {"full": "站点"}, "en": {"full": "site"}}, "location": {"address": "x"},
            "architectures": ["arm64"], "protectionLevel": 2, "zones": ["Internet"],
            "capacity": {}, "delivery": {"direct": {"secretName": "s"}},
        }))
        .unwrap();
        let reasons = |level, zone, architecture| -> Vec<Reason> {
            unfit(&system(level, zone, architecture), "far", &site).into_iter().map(|(reason, _)| reason).collect()
        };
        assert_eq!(reasons(2, "Internet", Some("arm64")), []);
        assert_eq!(reasons(2, "Internet", None), []);
        assert_eq!(reasons(3, "Internet", None), [Reason::ProtectionLevelTooHigh]);
        assert_eq!(
            reasons(4, "GovernmentExtranet", Some("amd64")),
            [Reason::ProtectionLevelTooHigh, Reason::ZoneNotServed, Reason::Invalid]
        );
        let told = &unfit(&system(3, "Internet", None), "far", &site)[0].1;
        assert!(told.contains("level 3") && told.contains("site far") && told.contains("level 2"), "{told}");
    }
}
