# Everything that is built lands in .build/ and dist/, which git ignores.

GO      ?= go
BUILD   := .build
DIST    := dist
LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SYSTEMS := linux/amd64 linux/386 windows/amd64 windows/386

# How long each fuzz target runs, and what a demo takes its records from: a
# folder of FHIR files, or made-up people where it is empty.
FUZZTIME ?= 10s
DATA     ?=
BENCH    ?=

# How large a store bench-store and heal make, and bench-api, how many of its records
# PouchDB gets beside all people, and in how many the two stores of heal differ.
RECORDS       ?= 1000000
PEOPLE        ?= 50000
API_RECORDS   ?= 200000
POUCH_RECORDS ?= 50000
DIFFERENT     ?= 37

# How many disks crash judges, how many processes kill kills, at random moments and
# in the midst of operations, and of which of them every so manieth one is made to
# fail; TORTURE holds further flags of tram-torture.
STATES  ?= 20000
KILLS   ?= 1000
WITHIN  ?= 200
EVERY   ?= 1
TORTURE ?=

# How many worlds sim plays, and from which seed on; 0 draws one. HIDE is how many seeds
# a deliberate fault may hide from.
SEEDS ?= 1000
FROM  ?= 0
# To how many earlier points each cell of restore-matrix goes back.
POINTS ?= 20
HIDE  ?= 500
# How many merges laws holds against the laws, and from which seed on.
CASES   ?= 1000000
SEED    ?= 1
# How many broken variants of each message intake takes.
BROKEN  ?= 100

# At how many places rot damages a database, and at how many it is cut off.
ROT     ?= 2000
CUTS    ?= 200

export GOFLAGS := $(strip $(filter-out -mod=readonly,$(shell $(GO) env GOFLAGS)) -mod=readonly)

PROGRAMS := agent/tram agent/rehearse/tram-rehearse sync/central/tram-central installer/tram-setup
REHEARSE := $(BUILD)/bin/tram-rehearse --bin $(BUILD)/bin
WITH     := --tram $(BUILD)/bin/tram --central $(BUILD)/bin/tram-central
PEERS    := $(BUILD)/peers
CLIENTS  := $(BUILD)/clients
EXAMPLES := $(BUILD)/hl7.fhir.r4.examples-4.0.1.tgz
IPS      := $(BUILD)/hl7.fhir.uv.ips-2.0.0.tgz

.PHONY: help run demo test race fuzz bench bench-store bench-api bench-wire known crash kill rot full sim sim-faults interop ips scan vet build dist test-install test-keys clean laws heal restore-matrix intake

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# What cuts the store short. It needs Linux and root, crash and kill /dev/fuse, full
# loop devices, mkfs.ext4 and mkfs.btrfs.
$(BUILD)/bin/tram-torture: FORCE
	@mkdir -p $(@D)
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./store/storetest/torture/tram-torture

crash: $(BUILD)/bin/tram-torture ## cut the power at every moment of recorded lives of a store and judge STATES disks; needs root
	$< crash --states $(STATES) $(TORTURE)

kill: $(BUILD)/bin/tram-torture ## KILLS kill -9 and WITHIN in the midst of operations; then each operation fails in turn; needs root
	$< kill --kills $(KILLS) --within $(WITHIN) $(TORTURE)
	$(GO) test ./store -count=1 -v -run '^TestKilledWhileBroughtUpToDate$$' -upkills $(WITHIN)
	$< fail --every $(EVERY) $(TORTURE)

rot: ## damage the database of a store at ROT random places, and cut it off at CUTS
	$(GO) test ./store -count=1 -timeout 30m -v -run '^TestRotIsNoticedAndRebuilt$$' -rot $(ROT) -cuts $(CUTS)

full: $(BUILD)/bin/tram-torture ## fill small file systems at every stage; needs root and btrfs-progs
	$< full $(TORTURE)

$(BUILD)/bin/tram-sim: FORCE
	@mkdir -p $(@D)
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./sync/simnet/tram-sim

sim: $(BUILD)/bin/tram-sim ## play SEEDS worlds of replicas in which everything goes wrong
	$< run --seeds $(SEEDS) --from $(FROM)

sim-faults: $(BUILD)/bin/tram-sim ## build the product with one deliberate fault at a time, and let sim find each
	$< break --seeds $(HIDE) --go "$(GO)"

restore-matrix: $(BUILD)/bin/tram-sim ## put stations and centre back to POINTS earlier states, in every way, while the others go on
	$< matrix --points $(POINTS)

FORCE:

run: build ## a station with its centre on this PC, with made-up people
	$(REHEARSE) run

demo: build ## a centre and two stations that work apart and reconcile; DATA=folder for other records
	$(REHEARSE) demo $(if $(DATA),--data $(abspath $(DATA)))

bench: build ## what writing and syncing cost on this PC
	$(REHEARSE) bench $(BENCH) $(WITH)

bench-store: build $(PEERS)/sqlite $(PEERS)/pouchdb/node_modules ## a store of RECORDS of PEOPLE beside bbolt, SQLite and PouchDB; needs npm
	$(REHEARSE) bench-store --records $(RECORDS) --people $(PEOPLE) --pouch-records $(POUCH_RECORDS) \
		--sqlite $(PEERS)/sqlite --pouchdb $(PEERS)/pouchdb/pouchdb.js $(BENCH)

bench-api: build $(PEERS)/medplum/node_modules ## the FHIR face over API_RECORDS of PEOPLE, beside Medplum's router in memory; needs npm
	$(REHEARSE) bench-api --records $(API_RECORDS) --people $(PEOPLE) --medplum $(PEERS)/medplum/medplum.js $(BENCH) $(WITH)

known: ## make anew what both sides of a packed stream know before it
	@mkdir -p $(BUILD)/bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BUILD)/bin/ ./agent/rehearse/tram-rehearse
	$(REHEARSE) known
	sha256sum sync/wire/known.ndjson | head -c 12 > sync/wire/known.sum

bench-wire: build $(PEERS)/couch/node_modules $(EXAMPLES) ## exchanges over an emulated link of 64 kbit/s, 600 ms and worse, beside PouchDB, gzip and zpaq; needs npm, zpaq
	@command -v zpaq >/dev/null || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq zpaq >/dev/null; } || \
		{ echo "zpaq is missing, and only root can install it: apt-get install zpaq" >&2; exit 1; }
	$(REHEARSE) bench-wire --couch $(PEERS)/couch/couch.js --examples $(EXAMPLES) $(BENCH) $(WITH)

heal: ## two stores of RECORDS that differ in DIFFERENT: what finding and healing that costs
	@mkdir -p $(BUILD)/bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BUILD)/bin/ ./agent/rehearse/tram-rehearse
	$(REHEARSE) heal --records $(RECORDS) --different $(DIFFERENT)

$(PEERS)/sqlite: $(wildcard testdata/peers/sqlite/*)
	cd testdata/peers/sqlite && CGO_ENABLED=0 $(GO) build -trimpath -o $(abspath $@) .

$(PEERS)/%/node_modules: testdata/peers/%/package-lock.json $(wildcard testdata/peers/*/*.js)
	@mkdir -p $(@D)
	cp testdata/peers/$*/* $(@D)/
	npm ci --silent --ignore-scripts --no-audit --no-fund --prefix $(@D)
	@touch $@

$(CLIENTS)/node_modules: testdata/clients/package-lock.json
	@mkdir -p $(@D)
	cp testdata/clients/package*.json $(@D)/
	npm ci --silent --ignore-scripts --omit=optional --no-audit --no-fund --prefix $(@D)
	@touch $@

interop: build $(EXAMPLES) $(CLIENTS)/node_modules ## HL7's examples in and out and over to a second station; search values beside FHIRPath's; FHIR clients at a station and a centre; needs npm
	$(REHEARSE) interop --examples $(EXAMPLES) $(if $(DATA),--bundles $(abspath $(DATA))) $(WITH)
	cp testdata/clients/* $(CLIENTS)/
	node $(CLIENTS)/oracle.js --examples $(EXAMPLES) -- $(REHEARSE) values
	$(REHEARSE) clients $(CLIENTS)/suite.js $(WITH)

ips: build $(IPS) ## the examples of the International Patient Summary in and out, and summaries of practice people; needs npm
	$(REHEARSE) ips --examples $(IPS)

intake: ## HL7 messages through the drop folder into a store, and BROKEN broken variants of each from SEED; DATA=folder for others than those made up
	$(GO) test ./agent/intake -count=1 -timeout 60m -v -run '^TestFilesWholeAndBroken$$' -broken $(BROKEN) -seed $(SEED) $(if $(DATA),-data $(abspath $(DATA)))

$(EXAMPLES):
	@mkdir -p $(BUILD)
	npm pack --silent --pack-destination $(BUILD) hl7.fhir.r4.examples@4.0.1

$(IPS):
	@mkdir -p $(BUILD)
	npm pack --silent --pack-destination $(BUILD) hl7.fhir.uv.ips@2.0.0

scan: build ## look for people in every file of a station
	$(REHEARSE) scan

test: ## vet and every test; needs Go and make only
	$(GO) vet ./...
	$(GO) test -timeout 280s ./...

race: ## every test under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./...

# A target without seeds tests nothing, and so does a tree without targets.
fuzz: ## every fuzz target for FUZZTIME
	@set -eu; mkdir -p $(BUILD); \
	$(GO) test -list '^Fuzz' ./... | awk '/^Fuzz/ {t[n++] = $$1} /^ok/ {while (n > 0) print $$2, t[--n]}' > $(BUILD)/fuzz; \
	[ -s $(BUILD)/fuzz ] || { echo "there is no fuzz target"; exit 1; }; \
	while read -r pkg target; do \
		seeds=$$($(GO) test -count=1 -v -run "^$$target\$$" "$$pkg" | grep -c -- "--- PASS: $$target/" || true); \
		[ "$$seeds" -gt 0 ] || { echo "$$pkg $$target has no seeds, or fails on one"; exit 1; }; \
		echo "$$pkg $$target: $$seeds seeds"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$pkg"; \
	done < $(BUILD)/fuzz

laws: ## hold CASES merges, drawn from SEED on, against the laws of merging, and measure one; DATA=folder to begin with its records too
	$(GO) test ./sync/merge -count=1 -timeout 120m -v -run '^TestLaws$$' -cases $(CASES) -seed $(SEED) $(if $(DATA),-data $(abspath $(DATA)))
	$(GO) test ./sync/merge -count=1 -run '^$$' -bench '^BenchmarkMerge$$'

vet: $(BUILD)/bin/golangci-lint ## formatting, vet for every system, and the linters
	@unformatted=$$(gofmt -l agent store sync installer testdata); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	@set -eu; for s in $(SYSTEMS); do echo "vet $$s"; GOOS=$${s%/*} GOARCH=$${s#*/} CGO_ENABLED=0 $(GO) vet ./...; done
	$(GO) vet -tags nspawn ./installer
	cd testdata/peers/sqlite && $(GO) vet .
	$(GO) vet -tags keys ./store/seal/slot
	GOOS=windows CGO_ENABLED=0 $(GO) vet -tags keys ./store/seal/slot
	$(BUILD)/bin/golangci-lint run ./...

$(BUILD)/bin/golangci-lint: Makefile
	GOFLAGS=-buildvcs=false GOBIN=$(abspath $(BUILD))/bin $(GO) install $(LINT)
	touch $@

build: ## the programs for this PC
	@mkdir -p $(BUILD)/bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BUILD)/bin/ $(addprefix ./,$(PROGRAMS))

dist: build ## the kit for the stick, and the centre, for every system
	@rm -rf $(DIST); mkdir -p $(DIST)
	@set -eu; for s in $(SYSTEMS); do \
		os=$${s%/*}; arch=$${s#*/}; echo "build $$os-$$arch"; mkdir -p $(DIST)/kit/$$os-$$arch $(DIST)/centre/$$os-$$arch; \
		export CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch; \
		$(GO) build -trimpath -ldflags '-s -w -buildid=' -o $(DIST)/kit/$$os-$$arch/ ./agent/tram ./installer/tram-setup; \
		$(GO) build -trimpath -ldflags '-s -w -buildid=' -o $(DIST)/centre/$$os-$$arch/ ./sync/central/tram-central; \
	done
	$(BUILD)/bin/tram-setup kit --out $(DIST)/kit --version "$$($(BUILD)/bin/tram version)"
	@du -sh $(DIST)/kit/* $(DIST)/centre/*

test-install: ## a whole install in a systemd container; needs root and systemd-nspawn
	$(GO) test -tags nspawn -count=1 -timeout 20m -v -run '^TestInstallInAMachine$$' ./installer

# What make test-keys runs against, as Debian names it, and a program of each.
KEYKEEPERS := swtpm:swtpm wine:wine wineboot:wine64 x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64

test-keys: ## keys held by a TPM (swtpm) and by DPAPI (Wine); installs them from Debian, as root
	@set -eu; for k in $(KEYKEEPERS); do \
		command -v "$${k%%:*}" >/dev/null || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq wine wine64 "$${k#*:}" >/dev/null; }; \
	done
	$(GO) test -tags keys -count=1 -timeout 10m ./store/seal/slot

clean: ## remove all that was built
	rm -rf $(BUILD) $(DIST)
