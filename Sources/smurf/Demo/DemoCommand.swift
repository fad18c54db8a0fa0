import ArgumentParser
import Farm
import FarmProtocol
import Foundation
import RoleSchedulerCore
import SwiftProtobuf
import UnixSignals

/// `smurf demo`: the whole idea on one machine, with real processes, sockets and mail.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract:
            "Runs a farm of six on this machine, sends a mailing through it, and accounts for it.",
        discussion: """
            One control node, six agents on 127.0.1.1 to 127.0.1.6, and a sink that plays the \
            Internet: it looks the bounce domain's MX up to return a share of the mail, and the web \
            name to unsubscribe. The board shows machines following the work. Exit status 0 only if \
            every recipient is accounted for.

              smurf demo                          20,000 messages of 40 KB
              smurf demo --recipients 2000        a short one
            """)

    @Option(help: "How many recipients.") var recipients: Int = 20_000
    @Option(help: "The message, with merge fields.") var template: String =
        "Examples/newsletter.eml"
    @Option(help: "The policy file; its members must have loopback addresses.")
    var policy: String = "Examples/policies/demo.yml"
    @Option(help: "The zone file.") var zone: String = "Zones/smurf.example.test.zone"
    @Option(help: "Share of recipients whose mail is returned.") var bounce: String = "2%"
    @Option(help: "Share of recipients who unsubscribe.") var unsubscribe: String = "1%"
    @Option(help: "Chooses names, bounces and clicks.") var seed: UInt64 = 1
    @Option(help: "Directory for data and logs; by default a new one that is removed at the end.")
    var data: String?

    func validate() throws {
        guard (1...10_000_000).contains(recipients) else {
            throw ValidationError("--recipients \(recipients): give 1 to 10,000,000")
        }
        guard Share(argument: bounce) != nil, Share(argument: unsubscribe) != nil else {
            throw ValidationError("shares are written as 2% or 0.02")
        }
    }

    func run() async throws {
        let sources = try FarmSources(policy: policy, zone: zone, mail: nil)
        let machines = try sources.policy.members.map { member in
            guard let address = member.addresses.first, address.isLoopback else {
                throw Report.failure(
                    "\(member.id) has no loopback address: a demo stays on this machine",
                    status: Report.badInput)
            }
            return (id: member.id, address: address)
        }
        let directory =
            data ?? FileManager.default.temporaryDirectory.path + "/smurf-demo-\(getpid())"
        let farm = try DemoFarm(directory: directory, machines: machines)
        print("data and logs: \(directory)")
        let ends = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let work = Task { try await play(farm, sources) }
        let interrupt = Task { for await _ in ends { work.cancel() } }
        let result = await work.result
        interrupt.cancel()
        await farm.stop()
        if data == nil, case .success(true) = result {
            try? FileManager.default.removeItem(atPath: directory)
        }
        guard try result.get() else { throw ExitCode.failure }
    }

    /// - Returns: whether every recipient is accounted for.
    private func play(_ farm: DemoFarm, _ sources: FarmSources) async throws -> Bool {
        let table = farm.directory + "/recipients.csv"
        try farm.write(
            ["example", "recipients", "--count", "\(recipients)", "--seed", "\(seed)"], to: table)
        try farm.start(sources, bounces: bounce, clicks: unsubscribe, seed: seed)
        let control = try ControlConnection.parse(["--control", farm.socket])
        var show = DemoShow(farm: farm, control: control)
        try await show.untilServing()
        let mailing = try await submit(table, to: control)
        try await show.untilSent(mailing)
        try await show.untilAnswered(mailing)
        try await show.untilAtRest(sources.policy)
        let history = try await control.ask {
            try await $0.history(Smurffarm_V1_HistoryRequest())
        }
        let account = try await DemoAccount(
            mailing: mailing, control: control, sinkReport: farm.sinkReport)
        show.finish()
        print(DemoAccount.story(history).joined(separator: "\n"))
        print(account.lines.joined(separator: "\n"))
        return account.isComplete
    }

    private func submit(_ table: String, to control: ControlConnection) async throws -> UInt32 {
        let send = try SendCommand.parse([
            template, table, "--name", "demo", "--control", control.socket, "--list-id", "harbour",
            "--json",
        ])
        return try await send.handOver().mailing
    }
}
