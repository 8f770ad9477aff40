// Package wire is the protocol between agent-plugin and plugins, as protoc, protoc-gen-go and protoc-gen-go-grpc make it of
// plugin.proto.
package wire

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative plugin.proto
