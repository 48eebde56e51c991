//! In which order kinds come back: what others refer to first.

/// Layers of kinds by directory; what stands in none is a custom resource and comes before the workloads that use it.
const BEFORE: &[&[&str]] = &[
    &["resourcequotas", "limitranges", "serviceaccounts", "networkpolicies.networking.k8s.io"],
    &["roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"],
    &["secrets", "configmaps"],
    &["persistentvolumeclaims"],
];
const AFTER: &[&[&str]] = &[
    &["services", "poddisruptionbudgets.policy", "podtemplates"],
    &[
        "pods",
        "replicationcontrollers",
        "replicasets.apps",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "cronjobs.batch",
    ],
    &["jobs.batch", "horizontalpodautoscalers.autoscaling", "ingresses.networking.k8s.io"],
];

/// Sorts directories into layers; empty ones are left out.
pub fn in_order(directories: Vec<String>) -> Vec<Vec<String>> {
    let named = |name: &String| BEFORE.iter().chain(AFTER).any(|layer| layer.contains(&name.as_str()));
    let (known, custom): (Vec<String>, Vec<String>) = directories.into_iter().partition(named);
    let pick =
        |layer: &&[&str]| known.iter().filter(|name| layer.contains(&name.as_str())).cloned().collect::<Vec<_>>();
    let mut layers: Vec<Vec<String>> = BEFORE.iter().map(pick).collect();
    layers.push(custom);
    layers.extend(AFTER.iter().map(pick));
    layers.retain(|layer| !layer.is_empty());
    layers
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn what_is_referred_to_comes_first() {
        let directories = ["deployments.apps", "widgets.example.org", "configmaps", "resourcequotas", "jobs.batch"];
        let layers = in_order(directories.map(str::to_owned).to_vec());
        let expected =
            [["resourcequotas"], ["configmaps"], ["widgets.example.org"], ["deployments.apps"], ["jobs.batch"]];
        assert_eq!(layers, expected.map(|layer| layer.map(str::to_owned).to_vec()));
    }
}
