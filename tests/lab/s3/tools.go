//go:build tools

// Package s3 pins the S3 server that stores are tested with.
package s3

import _ "github.com/versity/versitygw/cmd/versitygw"
