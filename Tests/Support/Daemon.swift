import Foundation

/// A program that a test started: its output goes to a file, it is waited for until it is ready, and
/// it is ended, by its own process id, with the value.
public final class Daemon: @unchecked Sendable {
    // @unchecked: `process` is only asked for its state and signalled, both of which Foundation does
    // from any thread.
    private let process = Process()
    public let name: String
    public let logPath: String

    /// Starts `arguments[0]`, found in PATH and the sbin directories.
    /// - Parameter directory: where its log file `<name>.log` is appended.
    public init(
        _ name: String, _ arguments: [String], directory: TemporaryDirectory,
        environment: [String: String] = [:]
    ) throws {
        self.name = name
        logPath = directory.file(name + ".log")
        if !FileManager.default.fileExists(atPath: logPath) {
            _ = FileManager.default.createFile(atPath: logPath, contents: nil)
        }
        guard let log = FileHandle(forWritingAtPath: logPath) else {
            throw Failure("cannot write \(logPath)")
        }
        log.seekToEndOfFile()
        process.executableURL = URL(fileURLWithPath: try Daemon.find(arguments[0]))
        process.arguments = Array(arguments.dropFirst())
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { $1 }
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    public var pid: Int32 { process.processIdentifier }
    public var isRunning: Bool { process.isRunning }
    public var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// Waits until `condition` holds; fails with the program's log when it ends before or `within`
    /// passes.
    public func ready(
        within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            guard process.isRunning else {
                throw Failure(
                    "\(name) ended early, status \(process.terminationStatus):\n\(log.suffix(4000))"
                )
            }
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure("\(name) was not ready in \(limit):\n\(log.suffix(4000))")
    }

    public func signal(_ number: Int32) {
        if process.isRunning { kill(process.processIdentifier, number) }
    }

    /// Sends SIGTERM, and SIGKILL when the program still runs `after` that, and returns its status.
    @discardableResult
    public func stop(after limit: Duration = .seconds(15)) async -> Int32 {
        signal(SIGTERM)
        let end = ContinuousClock.now + limit
        while process.isRunning && ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(20))
        }
        signal(SIGKILL)
        return await finished()
    }

    /// Waits for the end of the program and returns its status.
    public func finished() async -> Int32 {
        while process.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
        return process.terminationStatus
    }

    deinit { signal(SIGKILL) }

    static func find(_ program: String) throws -> String {
        if program.contains("/") { return program }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for place in path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"] {
            let candidate = place + "/" + program
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        throw Failure("'\(program)' is not installed; `make setup-peers` installs it")
    }
}

/// Why a test could not go on.
public struct Failure: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// What a program that ran to its end said.
public struct Finished: Sendable {
    public let status: Int32
    public let output: String
    public let errors: String
}

/// Runs a program to its end. Its output is read while it runs.
public func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:],
    directory: String? = nil
) async throws -> Finished {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try Daemon.find(arguments[0]))
    process.arguments = Array(arguments.dropFirst())
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    let (output, errors, entry) = (Pipe(), Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    process.standardInput = entry
    try process.run()
    async let written = read(output)
    async let complained = read(errors)
    entry.fileHandleForWriting.write(Data(input.utf8))
    try entry.fileHandleForWriting.close()
    try? entry.fileHandleForReading.close()
    let (text, complaints) = (await written, await complained)
    while process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
    return Finished(status: process.terminationStatus, output: text, errors: complaints)
}

/// Reads a pipe to its end on a thread of its own, so that no thread of the pool blocks.
private func read(_ pipe: Pipe) async -> String {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            let data = pipe.fileHandleForReading.readDataToEndOfFile()
            // Foundation lets them pile up, and with more than 1,300 open descriptors `Process.run()` crashes.
            try? pipe.fileHandleForReading.close()
            try? pipe.fileHandleForWriting.close()
            continuation.resume(returning: String(decoding: data, as: UTF8.self))
        }
    }
}

/// Where the package lies and what the build made.
public enum Product {
    public static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The executable under test.
    public static let smurf = root + "/.build/debug/smurf"

    /// A UDP and TCP port that is free on `address` at this moment.
    public static func freePort(on address: String = "127.0.0.1") throws -> UInt16 {
        for _ in 0..<100 {
            let port = UInt16.random(in: 20_000...32_000)
            if [SOCK_STREAM, SOCK_DGRAM].allSatisfy({ canBind(address, port, Int32($0.rawValue)) })
            {
                return port
            }
        }
        throw Failure("no free port on \(address)")
    }

    private static func canBind(_ address: String, _ port: UInt16, _ type: Int32) -> Bool {
        let socket = socket(AF_INET, type, 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = inet_addr(address)
        return withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
