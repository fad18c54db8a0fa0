import Foundation
import TestSupport

/// BIND's `dig` as an independent asker.
enum Dig {
    /// The rdata lines of the answer section, sorted.
    static func short(
        _ name: String, _ type: String, at address: String, port: UInt16, options: [String] = []
    ) async throws -> [String] {
        let result = try await run(
            ["dig", "@" + address, "-p", "\(port)", name, type, "+short", "+time=2", "+tries=1"]
                + options)
        guard result.status == 0 else { return [] }
        return result.output.split(separator: "\n").map(String.init)
            .filter { !$0.hasPrefix(";") }.sorted()
    }

    /// The whole printed reply.
    static func full(
        _ name: String, _ type: String, at address: String, port: UInt16, options: [String] = []
    ) async throws -> String {
        try await run(
            ["dig", "@" + address, "-p", "\(port)", name, type, "+time=2", "+tries=1"] + options
        ).output
    }
}
