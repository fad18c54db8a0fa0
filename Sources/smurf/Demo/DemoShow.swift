import Farm
import FarmProtocol
import Foundation
import GRPCCore
import RoleSchedulerCore
import Sink
import SwiftProtobuf

/// What one sees while the demo runs: the board and the mailing, repainted on a terminal, a line every two
/// seconds otherwise. It watches and waits; it moves nothing.
struct DemoShow {
    let farm: DemoFarm
    let control: ControlConnection
    private let start = ContinuousClock.now
    private var lastLine: ContinuousClock.Instant?
    private var last = ""

    init(farm: DemoFarm, control: ControlConnection) {
        self.farm = farm
        self.control = control
    }

    /// Every role with a minimum has a machine that serves.
    mutating func untilServing() async throws {
        try await wait(atMost: .seconds(90), for: "the farm to come up") { board, _ in
            board.roles.allSatisfy { $0.serving.count >= Int($0.minimum) }
        }
    }

    /// Nothing of the mailing is left to be sent.
    mutating func untilSent(_ mailing: UInt32) async throws {
        try await wait(atMost: nil, for: "the mailing", mailing) { _, view in
            view.state == "finished" || view.state == "cancelled"
        }
    }

    /// Every bounce and every click that the sink owed is in the ledger.
    mutating func untilAnswered(_ mailing: UInt32) async throws {
        let farm = farm
        async let ended: Void = farm.endSink()
        let path = farm.sinkReport
        try await wait(atMost: .seconds(240), for: "bounces and unsubscribes", mailing) { _, view in
            guard let report = DemoAccount.sinkReport(path) else { return false }
            return view.bounced >= UInt64(report.reactions.bounces.done)
                && view.unsubscribed >= UInt64(report.reactions.clicks.done)
        }
        await ended
    }

    /// No role has more machines than its minimum, but for those that the policy has spare machines wait in.
    /// - Parameter policy: of the farm. Spare machines are idle, or wait in the role that a phase names for them.
    mutating func untilAtRest(_ policy: Policy) async throws {
        let waitingRooms = Set(policy.phases.compactMap(\.idle).map(\.name))
        try await wait(atMost: .seconds(180), for: "the farm to come to rest") { board, _ in
            board.roles.allSatisfy { line in
                waitingRooms.contains(line.role)
                    || board.smurfs.filter { $0.role == line.role }.count <= Int(line.minimum)
            }
        }
    }

    func finish() { if Report.isTerminal { Report.paint("\n") } }

    private mutating func wait(
        atMost limit: Duration?, for what: String, _ mailing: UInt32? = nil,
        until isDone: (Smurffarm_V1_BoardView, Smurffarm_V1_MailingView) -> Bool
    ) async throws {
        let end = limit.map { ContinuousClock.now + $0 }
        while true {
            try Task.checkCancellation()
            if let dead = farm.casualties.first(where: { $0 != "sink" }) {
                throw Report.failure(
                    "process '\(dead)' has ended: see \(farm.directory)/\(dead).log")
            }
            if FileManager.default.fileExists(atPath: farm.socket) {
                let (board, view) = try await look(mailing)
                show(board, view)
                if isDone(board, view) { return }
            }
            if let end, ContinuousClock.now > end {
                throw Report.failure(
                    "waited too long for \(what): the logs are in \(farm.directory)")
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func look(
        _ mailing: UInt32?
    ) async throws -> (Smurffarm_V1_BoardView, Smurffarm_V1_MailingView) {
        try await control.ask { client in
            let board = try await ControlConnection.board(of: client)
            guard mailing != nil else { return (board, Smurffarm_V1_MailingView()) }
            let list = try await client.mailings(Smurffarm_V1_MailingsRequest())
            return (board, list.mailings.first { $0.mailing == mailing } ?? .init())
        }
    }

    private mutating func show(
        _ board: Smurffarm_V1_BoardView, _ mailing: Smurffarm_V1_MailingView
    ) {
        if Report.isTerminal {
            let lines =
                BoardText.lines(of: board) + [""]
                + (mailing.total == 0
                    ? [] : [ProgressBar.bar(MailingText.fraction(mailing)), progress(mailing)])
            return Report.paint("\u{1B}[H\u{1B}[2J" + lines.joined(separator: "\n") + "\n")
        }
        let now = ContinuousClock.now
        if let lastLine, now - lastLine < .seconds(2) { return }
        let text = line(board, mailing)
        guard text != last else { return }
        (last, lastLine) = (text, now)
        let seconds = Int((now - start).components.seconds)
        print(String(format: "%3d s  ", seconds) + text)
    }

    /// "serial 17…  smtp-out s01 s02 | smtp-in s03 | web s04 | idle s05 s06   42 %, 812/s, …"
    private func line(
        _ board: Smurffarm_V1_BoardView, _ mailing: Smurffarm_V1_MailingView
    ) -> String {
        var parts = board.roles.map { role in
            let moving = board.smurfs.filter {
                $0.role == role.role && ($0.state == .warming || $0.state == .draining)
            }.map { ($0.state == .warming ? "+" : "-") + $0.smurf }
            return ([role.role] + role.serving + moving).joined(separator: " ")
        }
        let idle = board.smurfs.filter { $0.state == .idle }.map(\.smurf)
        if !idle.isEmpty { parts.append((["idle"] + idle).joined(separator: " ")) }
        let roles = parts.joined(separator: " | ")
        return "serial \(board.serial)  \(roles)"
            + (mailing.total == 0 ? "" : "   " + progress(mailing))
    }

    private func progress(_ mailing: Smurffarm_V1_MailingView) -> String {
        "\(MailingText.done(mailing))/\(mailing.total) "
            + MailingText.summary(mailing)
            + ", bounced \(mailing.bounced), unsubscribed \(mailing.unsubscribed)"
    }
}
