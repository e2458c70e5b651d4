//go:build tools

// Package tools pins the Go programs that the tests run; go.mod says the version.
package tools

import _ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
