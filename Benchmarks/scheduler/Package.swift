// swift-tools-version: 6.3
import PackageDescription

// The planner alone, from the sources of the product (symbolic links), so that an optimised build takes a minute.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "benchmark-scheduler",
    targets: [
        .target(name: "Farm", swiftSettings: settings),
        .target(name: "RoleSchedulerCore", dependencies: ["Farm"], swiftSettings: settings),
        .executableTarget(
            name: "plans", dependencies: ["Farm", "RoleSchedulerCore"], swiftSettings: settings,
            // Rounding; what links Foundation has it anyhow.
            linkerSettings: [.linkedLibrary("m")]),
    ],
    swiftLanguageModes: [.v6]
)
