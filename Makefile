# The two commands of the README are `make demo` and `make test`. Everything that they need beyond Docker
# and Go they set up themselves (scripts/apt-install, integration/otp) and say so.

OTP  ?= 27
OTPS ?= 25 27 29
GO   ?= go

CRASHES ?= all
SEED ?= $(shell printf %d 0x$$(git rev-parse --short=7 HEAD 2>/dev/null || echo 1))

.PHONY: code crash pairs families third-party matrix fuzz fuzz-sample many shots soak raw demo test unit rpc integration images lint bench build clean

build: ## the agent, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/agent ./cmd/agent
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -tags grpcnotrace -o bin/agent-plugin ./cmd/agent-plugin

demo: images-$(OTP) ## upgrade, upgrade, roll back under load, in a container
	$(GO) run ./integration/cmd/demo -otp $(OTP) $(DEMOFLAGS)

test: unit fuzz-sample rpc integration ## everything that guards a change

unit: ## all packages but the containers' stories
	$(GO) vet ./...
	$(GO) test -timeout 30m ./agent/... ./cmd/... ./rpc/... ./signals/... ./volume/... ./integration/load/...

fuzz-sample: ## every fuzz target for half a minute
	GO="$(GO)" scripts/fuzz 30s

FUZZTIME ?= 10000000x

fuzz: ## ten million executions of every fuzz target, or FUZZTIME
	GO="$(GO)" scripts/fuzz $(FUZZTIME)

rpc: $(OTPS:%=rpc-%) ## the protocol with a node, and what is evaluated there, on each OTP

rpc-%: images-%
	AGENT_TEST_OTP=$* $(GO) test -count=1 -timeout 20m ./rpc ./agent/drift ./agent/gate ./agent/proof

integration: $(OTPS:%=images-%) ## real containers, each story on the OTP that SEED draws for it
	@echo SEED=$(SEED)
	AGENT_TEST_OTPS='$(OTPS)' AGENT_TEST_SEED=$(SEED) $(GO) test -count=1 -parallel 3 -timeout 60m ./integration/...

matrix: $(OTPS:%=images-%) ## real containers, each story on each OTP
	AGENT_TEST_OTPS='$(OTPS)' $(GO) test -count=1 -parallel 3 -timeout 80m ./integration/...

families: $(OTPS:%=images-%) ## every tool that makes releases, on each OTP, as one table: docs/families.md
	AGENT_TEST_OTPS='$(OTPS)' $(GO) test -v -count=1 -parallel 3 -timeout 80m ./integration/families/

third-party: images-27 images-29 ## what others have written, upgraded in use: docs/third-party.md
	AGENT_TEST_OTPS='27 29' $(GO) test -v -count=1 -timeout 40m ./integration/cowboy/ ./integration/libraries/

many: images-$(OTP) ## a thousand upgrades and rollbacks in a row, under load
	AGENT_TEST_OTPS=$(OTP) AGENT_TEST_UPGRADES=1000 $(GO) test -v -count=1 -timeout 3h -run ManyUpgradesInARow ./integration/

shots: images-$(OTP) ## TERM at every moment of a boot
	AGENT_TEST_OTPS=$(OTP) AGENT_TEST_SHOTS=all $(GO) test -count=1 -timeout 2h -run TestTermAtAnyMoment ./integration/pid1/

crash: ## the real agent, hit at each change of its volume: CRASHES=all, SEED, ONLY; crash-27 is on that OTP, in a container
	AGENT_TEST_CRASHES=$(CRASHES) AGENT_TEST_SEED=$(SEED) AGENT_TEST_ONLY='$(ONLY)' $(GO) test -count=1 -v -timeout 24h -run TestTheNextStart ./integration/crash/

crash-%: images-%
	AGENT_TEST_OTP=$* $(MAKE) crash

PAIRS ?= all

pairs: ## releases with a known mistake: what plan, drift check and rehearsal say of each; PAIRS is a regular expression
	AGENT_TEST_PAIRS='$(PAIRS)' $(GO) test -count=1 -v -parallel 4 -timeout 2h ./integration/pairs/

raw: ## ten minutes of a busy raw agent, and a thousand ends at once
	AGENT_TEST_BUSY=10m AGENT_TEST_REPEAT=1000 $(GO) test -count=1 -timeout 1h -run 'BusyAgent|AHundredOrphansAtOnce' ./integration/pid1/

soak: images-$(OTP) ## a day of orphans, questions and upgrades
	AGENT_TEST_OTPS=$(OTP) AGENT_TEST_SOAK=24h $(GO) test -count=1 -timeout 25h -run StaysFlat ./integration/pid1/

images: ## one after another, since they share some
	for otp in $(OTPS); do integration/otp/build.sh $$otp || exit 1; done

images-%: ## base images of the official names, made from Debian's packages where they cannot be pulled
	integration/otp/build.sh $*

docs/report.png: agent/proof/page.go agent/proof/testdata/crashed.json ## the page of a report as a browser draws it
	AGENT_TEST_PICTURE=$(CURDIR)/$@ $(GO) test -count=1 -run BrowserDraws ./agent/proof

lint: bin/golangci-lint
	bin/golangci-lint run

bin/golangci-lint:
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

bench: images-$(OTP) ## the comparisons of docs/benchmarks.md; see there for each command
	$(GO) run ./bench/upgrade -otp $(OTP)
	$(GO) run ./bench/unpack
	$(GO) run ./bench/init -otp $(OTP)
	$(GO) run ./bench/recovery -otp $(OTP)
	$(GO) run ./bench/crowd -otp $(OTP)
	AGENT_TEST_OTP=$(OTP) $(GO) test -run '^$$' -bench . -benchtime 20x ./bench/report

clean:
	rm -rf bin build
