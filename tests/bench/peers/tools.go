//go:build tools

// Package peers pins what the benchmarks are measured beside.
package peers

import (
	_ "sigs.k8s.io/kueue/test/performance/scheduler/minimalkueue"
	_ "sigs.k8s.io/kueue/test/performance/scheduler/runner"
)
