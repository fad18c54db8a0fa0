import ArgumentParser
import DeliveryCore
import Farm
import Foundation

/// `smurf mailing`: a template and its recipients before anything is sent, and what became of those sent.
struct MailingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mailing",
        abstract: "Checks and renders mailings; lists, shows, pauses, resumes and cancels them.",
        subcommands: [
            Check.self, Render.self, List.self, Show.self, Pause.self, Resume.self, Cancel.self,
            Recipients.self,
        ])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Renders every row once and says which do not fit; exit status 2 if any.",
            discussion: "  smurf mailing check Examples/letter.eml Examples/people.csv")
        @OptionGroup var options: MailingOptions

        func run() throws {
            let mailing = try options.checked(
                bar: Report.isTerminal ? ProgressBar(after: .seconds(1)) : nil)
            for text in mailing.warnings + mailing.problems { Report.note(text) }
            print(
                "\(mailing.count) rows render, \(mailing.problems.count) do not; "
                    + "\(mailing.octets / max(mailing.count, 1)) octets a message, "
                    + "\(mailing.largest) at most; template \(mailing.digest)")
            if !mailing.problems.isEmpty { throw Report.badInput }
        }
    }

    struct Render: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the message that one recipient would get, or writes everybody's.",
            discussion: """
                  smurf mailing render Examples/letter.eml Examples/people.csv --row 1
                  smurf mailing render letter.eml people.csv --into outbox   # outbox/1.eml, 2.eml, …
                """)
        @OptionGroup var options: MailingOptions
        @Option(help: "Which row, counted from 1, header and bad rows not included.") var row: Int =
            1

        @Option(help: "Write every row's message into this directory instead, as <row>.eml.")
        var into: String?

        func run() throws {
            if let into { return try writeAll(to: into) }
            var found: [UInt8]?
            let mailing = try options.checked { row, message in
                if Int(row.recipient) == self.row - 1 { found = message }
            }
            guard let found else {
                for problem in mailing.problems { Report.note(problem) }
                throw Report.failure(
                    "there is no row \(row); \(mailing.count) rows render", status: Report.badInput)
            }
            do {
                try FileHandle.standardOutput.write(contentsOf: Data(found))
            } catch {
                throw Report.failure("cannot write the message: \(error.localizedDescription)")
            }
        }

        private func writeAll(to directory: String) throws {
            try? FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            var trouble: String?
            let mailing = try options.checked { row, message in
                let path = "\(directory)/\(row.recipient + 1).eml"
                if !FileManager.default.createFile(atPath: path, contents: Data(message)) {
                    trouble = trouble ?? "cannot write '\(path)'"
                }
            }
            if let trouble { throw Report.failure(trouble) }
            for problem in mailing.problems { Report.note(problem) }
            print("\(mailing.count) messages in \(directory)")
            if !mailing.problems.isEmpty { throw Report.badInput }
        }
    }
}

/// What makes a mailing of two files.
struct MailingOptions: ParsableArguments {
    @Argument(
        help:
            "The message (RFC 5322) with merge fields: {{name}}, {{name|default}}, {{#vip}}…{{/vip}}."
    )
    var template: String
    @Argument(
        help: "The recipients: CSV in UTF-8 whose first line names the columns; one is 'address'.")
    var recipients: String
    @Option(help: "The mailing's name.") var name: String = "mailing"
    @Option(help: "Replaces the template's From.") var from: String = ""
    @Option(help: "The list's label in List-Id.") var listId: String = ""
    @Option(help: "Domain of envelope senders and Message-ID.")
    var bounceDomain: String = "bounce.smurf.example.test"
    @Option(help: "The unsubscribe link without its token.")
    var unsubscribeBase: String = "https://web.smurf.example.test/u/"
    @Option(help: "Date of every message, in unix seconds; by default now.") var date: Int64?

    func checked(
        bar: ProgressBar? = nil, _ visit: (RowBatch.Row, [UInt8]) -> Void = { _, _ in }
    ) throws -> CheckedMailing {
        if let fault = MailingIdentity.fault(inUnsubscribeBase: unsubscribeBase) {
            throw Report.failure("--unsubscribe-base \(fault)", status: Report.badInput)
        }
        let now = date ?? Int64(Date().timeIntervalSince1970)
        let identity = MailingIdentity(
            name: name, listID: listId, from: from, bounceDomain: bounceDomain,
            unsubscribeBase: unsubscribeBase, date: now,
            tokenExpiryDay: UInt16(clamping: now / 86_400 + 60))
        return try CheckedMailing(
            template: template, recipients: recipients, identity: identity, bar: bar,
            visit: visit)
    }
}

extension CheckedMailing {
    /// The template's SHA-256 in hexadecimal, shortened.
    var digest: String {
        template.digest.prefix(8).hexadecimal
    }
}
