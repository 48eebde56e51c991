//go:build tools

// Package helm pins the helm that lints and renders the charts.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
