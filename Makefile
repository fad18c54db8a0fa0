# Everything a newcomer, a developer and CI call. `make demo` and `make test` install what they need.

.PHONY: help demo setup setup-peers build build-tests test unit interop bench soak lint protos release clean

help:
	@echo "make demo      a farm of six on this machine, a mailing of 20,000 messages, the account"
	@echo "make build     .build/debug/smurf"
	@echo "make test      lint, every test, and the tests against real peers"
	@echo "make interop   only the tests against real peers (NSD, Unbound, Postfix, etcd, ...)"
	@echo "make bench     figures against real peers, as ratios of one run"
	@echo "make release   an optimised .build/release/smurf"
	@echo "make lint      formatting, imports of the pure parts, sizes"
	@echo "make protos    the gRPC stubs anew from Protos/"

setup:
	@Scripts/setup build

setup-peers:
	@Scripts/setup build peers

demo: build
	.build/debug/smurf demo

build: setup
	swift build --product smurf

# By product: `swift build --build-tests` would also compile the protocol buffers compiler from C++.
build-tests: build
	swift build --product smurf-farmPackageTests

# Tests of the pure parts and the oracle each keep both cores busy for a minute: tests with sockets and clocks beside
# them would need more patience than is good.
PURE = FarmTests|CoreTests|RoleSimulationTests
test: setup-peers lint build-tests
	swift test --skip-build --filter '$(PURE)'
	swift test --skip-build --skip '$(PURE)|OracleTests'
	swift test --skip-build --filter OracleTests

unit: build-tests
	swift test --skip-build --skip InteropTests

interop: setup-peers build-tests
	swift test --skip-build --filter InteropTests

bench: setup-peers
	Benchmarks/run

soak: setup-peers build-tests
	SMURF_SOAK=1 swift test --skip-build
	Fuzz/run 600
	Benchmarks/dns/gate

lint:
	swift format lint --strict --recursive Package.swift Sources/Farm Sources/AuthDNS Sources/RoleScheduler Sources/Delivery Sources/Sink Sources/smurf Tests Fuzz/Package.swift Fuzz/Sources/FuzzChecks Fuzz/Sources/fuzz
	Scripts/check-imports
	Scripts/check-sizes
	Scripts/rfc-coverage

protos:
	Scripts/protos

release: setup
	swift build -c release --product smurf

clean:
	rm -rf .build
