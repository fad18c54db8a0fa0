import DeliveryCore
import Foundation

/// A template and a table of recipients, read and tried: every row has been rendered once, so that what
/// does not fit is known by line and column before anything is sent. It holds the table and the packed
/// rows that are good, together about twice the memory of the table itself.
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

    /// - Parameters:
    ///   - bar: shows how far it is, when there is much to do.
    ///   - visit: called with each good row, its number and its rendered message.
    /// - Throws: after a note on standard error, when a file cannot be read, the template does not
    ///   compile, or the table cannot be read at all.
    init(
        template path: String, recipients: String, identity: MailingIdentity,
        bar: ProgressBar? = nil, visit: (RowBatch.Row, [UInt8]) -> Void = { _, _ in }
    ) throws {
        source = try CheckedMailing.read(path)
        var table = try TablePieces(recipients)
        var events = try table.next() ?? []
        while !events.contains(where: \.isFields), let more = try table.next() { events += more }
        for case .fields(let names) in events { fields = names }
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
        var message: [UInt8] = []
        var bar = bar
        repeat {
            for event in events {
                switch event {
                case .fields: continue
                case .problem(let problem): problems.append(table.line(problem))
                case .row(let row): take(row, recipients, &message, visit)
                }
            }
            bar?.show(fraction: table.fraction, "checked \(count) rows")
            events = try table.next() ?? []
        } while !events.isEmpty || !table.isAtEnd
        bar?.finish()
    }

    private mutating func take(
        _ row: RecipientTable.Row, _ path: String, _ message: inout [UInt8],
        _ visit: (RowBatch.Row, [UInt8]) -> Void
    ) {
        let packed = RowBatch.Row(
            recipient: UInt32(clamping: count), address: Array(row.mailbox.address.utf8)[...],
            values: row.values.map { $0[...] })
        message.removeAll(keepingCapacity: true)
        do throws(RenderError) {
            try template.render(
                packed, token: CheckedMailing.token, into: &message, dotStuffing: false)
        } catch {
            let index = fields.firstIndex(of: error.field)
            let place = index.map { row.valuePlaces[$0] } ?? row.place
            problems.append("\(path):\(place.line):\(place.column): error: \(error)")
            return
        }
        visit(packed, message)
        count += 1
        octets += message.count
        largest = max(largest, message.count)
        if (batches.last?.count ?? CheckedMailing.batchSize) == CheckedMailing.batchSize {
            batches.append(RowBatch())
        }
        batches[batches.count - 1].append(recipient: packed.recipient, body: packed.body)
    }

    fileprivate static func read(_ path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Report.failure("cannot read '\(path)'", status: Report.badInput)
        }
        return Array(data)
    }
}

/// The table of recipients, read in pieces: the rows of a million are never all there at once.
private struct TablePieces {
    private static let pieceSize = 1 << 16

    private let path: String
    private let size: Int
    private var rest: ArraySlice<UInt8>
    private var reader = RecipientTable()
    private(set) var isAtEnd = false

    init(_ path: String) throws {
        self.path = path
        rest = try CheckedMailing.read(path)[...]
        size = rest.count
    }

    /// How much of it was read, 0…1.
    var fraction: Double { size == 0 ? 1 : 1 - Double(rest.count) / Double(size) }

    /// - Returns: what the next piece holds, perhaps nothing; nil after the last.
    /// - Throws: after a note on standard error, when the rest of the table cannot be read.
    mutating func next() throws -> [RecipientTable.Event]? {
        if isAtEnd { return nil }
        let piece = rest.prefix(Self.pieceSize)
        rest = rest.dropFirst(Self.pieceSize)
        var events = reader.feed(piece)
        if rest.isEmpty {
            events += reader.finish()
            isAtEnd = true
        }
        for case .problem(let problem) in events where problem.isFatal {
            Report.note(line(problem))
            throw Report.badInput
        }
        return events
    }

    func line(_ problem: RecipientTable.Problem) -> String {
        "\(path):\(problem.line):\(problem.column): error: \(problem.text)"
    }
}

extension RecipientTable.Event {
    fileprivate var isFields: Bool { if case .fields = self { true } else { false } }
}
