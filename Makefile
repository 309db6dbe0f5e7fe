# roost: every command a developer needs. `make run` and `make test` are the two to start with.

GO ?= go
# What `make bench` runs; each word is a target of roost-bench: make bench BENCH=idle
BENCH ?= idle ops

.PHONY: build run test lint bench proto vuln clean

build: ## bin/roost, bin/roost-bench
	$(GO) build -o bin/ ./cmd/...

run: build ## serve the sample store on 127.0.0.1:1143 (STARTTLS) and :1993 (TLS)
	bin/roost dev

# Tests drive the built binary, real Dovecot and real mail clients. The race detector
# runs over the packages where goroutines meet.
test: build
	contrib/test-deps.sh
	$(GO) test -count=1 -timeout 15m ./...
	$(GO) test -count=1 -timeout 15m -race ./core/... ./plugins/sdk/... ./notifier/...

# govulncheck is not part of lint: it needs the vulnerability database from the network,
# and lint has to give the same answer offline. `make vuln` runs it.
lint:
	@f=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); [ -z "$$f" ] || { echo "gofmt -w these files:"; echo "$$f"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

vuln:
	$(GO) tool govulncheck ./...

bench: build
	@for b in $(BENCH); do echo "== roost-bench $$b"; bin/roost-bench $$b || exit 1; done

# Needs protoc; the Go generators are pinned in go.mod.
proto:
	cd proto && protoc -I . --plugin=$$($(GO) tool -n protoc-gen-go) --plugin=$$($(GO) tool -n protoc-gen-go-grpc) \
		--go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative \
		$$(find roost -name '*.proto' | sort)

clean:
	rm -rf bin var
