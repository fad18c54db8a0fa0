import Farm
import Foundation

/// One run of a program for the number that it prints last: "12.5", or "12.5 30s" for one that was measured
/// 30 s ago. It runs as the control node does, without a shell and without input; what it has not finished in time
/// is killed.
struct CommandOutput: Sendable {
    /// The program by its absolute path, and its arguments.
    let arguments: [String]
    let timeout: Duration
    /// Of its output, so much is looked at.
    private static let most = 65_536

    func read() async -> SignalReading {
        // A file and no pipe: nobody has to wait for what the program leaves running.
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "smurf-signal-\(UUID().uuidString)")
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        guard
            FileManager.default.createFile(
                atPath: url.path, contents: nil, attributes: attributes),
            let output = FileHandle(forUpdatingAtPath: url.path)
        else { return .trouble("cannot write \(url.path)") }
        defer {
            try? output.close()
            try? FileManager.default.removeItem(at: url)
        }
        do {
            let status = try await run(into: output)
            guard status == 0 else { return .trouble("it ended with status \(status)") }
            try output.seek(toOffset: 0)
            let printed = try output.read(upToCount: CommandOutput.most) ?? Data()
            return CommandOutput.reading(of: printed)
        } catch is CancellationError {
            return .trouble("it did not end within \(timeout)")
        } catch {
            return .trouble("it cannot be run: \(error.localizedDescription)")
        }
    }

    /// - Throws: `CancellationError` when it had to be killed. What it started itself and left running keeps
    ///   Foundation from seeing its end, and counts as a program that does not end.
    private func run(into output: FileHandle) async throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardOutput = output
        let (ends, bell) = AsyncStream<Int32?>.makeStream()
        process.terminationHandler = { ended in
            bell.yield(ended.terminationReason == .exit ? ended.terminationStatus : -1)
        }
        try process.run()
        let pid = process.processIdentifier
        let limit = timeout
        let timer = Task {
            try await Task.sleep(for: limit)
            kill(pid, SIGKILL)
            bell.yield(nil)
        }
        defer { timer.cancel() }
        // In a task of its own: a child must be waited for although the caller was cancelled.
        guard let status = await Task(operation: { await ends.first { _ in true } ?? nil }).value
        else { throw CancellationError() }
        return status
    }

    static func reading(of printed: Data) -> SignalReading {
        guard let text = String(validating: printed, as: UTF8.self) else {
            return .trouble("it printed no UTF-8 text")
        }
        let lines = text.split(whereSeparator: \.isNewline)
        guard let line = lines.last(where: { $0.contains { !$0.isWhitespace } }) else {
            return .trouble("it printed nothing")
        }
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 2 else {
            return words.count == 1
                ? .checked(words[0]) : .trouble("its last line is not 'NUMBER' or 'NUMBER AGE'")
        }
        guard let age = PolicyMapping.duration(String(words[1])) else {
            return .trouble(
                "'\(PolicyProblems.printable(words[1].prefix(64)))' is no age; print 30s")
        }
        return .checked(words[0], age: age.inSeconds)
    }
}
