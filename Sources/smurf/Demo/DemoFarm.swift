import Farm
import Foundation
import Synchronization

/// The processes of `smurf demo`: one control node, an agent per machine, and a sink that plays the Internet,
/// each on its own loopback address and unprivileged ports. It starts and ends them; what they do is theirs.
final class DemoFarm: Sendable {
    /// Ports that are free on every address of the demo.
    struct Ports: Sendable {
        var dns: UInt16
        var agents: UInt16
        var feed: UInt16
        var submission: UInt16
        var smtp: UInt16
        var web: UInt16
        var sink: UInt16
    }

    let directory: String
    let ports: Ports
    let machines: [(id: SmurfID, address: IPAddress)]
    private let started = Mutex<[(name: String, process: Process)]>([])

    private var children: [(name: String, process: Process)] { started.withLock { $0 } }

    var socket: String { directory + "/control/control.sock" }
    var sinkReport: String { directory + "/sink.json" }

    /// - Parameter directory: for data and logs of all processes; is made.
    init(directory: String, machines: [(id: SmurfID, address: IPAddress)]) throws {
        self.directory = directory
        self.machines = machines
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let addresses = machines.map(\.address) + [.v4(0x7F00_0001)]
        ports = try Ports(free: FreePorts.find(7, on: addresses))
    }

    /// - Parameters:
    ///   - bounces: share of recipients whose mail is returned, as in "2%".
    ///   - clicks: share of recipients who unsubscribe.
    func start(
        policy: String, zone: String, bounces: String, clicks: String, seed: UInt64
    ) throws {
        try spawn(
            "control",
            [
                "serve", "--policy", policy, "--zone", zone, "--data", directory + "/control",
                "--dns", "127.0.0.1:\(ports.dns)", "--agents", "127.0.0.1:\(ports.agents)",
                "--feed-port", "\(ports.feed)", "--unsubscribe-base",
                "http://web.smurf.example.test/u/", "--lease", "10s",
            ])
        try spawn(
            "sink",
            [
                "sink", "--listen", "127.0.0.1:\(ports.sink)", "--report", sinkReport, "--bounce",
                bounces, "--unsubscribe", clicks, "--prefetch", "3%", "--bounce-lag", "8s",
                "--click-lag", "12s", "--dns", "127.0.0.1:\(ports.dns)", "--mx-port",
                "\(ports.smtp)", "--web-port", "\(ports.web)", "--seed", "\(seed)", "--linger",
                "120s",
            ])
        for machine in machines {
            try spawn(
                machine.id.name,
                [
                    "agent", "--id", machine.id.name, "--address", machine.address.description,
                    "--control", "127.0.0.1:\(ports.agents)", "--relay", "127.0.0.1:\(ports.sink)",
                    "--data", "\(directory)/\(machine.id)", "--feed-port", "\(ports.feed)",
                    "--submission-port", "\(ports.submission)", "--smtp-port", "\(ports.smtp)",
                    "--web-port", "\(ports.web)", "--connections", "3", "--window", "256",
                ])
        }
    }

    /// Runs a command of this program to its end, its output into a file.
    func write(_ arguments: [String], to path: String) throws {
        let process = try run(arguments, output: path)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Report.failure("'smurf \(arguments.joined(separator: " "))' failed: see \(path)")
        }
    }

    private func spawn(_ name: String, _ arguments: [String]) throws {
        let process = try run(arguments, output: "\(directory)/\(name).log")
        started.withLock { $0.append((name, process)) }
    }

    private func run(_ arguments: [String], output path: String) throws -> Process {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let output = FileHandle(forWritingAtPath: path)
        else { throw Report.failure("cannot write '\(path)'") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        return process
    }

    /// Names of processes that have ended although nobody asked them to.
    var casualties: [String] { children.filter { !$0.process.isRunning }.map(\.name) }

    /// Asks the sink to end, which it does when all it owes is done, and waits for that.
    func endSink() async {
        guard let sink = children.first(where: { $0.name == "sink" })?.process else { return }
        if sink.isRunning { sink.terminate() }
        while sink.isRunning, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(100)) }
    }

    /// Ends everything: agents first, so that what they still hold gets to the control node.
    func stop() async {
        for group in [children.filter { $0.name != "control" }, children] {
            for child in group where child.process.isRunning { child.process.terminate() }
            let end = ContinuousClock.now + .seconds(20)
            while group.contains(where: { $0.process.isRunning }), ContinuousClock.now < end {
                try? await Task.sleep(for: .milliseconds(50))
            }
        }
        for child in children where child.process.isRunning {
            kill(child.process.processIdentifier, SIGKILL)
        }
    }
}

extension DemoFarm.Ports {
    init(free ports: [UInt16]) {
        dns = ports[0]
        agents = ports[1]
        feed = ports[2]
        submission = ports[3]
        smtp = ports[4]
        web = ports[5]
        sink = ports[6]
    }
}
