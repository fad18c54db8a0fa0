// swift-tools-version: 6.3
import PackageDescription

/// Settings of every target that is written by hand.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Settings of targets that go through every octet of every message, or plan thousands of farms: optimised in debug
/// builds too, because tests and the demo would spend most of their time there. Overflow checks stay.
let hot = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]

/// Settings of test targets: the same language, without the marking of unsafe calls.
let testing: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

/// `recvmmsg`, `sendmmsg` and friends are visible to Swift only with this.
let gnuSource: [CSetting] = [.define("_GNU_SOURCE")]

let package = Package(
    name: "smurf-farm",
    products: [
        .executable(name: "smurf", targets: ["smurf"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CLDNS", providers: [.apt(["libldns-dev"])]),
        .systemLibrary(name: "CUnbound", providers: [.apt(["libunbound-dev"])]),

        .target(name: "Farm", swiftSettings: strict),

        .target(
            name: "AuthDNSCore",
            dependencies: ["Farm", .product(name: "Crypto", package: "swift-crypto")],
            path: "Sources/AuthDNS/Core", swiftSettings: hot),
        .target(
            name: "ZoneFile", dependencies: ["AuthDNSCore", "CLDNS", "Farm"],
            path: "Sources/AuthDNS/ZoneFile", swiftSettings: strict),
        .target(
            name: "AuthDNS",
            dependencies: [
                "AuthDNSCore", "CEpoll", "Farm",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
            ],
            path: "Sources/AuthDNS/Server", cSettings: gnuSource, swiftSettings: strict),

        .target(
            name: "Dnstap",
            dependencies: [
                "AuthDNS", "DnstapProtocol", "Farm",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            path: "Sources/AuthDNS/Dnstap", swiftSettings: strict),
        .target(
            name: "DNSTransport",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "Farm",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            path: "Sources/AuthDNS/Transport", swiftSettings: strict),

        .target(
            name: "RoleSchedulerCore", dependencies: ["Farm"], path: "Sources/RoleScheduler/Core",
            swiftSettings: hot),
        .target(
            name: "RoleSimulation", dependencies: ["Farm", "RoleSchedulerCore"],
            path: "Sources/RoleScheduler/Simulation", swiftSettings: hot),
        .target(
            name: "RoleScheduler",
            dependencies: [
                "EtcdProtocol", "Farm", "RoleSchedulerCore", "Yams",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            path: "Sources/RoleScheduler/Service", swiftSettings: strict),

        .target(
            name: "DeliveryCore",
            dependencies: ["Farm", .product(name: "Crypto", package: "swift-crypto")],
            path: "Sources/Delivery/Core", swiftSettings: hot),
        .target(
            name: "Delivery",
            dependencies: [
                "CUnbound", "DeliveryCore", "Farm", "FarmProtocol",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Mustache", package: "swift-mustache"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            path: "Sources/Delivery/Service", swiftSettings: strict),

        // Generated by `make protos`; their code is not ours to lint.
        .target(
            name: "DnstapProtocol",
            dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")]),
        .target(
            name: "EtcdProtocol",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .target(
            name: "FarmProtocol",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),

        .target(
            name: "Sink",
            dependencies: [
                "CEpoll", "CUnbound", "Delivery", "DeliveryCore", "Farm",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            cSettings: gnuSource, swiftSettings: hot),

        .executableTarget(
            name: "smurf",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "DNSTransport", "Delivery", "DeliveryCore", "Dnstap",
                "Farm",
                "FarmProtocol",
                "RoleScheduler", "RoleSchedulerCore", "RoleSimulation", "Sink", "ZoneFile",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "X509", package: "swift-certificates"),
            ],
            swiftSettings: strict),

        // What the fuzzers of Fuzz/ check; the tests replay its corpus.
        .target(
            name: "FuzzChecks",
            dependencies: ["AuthDNS", "AuthDNSCore", "CLDNS", "Farm", "ZoneFile"],
            path: "Fuzz/Sources/FuzzChecks", swiftSettings: testing),
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: testing),
        .testTarget(
            name: "FarmTests", dependencies: ["Farm", "TestSupport"], swiftSettings: testing),
        .testTarget(
            name: "AuthDNSCoreTests", dependencies: ["AuthDNSCore", "Farm", "TestSupport"],
            swiftSettings: testing),
        .testTarget(
            name: "AuthDNSTests",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "Farm", "FuzzChecks", "TestSupport", "ZoneFile",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: testing),
        .testTarget(
            name: "RoleSchedulerCoreTests",
            dependencies: ["Farm", "RoleSchedulerCore", "TestSupport"],
            swiftSettings: testing),
        .testTarget(
            name: "RoleSimulationTests",
            dependencies: ["Farm", "RoleSchedulerCore", "RoleSimulation", "TestSupport"],
            swiftSettings: testing),
        .testTarget(
            name: "RoleSchedulerTests",
            dependencies: [
                "EtcdProtocol", "Farm", "RoleScheduler", "RoleSchedulerCore", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: testing),
        .testTarget(
            name: "DeliveryCoreTests", dependencies: ["DeliveryCore", "Farm", "TestSupport"],
            swiftSettings: testing),
        .testTarget(
            name: "DeliveryTests",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "Delivery", "DeliveryCore", "Farm", "FarmProtocol",
                "Sink", "TestSupport", "ZoneFile",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: testing),
        .testTarget(
            name: "InteropTests",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "DNSTransport", "EtcdProtocol", "Farm", "FuzzChecks",
                "RoleScheduler", "RoleSchedulerCore", "TestSupport", "ZoneFile",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Interop", swiftSettings: testing),
    ],
    swiftLanguageModes: [.v6]
)
