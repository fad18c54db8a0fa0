import FarmProtocol
import Foundation
import SwiftProtobuf

/// A mailing's progress as text.
enum MailingText {
    /// States from which a row does not move on by itself.
    static let finalStates = [
        "accepted", "delivered", "bogged", "failed", "suppressed", "cancelled",
    ]

    static func done(_ view: Smurffarm_V1_MailingView) -> UInt64 {
        finalStates.reduce(0) { $0 + (view.counts[$1] ?? 0) }
    }

    static func fraction(_ view: Smurffarm_V1_MailingView) -> Double {
        view.total == 0 ? 1 : Double(done(view)) / Double(view.total)
    }

    /// "812/s, 25 s to go, accepted 3100, pending 16900"
    static func summary(_ view: Smurffarm_V1_MailingView) -> String {
        let counts = view.counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }
            .map { "\($0.key) \($0.value)" }
        let eta = view.etaSeconds < 0 ? [] : [spoken(seconds: view.etaSeconds) + " to go"]
        let trouble = view.trouble.isEmpty ? [] : ["(" + view.trouble + ")"]
        return ([String(format: "%.0f/s", view.rate)] + eta + counts + trouble)
            .joined(separator: ", ")
    }

    static func lines(of view: Smurffarm_V1_MailingView) -> [String] {
        var table = Table(["mailing", "\(view.name) (\(view.mailing)), \(view.state)"])
        table.add(["total", "\(view.total)"])
        for (state, count) in view.counts.sorted(by: { $0.key < $1.key }) where count > 0 {
            table.add([state, "\(count)"])
        }
        let marks = [
            ("bounced", view.bounced), ("unsubscribed", view.unsubscribed),
            ("doubtful", view.doubtful),
        ]
        for (mark, count) in marks { table.add(["· " + mark, "\(count)"]) }
        let accounted = view.counts.values.reduce(0, +)
        table.add(["lost", "\(Int64(view.total) - Int64(accounted))"])
        if !view.trouble.isEmpty { table.add(["trouble", view.trouble]) }
        return table.lines
    }

    static func print(_ line: Smurffarm_V1_RecipientLine, json: Bool) throws {
        if json { return Swift.print(try line.jsonString()) }
        let marks = [
            line.doubtful ? "doubtful" : nil, line.bounced ? "bounced" : nil,
            line.unsubscribed ? "unsubscribed" : nil,
        ].compactMap { $0 }.joined(separator: ",")
        Swift.print(
            "\(line.recipient)\t\(line.address)\t\(line.state)\t\(marks)\t\(line.detail)")
    }
}
