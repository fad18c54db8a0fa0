// swift-tools-version: 6.3
import PackageDescription

// The name server's parsers under libFuzzer, from the sources of the product (symbolic links), all of them counted by
// the sanitizer. What is checked is in FuzzChecks, which the tests of the product replay the corpus through.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(["-O", "-sanitize=fuzzer", "-parse-as-library", "-enable-testing"]),
]

let package = Package(
    name: "fuzz",
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
        .target(
            name: "ZoneFile", dependencies: ["AuthDNSCore", "CLDNS", "Farm"],
            swiftSettings: settings),
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
        .target(
            name: "FuzzChecks",
            dependencies: ["AuthDNS", "AuthDNSCore", "CLDNS", "Farm", "ZoneFile"],
            swiftSettings: settings),
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzChecks"], swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]),
    ],
    swiftLanguageModes: [.v6]
)
