//! Labels, annotations, finalizers and fixed names: what Zhengyun writes on objects so that it can find its own again.

/// Namespace of the product itself, on the hub and on every site.
pub const SYSTEM_NAMESPACE: &str = "zhengyun-system";
/// Standing namespace at every site in which rendered objects are tried with server-side dry run before anything is charged.
pub const DRY_RUN_NAMESPACE: &str = "zhengyun-dryrun";
/// ConfigMap in [`SYSTEM_NAMESPACE`] of a site that holds the hub's UID and the epoch of the only operator allowed to write.
pub const FENCE_NAME: &str = "zhengyun-fence";
/// Prefix of the hub namespace that holds a department's objects.
pub const DEPARTMENT_NAMESPACE_PREFIX: &str = "dept-";
/// Key of the kubeconfig inside a site's Secret.
pub const KUBECONFIG_KEY: &str = "kubeconfig";

/// Key of the kubeconfig of the site's account of recovery inside the same Secret.
pub const RECOVERY_KUBECONFIG_KEY: &str = "recoveryKubeconfig";

/// Label: department that a thing belongs to.
pub const LABEL_DEPARTMENT: &str = "zhengyun.io/department";
/// Label: information system that a thing belongs to.
pub const LABEL_SYSTEM: &str = "zhengyun.io/system";
/// Label: name of the grant that delivered a thing.
pub const LABEL_GRANT: &str = "zhengyun.io/grant";
/// Label: UID of the grant that delivered a thing.
pub const LABEL_GRANT_UID: &str = "zhengyun.io/grant-uid";
/// Label: site that an object concerns.
pub const LABEL_SITE: &str = "zhengyun.io/site";
/// Label: item name within a grant.
pub const LABEL_ITEM: &str = "zhengyun.io/item";
/// Label: who manages a thing, in Kubernetes' own vocabulary.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "zhengyun";

/// Annotation on everything written at a site: epoch of the operator that wrote it. The site refuses older epochs.
pub const ANNOTATION_EPOCH: &str = "zhengyun.io/epoch";

/// Finalizer of a request or recovery plan that may hold a charge.
pub const FINALIZER_CHARGE: &str = "zhengyun.io/charge";
/// Finalizer of a grant: held until zero is proven.
pub const FINALIZER_GRANT: &str = "zhengyun.io/grant";
/// Finalizer of a department.
pub const FINALIZER_DEPARTMENT: &str = "zhengyun.io/department";
/// Finalizer of a department's quota.
pub const FINALIZER_QUOTA: &str = "zhengyun.io/quota";
/// Finalizer of a site.
pub const FINALIZER_SITE: &str = "zhengyun.io/site";

/// Finalizer of a backup or restore: held while a process may be at work on it.
pub const FINALIZER_RUN: &str = "zhengyun.io/run";

/// Department that pays for the scratch of drills: its quota is the room that drills have.
pub const DRILL_DEPARTMENT: &str = "drill";

/// ServiceAccount at a site as which backups are read and restores are written.
pub const RECOVERY_ACCOUNT: &str = "zhengyun-recovery";

/// Prefix of the objects that Zhengyun itself puts into a grant's namespace at a site.
pub const SITE_OBJECT_PREFIX: &str = "zhengyun-";
