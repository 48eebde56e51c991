//! The command lines of the three processes of a control plane.

use std::{ffi::OsString, path::Path};

use super::{ControlPlaneOptions, Ports};

/// The controllers the lab needs. Nodes, Services and certificates have none here: no kubelet runs.
pub(super) const CONTROLLERS: &[&str] = &[
    "namespace-controller",
    "garbage-collector-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "validatingadmissionpolicy-status-controller",
    // Workloads that tenants put into a container space.
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "job-controller",
    // Volumes: binding, and the finalizers that the apiserver puts on every claim and volume.
    "persistentvolume-binder-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
];

pub(super) fn etcd(name: &str, dir: &Path, ports: Ports, options: &ControlPlaneOptions) -> Vec<OsString> {
    let client = format!("http://127.0.0.1:{}", ports.etcd_client);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    let mut args = Args::default();
    args.set("name", name)
        .path("data-dir", &dir.join("etcd"))
        .set("listen-client-urls", &client)
        .set("advertise-client-urls", &client)
        .set("listen-peer-urls", &peer)
        .set("initial-advertise-peer-urls", &peer)
        .set("initial-cluster", &format!("{name}={peer}"))
        // Benchmarks write more between two compactions of the API server than the 2 GiB that are allowed by default.
        .set("quota-backend-bytes", "8589934592")
        .set("log-level", "warn");
    if options.unsafe_no_fsync {
        args.set("unsafe-no-fsync", "true");
    }
    args.0
}

pub(super) fn kube_apiserver(dir: &Path, ports: Ports, options: &ControlPlaneOptions) -> Vec<OsString> {
    let mut args = Args::default();
    args.set("etcd-servers", &format!("http://127.0.0.1:{}", ports.etcd_client))
        .set("bind-address", "127.0.0.1")
        .set("advertise-address", "127.0.0.1")
        .set("secure-port", &ports.apiserver.to_string())
        .path("cert-dir", &dir.join("certs"))
        .path("service-account-key-file", &dir.join("service-account.pub"))
        .path("service-account-signing-key-file", &dir.join("service-account.key"))
        .set("service-account-issuer", "https://kubernetes.default.svc")
        .set("authorization-mode", "RBAC")
        .path("token-auth-file", &dir.join("tokens.csv"))
        .set("service-cluster-ip-range", "10.0.0.0/24")
        // Nobody reaches the kubernetes Service here, and 127.0.0.1 is no valid endpoint address.
        .set("endpoint-reconciler-type", "none");
    if options.audit {
        args.path("audit-policy-file", &dir.join("audit-policy.yaml"))
            .path("audit-log-path", &dir.join("audit.log"))
            .set("audit-log-mode", "blocking");
    }
    for flag in &options.apiserver_flags {
        args.0.push(flag.into());
    }
    args.0
}

pub(super) fn kube_controller_manager(dir: &Path, ports: Ports) -> Vec<OsString> {
    let kubeconfig = dir.join("controller-manager.kubeconfig");
    let mut args = Args::default();
    args.path("kubeconfig", &kubeconfig)
        .path("authentication-kubeconfig", &kubeconfig)
        .path("authorization-kubeconfig", &kubeconfig)
        .path("service-account-private-key-file", &dir.join("service-account.key"))
        .path("root-ca-file", &dir.join("certs/apiserver.crt"))
        // Each controller acts as its own ServiceAccount with its own RBAC, as on a real cluster.
        .set("use-service-account-credentials", "true")
        .set("leader-elect", "false")
        .set("bind-address", "127.0.0.1")
        .set("secure-port", &ports.controller_manager.to_string())
        .path("cert-dir", &dir.join("certs"))
        // A create that is under way as its sender is killed can leave a quota counting what is not there.
        .set("resource-quota-sync-period", "30s")
        .set("controllers", &CONTROLLERS.join(","));
    args.0
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn set(&mut self, flag: &str, value: &str) -> &mut Self {
        self.0.push(format!("--{flag}={value}").into());
        self
    }

    fn path(&mut self, flag: &str, path: &Path) -> &mut Self {
        let mut arg = OsString::from(format!("--{flag}="));
        arg.push(path);
        self.0.push(arg);
        self
    }
}
