# roost: every command a developer needs. `make run` and `make test` are the two to start with.

GO ?= go
# What `make bench` runs; each word is a target of roost-bench: make bench BENCH=idle
BENCH ?= idle ops

# What roost-bench idle is asked by `make bench`: a form that ends within five minutes. docs/bench.md has the long one: make bench BENCH=idle IDLE=
IDLE ?= --sessions 3000 --fan-out 3000 --dovecot=300 --rounds 2 --settle 8s --rest 10s --login-rate 2s --outlive 3000 --simulate 500000

# What roost-bench ops is asked by `make bench`, likewise. All of it, as in README: make bench BENCH=ops OPS='--isolation inproc'
OPS ?= --messages 10000 --bodies 500 --rounds 3 --seconds 0.1

# How long each test of `make soak` works on its store: make soak SOAK=1m
SOAK ?= 10m

# How long `make fuzz` stays with each of its targets
FUZZ ?= 30s

.PHONY: build run test lint bench soak fuzz proto vuln clean

build: ## bin/roost, bin/roost-bench, and bin/roost-pam where PAM can be compiled against
	$(GO) build -o bin/ ./cmd/...
	@contrib/pam/build bin/roost-pam

run: build ## serve the sample store on 127.0.0.1:1143 (STARTTLS) and :1993 (TLS)
	bin/roost dev

# Tests drive the built binary, real Dovecot and real mail clients. The race detector
# runs over the packages where goroutines meet.
test: build
	contrib/test-deps.sh
	$(GO) test -count=1 -timeout 15m ./...
	$(GO) test -count=1 -timeout 15m -race ./core/... ./plugins/sdk/... ./notifier/...

# The same store under 16 clients for ten minutes a test, beside Dovecot 2.3 and 2.4 (debootstrap makes
# a root for that; ROOST_DOVECOT24 names one that is kept).
soak: build
	contrib/test-deps.sh
	ROOST_SOAK=$(SOAK) $(GO) test -count=1 -timeout 12h -v -tags soak ./cmd/roost/e2e -run 'SideBySide|Soak|DiskFull|PluginsKilled'

# Every fuzz target of the repository, one after the other; `make test` runs their seeds.
fuzz:
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
		echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) $$p; done; done

# govulncheck is not part of lint: it needs the vulnerability database from the network,
# and lint has to give the same answer offline. `make vuln` runs it.
lint:
	@f=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); [ -z "$$f" ] || { echo "gofmt -w these files:"; echo "$$f"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) run ./proto/compat/protobreak

vuln:
	$(GO) tool govulncheck ./...

bench: build
	@for b in $(BENCH); do case $$b in idle) set -- $(IDLE);; ops) set -- $(OPS);; *) set --;; esac; echo "== roost-bench $$b $$*"; bin/roost-bench $$b "$$@" || exit 1; done

# Needs protoc; the Go generators are pinned in go.mod.
proto:
	cd proto && protoc -I . --plugin=$$($(GO) tool -n protoc-gen-go) --plugin=$$($(GO) tool -n protoc-gen-go-grpc) \
		--go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative \
		--descriptor_set_out=descriptors.binpb $$(find roost -name '*.proto' | sort)

clean:
	rm -rf bin var
