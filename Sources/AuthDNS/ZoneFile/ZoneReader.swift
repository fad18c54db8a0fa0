public import AuthDNSCore
import CLDNS
import Glibc

/// Reads a zone file (RFC 1035 §5) by libldns, record by record, and checks what libldns lets pass:
/// owners outside the zone, other classes, a second SOA, a CNAME beside other data. The only file that
/// talks to libldns about text.
/// - Parameters:
///   - path: of the file; `$ORIGIN` and `$TTL` are understood, `$INCLUDE` and `$GENERATE` are not.
///   - origin: what relative names are completed with until an `$ORIGIN` line; needed when the file
///     has none.
/// - Throws: the first fault, with file and line.
/// - Complexity: reads the whole file; blocks on it.
public func readZone(at path: String, origin: DomainName? = nil) throws(ZoneFileError) -> StaticZone
{
    guard let file = unsafe fopen(path, "r") else {
        throw ZoneFileError(path: path, line: 0, text: "cannot be read: \(lastSystemError())")
    }
    // Safe: the stream is closed once, after the last use.
    defer { unsafe fclose(file) }
    let reader = unsafe ZoneReader(path: path, file: file, origin: origin)
    let records = try reader.records()
    do throws(ZoneFault) {
        return try StaticZone(records: records)
    } catch {
        throw ZoneFileError(path: path, line: 0, text: error.description)
    }
}

/// What is wrong with a zone file.
public struct ZoneFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public let path: String
    /// From 1; 0 when the fault is the whole file's.
    public let line: Int
    public let text: String

    /// `file:line: error: text`
    public var description: String {
        line > 0 ? "\(path):\(line): error: \(text)" : "\(path): error: \(text)"
    }
}

private func lastSystemError() -> String {
    // Safe: the text is copied before another call can change it.
    unsafe String(cString: strerror(errno))
}

/// One pass over one open file.
@safe private final class ZoneReader {
    private let path: String
    private let file: UnsafeMutablePointer<FILE>
    // The parser replaces and frees these two: they are heap values of libldns and ours to free last.
    private var origin: UnsafeMutablePointer<ldns_rdf>?
    private var previous: UnsafeMutablePointer<ldns_rdf>?
    private var ttl: UInt32 = 3600
    private var line: Int32 = 0
    private var types: [DomainName: Set<RecordType>] = [:]

    init(path: String, file: UnsafeMutablePointer<FILE>, origin: DomainName?) {
        self.path = path
        unsafe self.file = file
        let text = (origin ?? .root).description
        unsafe self.origin = ldns_dname_new_frm_str(text == "." ? "." : text + ".")
        unsafe previous = ldns_rdf_clone(self.origin)
    }

    deinit {
        // Safe: both are heap values that nobody else holds.
        unsafe ldns_rdf_deep_free(origin)
        unsafe ldns_rdf_deep_free(previous)
    }

    func records() throws(ZoneFileError) -> [ResourceRecord] {
        try checkText()
        var records: [ResourceRecord] = []
        // A failing read (a directory, a bad disk) sets the error mark, not the end mark.
        while unsafe feof(file) == 0, unsafe ferror(file) == 0 {
            guard let record = try next() else { continue }
            try check(record, apex: records.first?.owner)
            types[record.owner, default: []].insert(record.type)
            records.append(record)
        }
        return records
    }

    /// The next record; nil for a line without one.
    private func next() throws(ZoneFileError) -> ResourceRecord? {
        var parsed: UnsafeMutablePointer<ldns_rr>?
        let status = unsafe ldns_rr_new_frm_fp_l(&parsed, file, &ttl, &origin, &previous, &line)
        switch status {
        case LDNS_STATUS_OK: break
        case LDNS_STATUS_SYNTAX_EMPTY, LDNS_STATUS_SYNTAX_TTL, LDNS_STATUS_SYNTAX_ORIGIN: return nil
        case LDNS_STATUS_SYNTAX_INCLUDE: throw fault("$INCLUDE is not supported: put the text here")
        default:
            throw fault(unsafe String(cString: ldns_get_errorstr_by_id(status)))
        }
        guard let rr = unsafe parsed else { return nil }
        // Safe: freed once, after everything was copied out of it.
        defer { unsafe ldns_rr_free(rr) }
        guard unsafe ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN else {
            throw fault("the class is not IN; this server serves no other")
        }
        return try unsafe copy(rr)
    }

    private func copy(_ rr: UnsafeMutablePointer<ldns_rr>) throws(ZoneFileError) -> ResourceRecord {
        guard let owner = unsafe ldns_rr_owner(rr), let name = unsafe DomainName(wire: bytes(owner))
        else { throw fault("the owner is not a name") }
        var data: [UInt8] = []
        for index in 0..<(unsafe ldns_rr_rd_count(rr)) {
            guard let field = unsafe ldns_rr_rdf(rr, index) else { continue }
            data += unsafe bytes(field)
        }
        let type = UInt16(truncatingIfNeeded: unsafe ldns_rr_get_type(rr).rawValue)
        return ResourceRecord(
            owner: name, type: RecordType(rawValue: type), ttl: unsafe ldns_rr_ttl(rr), data: data)
    }

    private func bytes(_ field: UnsafeMutablePointer<ldns_rdf>) -> [UInt8] {
        guard let start = unsafe ldns_rdf_data(field) else { return [] }
        // Safe: libldns says how long the field is, and the bytes are copied at once.
        return unsafe Array(
            UnsafeBufferPointer(start: start, count: Int(unsafe ldns_rdf_size(field))))
    }

    /// - Parameter apex: nil for the first record.
    private func check(_ record: ResourceRecord, apex: DomainName?) throws(ZoneFileError) {
        guard let apex else {
            guard record.type == .soa else {
                throw fault("the first record is not SOA: begin with '@ IN SOA …'")
            }
            return
        }
        if record.type == .soa {
            throw fault("a second SOA record; the first is that of \(apex): remove one")
        }
        guard record.owner.isWithin(apex) else {
            throw fault("\(record.owner) is outside the zone \(apex): is a final dot wrong?")
        }
        guard record.ttl < 1 << 31 else {
            throw fault("a TTL of \(record.ttl) s is beyond 2147483647 (RFC 2181 section 8)")
        }
        let neighbours = (types[record.owner] ?? []).subtracting([record.type])
        if record.type == .cname && !neighbours.isEmpty || neighbours.contains(.cname) {
            throw fault("\(record.owner) has a CNAME and other records: remove one of them")
        }
    }

    private func fault(_ text: String) -> ZoneFileError {
        ZoneFileError(path: path, line: Int(line), text: text)
    }

    /// Finds quotes and parentheses that are never closed, which libldns takes for closed at the end
    /// of the file, then goes back to the start.
    private func checkText() throws(ZoneFileError) {
        var scan = DelimiterScan()
        while case let octet = unsafe fgetc(file), octet != EOF {
            scan.take(UInt8(truncatingIfNeeded: octet))
            if let problem = scan.problem {
                throw ZoneFileError(path: path, line: problem.line, text: problem.text)
            }
        }
        if let problem = scan.finish() {
            throw ZoneFileError(path: path, line: problem.line, text: problem.text)
        }
        guard unsafe ferror(file) == 0 else {
            throw ZoneFileError(path: path, line: 0, text: "cannot be read: \(lastSystemError())")
        }
        unsafe rewind(file)
    }
}

/// Follows quotes, parentheses and comments through a zone file, octet by octet.
struct DelimiterScan {
    private var line = 1
    private var opened = 0
    private var quoted: Int?
    private var inComment = false
    private var escaped = false
    private(set) var problem: (line: Int, text: String)?

    mutating func take(_ octet: UInt8) {
        if octet == 0x0A {
            inComment = false
            escaped = false
            if let start = quoted {
                problem = (start, "this quote is not closed on its line: add a \"")
            }
            line += 1
            return
        }
        if escaped || inComment {
            escaped = false
            return
        }
        switch octet {
        case 0: problem = (line, "a NUL octet: a zone file is text")
        case 0x5C: escaped = true
        case 0x22: quoted = quoted == nil ? line : nil
        case 0x3B where quoted == nil: inComment = true
        case 0x28 where quoted == nil:
            if opened != 0 { problem = (line, "'(' within '(': close the one of line \(opened)") }
            opened = line
        case 0x29 where quoted == nil:
            if opened == 0 { problem = (line, "')' without '('") }
            opened = 0
        default: break
        }
    }

    /// What is still open at the end of the file.
    func finish() -> (line: Int, text: String)? {
        if let quoted { return (quoted, "this quote is never closed: add a \"") }
        return opened > 0 ? (opened, "this '(' is never closed: add a ')'") : nil
    }
}
