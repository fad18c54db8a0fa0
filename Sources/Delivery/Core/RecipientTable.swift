/// Reads a recipients table (CSV, RFC 4180) piece by piece: bytes in, rows and problems out. The first line
/// names the fields; one of them is `address` or `email` and holds a mailbox, the others are merge values.
///
/// A problem is data: it names line and column of the file and says what to write instead, and the
/// reader goes on with the next row unless the problem is fatal. Duplicate addresses are found without
/// regard to the case of the domain, but with regard to the case of the local part (RFC 5321 §2.4). For
/// that the reader keeps 64 bits per address (about 20 octets each with the table around them), so that a
/// false alarm has a chance of 3 in 10⁸ per million rows.
public struct RecipientTable: Sendable {
    /// One recipient with the values of all other columns, in the order of `fields`.
    public struct Row: Hashable, Sendable {
        public var mailbox: Mailbox
        public var values: [[UInt8]]
        /// Where the address stands in the file, and where each value does.
        public var place: Place
        public var valuePlaces: [Place]
    }

    /// A place of the file.
    public struct Place: Hashable, Sendable {
        /// From 1.
        public var line = 1
        /// In characters (Unicode scalars), from 1.
        public var column = 1

        public init(line: Int = 1, column: Int = 1) {
            self.line = line
            self.column = column
        }
    }

    /// Why a row, or the rest of the file, is not taken.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        /// From 1.
        public var line: Int
        /// In characters (Unicode scalars), from 1.
        public var column: Int
        /// What is wrong and what to write instead.
        public var text: String
        /// Nothing after it is read.
        public var isFatal: Bool

        /// `line:column: text`; the caller puts the file's name in front.
        public var description: String { "\(line):\(column): \(text)" }
    }

    public enum Event: Hashable, Sendable {
        /// Comes first, once: the names of the merge fields without the address column.
        case fields([String])
        case row(Row)
        case problem(Problem)
    }

    /// A row may have that many octets; more is taken for a missing quote.
    public static let longestRow = 1 << 20

    private enum State { case fieldStart, plain, quoted, afterQuote, skipping, failed }

    private var state = State.fieldStart
    private var cells: [UInt8] = []
    /// Where each finished field of the row ends in `cells`.
    private var ends: [Int] = []
    /// Where each begun field of the row stands in the file.
    private var places: [Place] = []
    private var here = Place()
    private var rowLine = 1
    private var sawReturn = false
    /// Octets of the byte order mark seen at the start; 3 also when there is none.
    private var markOctets = 0
    private var header: Header?
    private var seen: [Int: Int] = [:]

    private struct Header {
        var names: [String]
        var address: Int
    }

    public init() {}

    /// - Parameter bytes: the next piece of the file; a piece may end anywhere.
    public mutating func feed(_ bytes: some Sequence<UInt8>) -> [Event] {
        var events: [Event] = []
        for byte in bytes where state != .failed { skipMark(byte, &events) }
        return events
    }

    /// Tells that the file has ended; the last row needs no line end.
    public mutating func finish() -> [Event] {
        var events: [Event] = []
        if state == .failed { return events }
        if state == .quoted {
            fail(places.last ?? here, "this quote is never closed: add a \"", &events)
            return events
        }
        endLine(&events)
        if header == nil, state != .failed {
            fail(
                here, "the table is empty: its first line names the columns, as in address,name",
                &events)
        }
        state = .failed
        return events
    }

    private mutating func skipMark(_ byte: UInt8, _ events: inout [Event]) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        if markOctets < 3, byte == mark[markOctets] {
            markOctets += 1
            return
        }
        let held = markOctets < 3 ? markOctets : 0
        markOctets = 3
        for octet in mark[..<held] { take(octet, &events) }
        take(byte, &events)
    }

    private mutating func take(_ byte: UInt8, _ events: inout [Event]) {
        if sawReturn {
            sawReturn = false
            if byte != ASCII.lineFeed {
                complain("a carriage return without line feed: end lines by LF or CRLF", &events)
            }
        }
        switch (byte, state) {
        case (0, _): complain("a NUL octet: the file must be text in UTF-8", &events)
        case (ASCII.carriageReturn, .plain), (ASCII.carriageReturn, .fieldStart),
            (ASCII.carriageReturn, .afterQuote):
            sawReturn = true
        case (ASCII.lineFeed, let state) where state != .quoted: endLine(&events)
        default: character(byte, &events)
        }
        if byte == ASCII.lineFeed {
            here = Place(line: here.line + 1, column: 1)
        } else if byte & 0xC0 != 0x80 {
            here.column += 1
        }
        if cells.count > RecipientTable.longestRow {
            let place = state == .quoted ? places.last ?? here : here
            fail(place, "the row has more than 1 MiB: is a closing quote missing?", &events)
        }
    }

    private mutating func character(_ byte: UInt8, _ events: inout [Event]) {
        if state == .fieldStart {
            if places.isEmpty { rowLine = here.line }
            places.append(here)
        }
        switch (state, byte) {
        case (.fieldStart, 0x22), (.afterQuote, 0x22):
            if state == .afterQuote { cells.append(byte) }
            state = .quoted
        case (.fieldStart, 0x2C), (.plain, 0x2C), (.afterQuote, 0x2C):
            ends.append(cells.count)
            state = .fieldStart
        case (.plain, 0x22):
            complain("a quote inside a field: quote the whole field and double this quote", &events)
        case (.afterQuote, _):
            complain("text after a closing quote: write a comma, or double the quote", &events)
        case (.quoted, 0x22): state = .afterQuote
        case (.fieldStart, _), (.plain, _):
            cells.append(byte)
            state = .plain
        case (.quoted, _): cells.append(byte)
        case (.skipping, _), (.failed, _): break
        }
    }

    /// A line feed outside quotes, or the end of the file.
    private mutating func endLine(_ events: inout [Event]) {
        let isBlank = places.isEmpty
        if state != .skipping, state != .failed, !isBlank {
            // A comma at the very end leaves one more, empty field.
            if state == .fieldStart { places.append(here) }
            ends.append(cells.count)
            if header == nil { takeHeader(&events) } else { takeRow(&events) }
        }
        cells.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        if state != .failed { state = .fieldStart }
    }

    private func cell(_ index: Int) -> ArraySlice<UInt8> {
        cells[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
    }

    private mutating func takeHeader(_ events: inout [Event]) {
        let names = ends.indices.map { ASCII.text(ASCII.trimmed(cell($0))) }
        for index in names.indices {
            if let text = headerFault(names, index) { return fail(places[index], text, &events) }
        }
        let columns = names.indices.filter {
            ["address", "email"].contains(names[$0].lowercased())
        }
        guard let column = columns.first else {
            let text =
                "no column is called address or email: name that with the addresses \"address\""
            return fail(places[0], text, &events)
        }
        if columns.count > 1 {
            return fail(places[columns[1]], "two address columns: rename one of them", &events)
        }
        header = Header(names: names, address: column)
        events.append(.fields(names.indices.filter { $0 != column }.map { names[$0] }))
    }

    private func headerFault(_ names: [String], _ index: Int) -> String? {
        let name = names[index]
        if UTF8Check.firstFault(in: cell(index)) != nil { return "the column's name is not UTF-8" }
        if name.isEmpty { return "the column has no name: give it one" }
        guard MergeField.isName(Array(name.utf8)[...]) else {
            if name.contains(where: { $0 == ";" || $0 == "\t" }) {
                return "one column, \"\(name)\": separate columns by commas"
            }
            return "\"\(name)\" is no field name: use letters, digits, _ - and . only"
        }
        if names[..<index].contains(name) {
            return "two columns are called \"\(name)\": rename one"
        }
        return nil
    }

    private mutating func takeRow(_ events: inout [Event]) {
        guard let header else { return }
        guard ends.count == header.names.count else {
            let place = places[min(ends.count, header.names.count) - 1]
            let text =
                "the row has \(ends.count) fields, the header \(header.names.count): "
                + (ends.count > header.names.count ? "quote values that have commas" : "add commas")
            return report(place, text, &events)
        }
        for index in ends.indices where UTF8Check.firstFault(in: cell(index)) != nil {
            let text = "\"\(header.names[index])\" is not UTF-8: save the file in UTF-8"
            return report(places[index], text, &events)
        }
        let place = places[header.address]
        do throws(MailboxError) {
            let mailbox = try Mailbox(ASCII.trimmed(cell(header.address)))
            if let line = seen.updateValue(rowLine, forKey: mailbox.hashValue) {
                seen[mailbox.hashValue] = line
                return report(
                    place, "\(mailbox) stands on line \(line) already: remove one", &events)
            }
            let others = ends.indices.filter { $0 != header.address }
            events.append(
                .row(
                    Row(
                        mailbox: mailbox, values: others.map { Array(cell($0)) }, place: place,
                        valuePlaces: others.map { places[$0] })))
        } catch {
            report(place, error.description, &events)
        }
    }

    private func report(_ place: Place, _ text: String, _ events: inout [Event]) {
        events.append(
            .problem(
                Problem(line: place.line, column: place.column, text: text, isFatal: false)))
    }

    /// Reports a fault at this place and drops the rest of the row; in the header it is fatal.
    private mutating func complain(_ text: String, _ events: inout [Event]) {
        guard state != .skipping, state != .failed else { return }
        if header == nil { return fail(here, text, &events) }
        report(here, text, &events)
        // A row with a fault still is a row: it must not pass for a blank line.
        state = .skipping
    }

    private mutating func fail(_ place: Place, _ text: String, _ events: inout [Event]) {
        events.append(
            .problem(Problem(line: place.line, column: place.column, text: text, isFatal: true)))
        state = .failed
    }
}
