import FarmProtocol
import Foundation
import GRPCCore
import Sink
import SwiftProtobuf

/// The end of the demo: what the ledger says of every recipient, held against what the sink has seen.
struct DemoAccount {
    private let view: Smurffarm_V1_MailingView
    private let recipients: [Smurffarm_V1_RecipientLine]
    private let sink: SinkReport

    /// - Throws: when the sink has left no report.
    init(mailing: UInt32, control: ControlConnection, sinkReport path: String) async throws {
        guard let report = DemoAccount.sinkReport(path) else {
            throw Report.failure("the sink has left no report in '\(path)'")
        }
        sink = report
        (view, recipients) = try await control.ask { client in
            let list = try await client.mailings(Smurffarm_V1_MailingsRequest())
            let request = Smurffarm_V1_RecipientsRequest.with { $0.mailing = "\(mailing)" }
            let lines = try await client.recipients(request) { response in
                var lines: [Smurffarm_V1_RecipientLine] = []
                for try await page in response.messages { lines += page.recipients }
                return lines
            }
            return (list.mailings.first { $0.mailing == mailing } ?? .init(), lines)
        }
    }

    static func sinkReport(_ path: String) -> SinkReport? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        return try? JSONDecoder().decode(SinkReport.self, from: data)
    }

    /// Recipients with an end: their message is with the sink, came back, or was refused for a reason.
    private var accounted: Int { recipients.count { MailingText.finalStates.contains($0.state) } }

    private var lost: Int { Int(view.total) - accounted }

    /// Sent as the ledger says: accepted, or returned later.
    private var sent: Int { recipients.count { $0.state == "accepted" || $0.bounced } }

    /// Copies that the ledger did not announce as possible.
    private var unannounced: [String] {
        let doubtful = Set(recipients.filter(\.doubtful).map { $0.address.lowercased() })
        // The sink writes them as "address <message-id>".
        return sink.duplicates.filter { copy in
            let end = copy.range(of: " <", options: .backwards)?.lowerBound ?? copy.endIndex
            return !doubtful.contains(copy[..<end].lowercased())
        }
    }

    private func addresses(_ isIn: (Smurffarm_V1_RecipientLine) -> Bool) -> Set<String> {
        Set(recipients.filter(isIn).map(\.address))
    }

    var isComplete: Bool { faults.isEmpty }

    /// What does not add up; empty when everything does.
    private var faults: [String] {
        var faults: [String] = []
        if lost != 0 { faults.append("\(lost) recipients have no end") }
        if sink.distinctRecipients != sent {
            faults.append(
                "the ledger says \(sent) were sent, the sink has seen \(sink.distinctRecipients)")
        }
        if !unannounced.isEmpty { faults.append("\(unannounced.count) unannounced duplicates") }
        if sink.faults != 0 { faults.append("\(sink.faults) messages were malformed") }
        if addresses(\.bounced) != Set(sink.reactions.bounced) {
            faults.append("the bounces in the ledger are not those that the sink has sent")
        }
        if addresses(\.unsubscribed) != Set(sink.reactions.unsubscribed) {
            faults.append("the unsubscribes in the ledger are not those that were clicked")
        }
        return faults
    }

    var lines: [String] {
        var table = Table(["LEDGER", ""])
        table.add(["recipients", "\(view.total)"])
        for (state, count) in view.counts.sorted(by: { $0.key < $1.key }) where count > 0 {
            table.add([state, "\(count)"])
        }
        table.add([
            "bounced", "\(view.bounced) of \(sink.reactions.bounces.due) returned by the sink",
        ])
        table.add([
            "unsubscribed", "\(view.unsubscribed) of \(sink.reactions.clicks.due) clicked",
        ])
        table.add([
            "messages", "\(sink.messages), \(sink.bytes / max(sink.messages, 1)) octets each",
        ])
        table.add([
            "duplicates",
            sink.duplicates.isEmpty ? "none" : sink.duplicates.joined(separator: ", "),
        ])
        table.add(["doubtful", "\(view.doubtful)"])
        table.add(["lost", "\(lost)"])
        return table.lines + faults.map { "! " + $0 }
    }

    /// The role history, oldest first: who became what, when and why.
    static func story(_ history: Smurffarm_V1_HistoryList) -> [String] {
        let lines = history.lines.sorted { $0.unixMs < $1.unixMs }
        guard let start = lines.first?.unixMs else { return [] }
        var table = Table(["AT", "SMURF", "FROM", "TO", "WHY"])
        for line in lines {
            let seconds = Double(line.unixMs - start) / 1000
            table.add([String(format: "%.1f s", seconds), line.smurf, line.from, line.to, line.why])
        }
        return ["", "ROLE HISTORY"] + table.lines + [""]
    }
}
