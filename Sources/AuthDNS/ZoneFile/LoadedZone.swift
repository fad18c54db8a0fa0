public import AuthDNSCore
public import Farm
import Glibc

/// A zone file as it was read: the zone, what is doubtful in it, and where each record stands.
public struct LoadedZone: Sendable {
    public let zone: StaticZone
    private let path: String
    private let lines: [ResourceRecord: Int]

    init(zone: StaticZone, path: String, lines: [ResourceRecord: Int]) {
        self.zone = zone
        self.path = path
        self.lines = lines
    }

    /// What is doubtful in the file alone, in the order of its lines.
    public var warnings: [ZoneFileWarning] { warnings(of: ZoneReview(zone).findings) }

    /// Holds the file against the names that the farm publishes.
    /// - Parameter names: every name of the policy, whoever is behind it now.
    /// - Returns: what is doubtful, what gets replaced among it.
    /// - Throws: the first contradiction, with its line.
    public func check(against names: Membership) throws(ZoneFileError) -> [ZoneFileWarning] {
        let review: ZoneReview
        do throws(ZoneFault) {
            review = try ZoneReview(zone, beside: names)
        } catch {
            throw ZoneFileError(path: path, line: 0, text: error.description)
        }
        let errors = review.findings.filter(\.isError)
            .map { ZoneFileError(path: path, line: lines[$0.record] ?? 0, text: $0.text) }
        if let first = errors.min(by: { $0.line < $1.line }) { throw first }
        return warnings(of: review.findings)
    }

    private func warnings(of findings: [ZoneReview.Finding]) -> [ZoneFileWarning] {
        findings.filter { !$0.isError }
            .map { ZoneFileWarning(path: path, line: lines[$0.record] ?? 0, text: $0.text) }
            .sorted { $0.line < $1.line }
    }
}

/// Reads a zone file (RFC 1035 §5) by libldns, record by record, and checks what libldns lets pass:
/// owners outside the zone, other classes, a second SOA, a CNAME beside other data, times that
/// overflow, records and sets that are too large for any answer.
/// - Parameters:
///   - path: of the file; `$ORIGIN` and `$TTL` are understood, `$INCLUDE` and `$GENERATE` are not.
///   - origin: what relative names are completed with until an `$ORIGIN` line; needed when the file
///     has none.
/// - Throws: the first fault, with file and line.
/// - Complexity: reads the whole file; blocks on it.
public func loadZone(at path: String, origin: DomainName? = nil) throws(ZoneFileError) -> LoadedZone
{
    guard let file = unsafe fopen(path, "r") else {
        throw ZoneFileError(path: path, line: 0, text: "cannot be read: \(lastSystemError())")
    }
    // Safe: the stream is closed once, after the last use.
    defer { unsafe fclose(file) }
    let reader = unsafe ZoneReader(path: path, file: file, origin: origin)
    let records = try reader.records()
    do throws(ZoneFault) {
        let zone = try StaticZone(records: records)
        // The image's own checks: sets that do not fit an answer, above all.
        _ = try ZoneImage(zone: zone, membership: nil, serial: 1)
        return LoadedZone(zone: zone, path: path, lines: reader.lines)
    } catch {
        let line = records.last {
            $0.owner == error.owner && (error.type == nil || $0.type == error.type)
        }.flatMap { reader.lines[$0] }
        throw ZoneFileError(path: path, line: line ?? 0, text: error.description)
    }
}

/// `loadZone` for those who only want the zone.
public func readZone(at path: String, origin: DomainName? = nil) throws(ZoneFileError) -> StaticZone
{
    try loadZone(at: path, origin: origin).zone
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

/// What is doubtful in a zone file, and served all the same.
public struct ZoneFileWarning: Hashable, Sendable, CustomStringConvertible {
    public let path: String
    /// From 1.
    public let line: Int
    public let text: String

    /// `file:line: warning: text`
    public var description: String { "\(path):\(line): warning: \(text)" }
}

func lastSystemError() -> String {
    // Safe: the text is copied before another call can change it.
    unsafe String(cString: strerror(errno))
}
