import ArgumentParser
import DeliveryCore
import FarmProtocol
import Foundation
import GRPCCore
import SwiftProtobuf

/// `smurf send`: one template and a table of recipients become a mailing. Every row is rendered once
/// before the first is sent, so that a row that does not fit the template is known by line and column
/// while nothing has happened yet.
struct SendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Checks a mailing row by row, hands it to the control node and follows it.",
        discussion: """
            TEMPLATE is an RFC 5322 message with merge fields: {{name}}, {{name|default}}, \
            {{#vip}}…{{/vip}}, {{^vip}}…{{/vip}}. RECIPIENTS is a CSV file in UTF-8 whose first line \
            names the columns; the column 'address' (or 'email') is required.

              smurf send letter.eml people.csv --name may --from 'The List <list@example.org>'

            Nothing is sent when a row is bad, unless --skip-bad is given. With --no-wait it \
            returns as soon as the mailing is in the ledger; 'smurf mailing show' tells the rest.
            """)

    @Argument(help: "The message, with merge fields.") var template: String
    @Argument(help: "The recipients, CSV.") var recipients: String
    @Option(help: "The mailing's name; must be new.") var name: String
    @Option(help: "Replaces the template's From header.") var from: String = ""
    @Option(help: "The list's label in List-Id.") var listId: String = ""
    @Option(
        name: .customLong("within"),
        help: "Time in which it should be finished; the scheduler works towards it.")
    var within: HumanDuration?
    @Flag(help: "Leave out rows that are bad instead of refusing the mailing.") var skipBad = false
    @Flag(inversion: .prefixedNo, help: "Follow the mailing until it is finished.") var wait = true
    @Flag(help: "Print the final state as JSON.") var json = false
    @OptionGroup var control: ControlConnection

    func validate() throws {
        if let within, within.seconds == 0 {
            throw ValidationError("--within needs a length of time")
        }
    }

    func run() async throws {
        let view = try await handOver()
        guard wait else { return try finish(view) }
        try finish(try await follow(view.mailing))
    }

    /// Checks every row and hands the mailing to the control node, which sends it from then on.
    func handOver() async throws -> Smurffarm_V1_MailingView {
        let mailing = try CheckedMailing(
            template: template, recipients: recipients, identity: trialIdentity,
            bar: json ? nil : ProgressBar(after: .seconds(1)))
        try report(mailing)
        return try await submit(mailing)
    }

    /// What rows are tried with: whether a value fits does not depend on the farm's names, and the control
    /// node compiles the template again with its own.
    private var trialIdentity: MailingIdentity {
        let now = Int64(Date().timeIntervalSince1970)
        return MailingIdentity(
            name: name, listID: listId, from: from, bounceDomain: "bounce.example.test",
            unsubscribeBase: "https://web.example.test/u/", feedbackSender: "smurf", date: now,
            tokenExpiryDay: UInt16(clamping: now / 86_400 + 60))
    }

    /// Says what is wrong with the rows, and ends the command unless bad ones may be left out.
    private func report(_ mailing: CheckedMailing) throws {
        for warning in mailing.warnings { Report.note(warning) }
        for problem in mailing.problems.prefix(50) { Report.note(problem) }
        let count = mailing.problems.count
        if count > 50 { Report.note("… and \(count - 50) more") }
        if count > 0 && !skipBad {
            throw Report.failure(
                "\(count) bad rows, nothing was sent; mend them or leave them out with --skip-bad",
                status: Report.badInput)
        }
        guard mailing.count > 0 else {
            throw Report.failure("no row to send in \(recipients)", status: Report.badInput)
        }
        if count > 0 { Report.note("leaving out \(count) bad rows") }
    }

    private func submit(_ mailing: CheckedMailing) async throws -> Smurffarm_V1_MailingView {
        let deadline = within.map { Int64(Date().timeIntervalSince1970 + $0.seconds) } ?? 0
        let head = Smurffarm_V1_MailingHead.with {
            $0.name = name
            $0.template = Data(mailing.source)
            $0.fields = mailing.fields
            $0.from = from
            $0.listID = listId
            $0.deadline = deadline
        }
        let showProgress = !json
        return try await control.ask { client in
            try await client.submit { writer in
                var bar = ProgressBar()
                try await writer.write(.with { $0.head = head })
                var sent = 0
                for batch in mailing.batches {
                    let part = Smurffarm_V1_RowsPart.with {
                        $0.count = UInt32(batch.count)
                        $0.rows = Data(batch.bytes)
                    }
                    try await writer.write(.with { $0.rows = part })
                    sent += batch.count
                    if showProgress {
                        bar.show(fraction: Double(sent) / Double(mailing.count), "imported \(sent)")
                    }
                }
                try await writer.write(.with { $0.done.rows = UInt64(mailing.count) })
                if showProgress { bar.finish() }
            }
        }
    }

    private func follow(_ number: UInt32) async throws -> Smurffarm_V1_MailingView {
        let showProgress = !json
        return try await control.ask { client in
            try await client.follow(.with { $0.mailing = "\(number)" }) { response in
                var bar = ProgressBar()
                var last = Smurffarm_V1_MailingView()
                for try await view in response.messages {
                    last = view
                    if showProgress {
                        bar.show(fraction: MailingText.fraction(view), MailingText.summary(view))
                    }
                    if ["finished", "cancelled"].contains(view.state) { break }
                }
                if showProgress { bar.finish() }
                return last
            }
        }
    }

    /// Prints the outcome. Exit status 1 when the mailing was followed and did not get to its end.
    private func finish(_ view: Smurffarm_V1_MailingView) throws {
        print(json ? try view.jsonString() : MailingText.lines(of: view).joined(separator: "\n"))
        if wait && view.state != "finished" { throw ExitCode.failure }
    }
}
