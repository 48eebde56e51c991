// The modules whose CRDs the lab's sites get, so that catalogue templates meet the real schemas.
// Nothing here is compiled: `up` downloads the modules and copies the YAML files they ship.
module zhengyun.io/lab/schemas

go 1.26.0

require (
	github.com/cloudnative-pg/cloudnative-pg v1.28.0
	github.com/kubernetes-csi/external-snapshotter/client/v8 v8.6.0
	sigs.k8s.io/container-object-storage-interface-api v0.1.0
)
