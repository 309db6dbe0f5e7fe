#!/bin/sh
# Generates the Go code of every .proto file below this directory, with protoc
# and the two generators that are pinned in go.mod.
set -eu
cd "$(dirname "$0")"
protoc \
	--plugin=protoc-gen-go="$(go tool -n protoc-gen-go)" \
	--plugin=protoc-gen-go-grpc="$(go tool -n protoc-gen-go-grpc)" \
	--proto_path=. \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	$(find roost -name '*.proto' | sort)
