import Foundation
import TestSupport
import Testing

/// Root binds the ports and is given up.
@Suite struct PrivilegesTests {
    @Test(.enabled(if: geteuid() == 0), .timeLimit(.minutes(2)))
    func rootIsGivenUp() async throws {
        let farm = try ControlNodeFixture()
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: farm.directory.path)
        let account = try #require(unsafe getpwnam("nobody")).pointee.pw_uid
        // A first start as root leaves files that the account must be able to go on with.
        _ = try await farm.start().stop()
        let node = try await farm.start(["--user": "nobody"])
        defer { node.signal(SIGKILL) }
        let tasks = "/proc/\(node.pid)/task"
        for task in try FileManager.default.contentsOfDirectory(atPath: tasks) {
            // Threads come and go.
            guard
                let status = try? String(contentsOfFile: "\(tasks)/\(task)/status", encoding: .utf8)
            else { continue }
            let lines = status.split(separator: "\n")
            let ids = try #require(lines.first { $0.hasPrefix("Uid:") }).split(separator: "\t")
            #expect(ids.dropFirst().allSatisfy { $0 == "\(account)" }, "\(status)")
            let held = try #require(lines.first { $0.hasPrefix("CapEff:") })
            #expect(held.hasSuffix("0000000000000000"), "\(status)")
        }
        #expect(await node.stop() == 0)
    }

    @Test(.timeLimit(.minutes(1))) func anUnknownAccountIsOneClearError() async throws {
        let farm = try ControlNodeFixture()
        let node = try Daemon(
            "serve", farm.arguments(["--user": "no-such-account"]), directory: farm.directory)
        #expect(await node.finished() != 0)
        #expect(node.log.contains("--user no-such-account: there is no such account"))
    }
}
