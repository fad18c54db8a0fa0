import AuthDNSCore
import CLDNS
import Glibc

/// One pass over one open file by libldns' parser. The only file that talks to libldns about text.
@safe final class ZoneReader {
    private let path: String
    private let file: UnsafeMutablePointer<FILE>
    // The parser replaces and frees these two: they are heap values of libldns and ours to free last.
    private var origin: UnsafeMutablePointer<ldns_rdf>?
    private var previous: UnsafeMutablePointer<ldns_rdf>?
    private var ttl: UInt32 = 3600
    private var line: Int32 = 0
    private var types: [DomainName: Set<RecordType>] = [:]
    /// On which line each record ends; of equal ones the first.
    private(set) var lines: [ResourceRecord: Int] = [:]

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
            lines[record] = lines[record] ?? Int(line)
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
        guard let record = unsafe ResourceRecord(rr) else { throw fault("the owner is not a name") }
        guard record.data.count <= 65_535 else {
            throw fault(
                "the record's data has \(record.data.count) octets; 65535 is the most it can have")
        }
        return record
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

    /// Finds what libldns lets pass or misreads without a word: quotes and parentheses that are never
    /// closed, times that overflow its 32 bits, byte order marks. Then goes back to the start.
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

extension ResourceRecord {
    /// A copy of libldns's record, names in lower case; nil when its owner is no name.
    init?(_ rr: UnsafeMutablePointer<ldns_rr>) {
        guard let owner = unsafe ldns_rr_owner(rr),
            let name = unsafe DomainName(wire: ResourceRecord.bytes(owner))
        else { return nil }
        var data: [UInt8] = []
        for index in 0..<(unsafe ldns_rr_rd_count(rr)) {
            guard let field = unsafe ldns_rr_rdf(rr, index) else { continue }
            let bytes = unsafe ResourceRecord.bytes(field)
            let isName = unsafe ldns_rdf_get_type(field) == LDNS_RDF_TYPE_DNAME
            // As signatures have them (RFC 4034 §6.2).
            data += isName ? DomainName(wire: bytes)?.wire ?? bytes : bytes
        }
        let type = UInt16(truncatingIfNeeded: unsafe ldns_rr_get_type(rr).rawValue)
        self.init(
            owner: name, type: RecordType(rawValue: type), ttl: unsafe ldns_rr_ttl(rr), data: data)
    }

    private static func bytes(_ field: UnsafeMutablePointer<ldns_rdf>) -> [UInt8] {
        guard let start = unsafe ldns_rdf_data(field) else { return [] }
        // Safe: libldns says how long the field is, and the bytes are copied at once.
        return unsafe Array(
            UnsafeBufferPointer(start: start, count: Int(unsafe ldns_rdf_size(field))))
    }
}
