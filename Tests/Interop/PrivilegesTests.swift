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
        try checkThreads(of: node, account)
        let copy = farm.directory.file("copy")
        let secondary = try Daemon(
            "secondary",
            [
                Product.smurf, "secondary", "--zone", "smurf.example.test", "--data", copy,
                "--dns", "127.0.0.1:\(try Product.freePort())", "--primary",
                "127.0.0.1:\(farm.dnsPort)", "--user", "nobody",
            ], directory: farm.directory)
        defer { secondary.signal(SIGKILL) }
        try await secondary.ready { secondary.log.contains("answering DNS") }
        try checkThreads(of: secondary, account)
        let owner = try FileManager.default.attributesOfItem(atPath: copy)[.ownerAccountID]
        #expect((owner as? NSNumber)?.uint32Value == account)
        // A second one would write into the same files.
        let second = try await run(
            [
                Product.smurf, "secondary", "--zone", "smurf.example.test", "--data", copy,
                "--dns", "127.0.0.1:\(try Product.freePort())", "--primary",
                "127.0.0.1:\(farm.dnsPort)",
            ])
        #expect(second.status == 1 && second.errors.contains(copy), "\(second.errors)")
        #expect(await secondary.stop() == 0)
        #expect(await node.stop() == 0)
    }

    /// None of a program's threads is root's any more.
    private func checkThreads(of program: Daemon, _ account: uid_t) throws {
        let tasks = "/proc/\(program.pid)/task"
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
    }

    @Test(.timeLimit(.minutes(1))) func anUnknownAccountIsOneClearError() async throws {
        let farm = try ControlNodeFixture()
        let node = try Daemon(
            "serve", farm.arguments(["--user": "no-such-account"]), directory: farm.directory)
        #expect(await node.finished() != 0)
        #expect(node.log.contains("--user no-such-account: there is no such account"))
    }
}
