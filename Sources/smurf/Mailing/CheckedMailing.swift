import DeliveryCore
import Foundation

/// A template and a table of recipients, read and tried: every row has been rendered once, so that what
/// does not fit is known by line and column before anything is sent. It holds the packed rows that are
/// good, about as much memory as the table itself.
struct CheckedMailing {
    let source: [UInt8]
    let template: CompiledTemplate
    private(set) var fields: [String] = []
    private(set) var batches: [RowBatch] = []
    /// `file:line:col: error: …` for each row that is bad.
    private(set) var problems: [String] = []
    /// `file:line:col: warning: …` of the template.
    private(set) var warnings: [String] = []
    /// Good rows, their octets as rendered, and the largest message.
    private(set) var count = 0
    private(set) var octets = 0
    private(set) var largest = 0

    private static let batchSize = 500
    private static let token = [UInt8](repeating: 0x61, count: TokenMint.length)

    /// - Parameter visit: called with each good row, its number and its rendered message.
    /// - Throws: after a note on standard error, when a file cannot be read, the template does not
    ///   compile, or the table cannot be read at all.
    init(
        template path: String, recipients: String, identity: MailingIdentity,
        visit: (RowBatch.Row, [UInt8]) -> Void = { _, _ in }
    ) throws {
        source = try CheckedMailing.read(path)
        let table = try CheckedMailing.read(recipients)
        var reader = RecipientTable()
        let events = reader.feed(table) + reader.finish()
        for case .fields(let names) in events { fields = names }
        for case .problem(let problem) in events where problem.isFatal {
            Report.note(CheckedMailing.line(problem, recipients))
            throw Report.badInput
        }
        do throws(TemplateRefusal) {
            template = try MessageTemplate.compile(
                source: source, fields: fields, identity: identity)
        } catch {
            for fault in error.errors {
                Report.note("\(path):\(fault.line):\(fault.column): error: \(fault.text)")
            }
            throw Report.badInput
        }
        warnings = template.warnings.map { "\(path):\($0.line):\($0.column): warning: \($0.text)" }
        take(events, recipients, visit)
    }

    private mutating func take(
        _ events: [RecipientTable.Event], _ path: String, _ visit: (RowBatch.Row, [UInt8]) -> Void
    ) {
        var message: [UInt8] = []
        var batch = RowBatch()
        for event in events {
            switch event {
            case .fields: continue
            case .problem(let problem):
                problems.append(CheckedMailing.line(problem, path))
            case .row(let row):
                let packed = RowBatch.Row(
                    recipient: UInt32(clamping: count),
                    address: Array(row.mailbox.address.utf8)[...],
                    values: row.values.map { $0[...] })
                message.removeAll(keepingCapacity: true)
                do throws(RenderError) {
                    try template.render(
                        packed, token: CheckedMailing.token, into: &message, dotStuffing: false)
                } catch {
                    problems.append("\(path):\(row.line):1: error: \(error)")
                    continue
                }
                visit(packed, message)
                count += 1
                octets += message.count
                largest = max(largest, message.count)
                batch.append(recipient: packed.recipient, body: packed.body)
                if batch.count == CheckedMailing.batchSize {
                    batches.append(batch)
                    batch = RowBatch()
                }
            }
        }
        if batch.count > 0 { batches.append(batch) }
    }

    private static func line(_ problem: RecipientTable.Problem, _ path: String) -> String {
        "\(path):\(problem.line):\(problem.column): error: \(problem.text)"
    }

    private static func read(_ path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Report.failure("cannot read '\(path)'", status: Report.badInput)
        }
        return Array(data)
    }
}
