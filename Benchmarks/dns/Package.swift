// swift-tools-version: 6.3
import PackageDescription

// The name server alone, from the sources of the product (symbolic links), so that an optimised build
// takes a minute and not the gRPC stack's ten.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "benchmark-dns",
    dependencies: [
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CLDNS"),
        .target(name: "Farm", swiftSettings: settings),
        .target(
            name: "AuthDNSCore",
            dependencies: ["Farm", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: settings),
        .target(name: "ZoneFile", dependencies: ["AuthDNSCore", "CLDNS"], swiftSettings: settings),
        .target(
            name: "AuthDNS",
            dependencies: [
                "AuthDNSCore", "CEpoll", "Farm",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
            ],
            cSettings: [.define("_GNU_SOURCE")], swiftSettings: settings),
        .executableTarget(
            name: "server",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "Farm", "ZoneFile",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "changes",
            dependencies: [
                "AuthDNS", "AuthDNSCore", "Farm", "ZoneFile",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
