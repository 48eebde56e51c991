//go:build tools

// Package etcd pins the store behind the lab's kube-apiservers.
package etcd

import _ "go.etcd.io/etcd/server/v3"
