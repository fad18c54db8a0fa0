/// The differences that led to the version of a zone that is served now, oldest first, without gaps: what an
/// incremental transfer is made of. Versions before its first are forgotten, and an asker that has such a one
/// gets the whole zone.
public struct ZoneHistory: Sendable {
    /// Most steps kept, and most records in all of them together.
    public struct Limit: Hashable, Sendable {
        public var steps = 5_000
        public var records = 200_000

        public init() {}
    }

    public private(set) var steps: [ZoneDifference] = []
    private var records = 0
    private let limit: Limit

    public init(limit: Limit = Limit()) { self.limit = limit }

    /// Adds a step. When it does not begin where the last one ended, what was known before is forgotten.
    public mutating func append(_ step: ZoneDifference) {
        if let last = steps.last, last.toSerial != step.fromSerial {
            self = ZoneHistory(limit: limit)
        }
        steps.append(step)
        records += step.removed.count + step.added.count
        guard steps.count > limit.steps || records > limit.records else { return }
        // A quarter at once, so that forgetting costs little per step.
        let forgotten = max(steps.count / 4, 1)
        for step in steps.prefix(forgotten) { records -= step.removed.count + step.added.count }
        steps.removeFirst(forgotten)
    }

    /// What leads from the version with this serial to the last; nil when that version is not known.
    public func difference(from serial: UInt32) -> ZoneDifference? {
        guard let start = steps.firstIndex(where: { $0.fromSerial == serial }) else { return nil }
        return ZoneDifference.condensed(steps[start...])
    }

    /// Whether it leads to the version with this serial.
    public func leads(to serial: UInt32) -> Bool { steps.last?.toSerial == serial }
}

extension ZoneDifference {
    /// The step as the journal holds it: length, checksum, both SOA records, then what went and what came.
    public var saved: [UInt8] {
        var body = SavedOctets()
        body.append([from, to])
        body.append(removed)
        body.append(added)
        var out = SavedOctets()
        out.append(UInt64(body.bytes.count), 4)
        out.append(SavedOctets.checksum(body.bytes[...]), 8)
        return out.bytes + body.bytes
    }

    /// Reads the steps of a journal up to the first that is not whole.
    /// - Parameter bytes: hostile; damage ends the reading and never traps.
    public static func read(_ bytes: [UInt8]) -> [ZoneDifference] {
        var steps: [ZoneDifference] = []
        var reader = SavedReader(bytes: bytes, offset: 0)
        while let length = try? reader.number(4), let sum = try? reader.number(8) {
            let end = reader.offset + Int(length)
            guard end <= bytes.count, SavedOctets.checksum(bytes[reader.offset..<end]) == sum,
                let step = try? step(Array(bytes[reader.offset..<end]))
            else { break }
            steps.append(step)
            reader.offset = end
        }
        return steps
    }

    private static func step(_ bytes: [UInt8]) throws(ZoneFault) -> ZoneDifference {
        var reader = SavedReader(bytes: bytes, offset: 0)
        let ends = try reader.records()
        guard ends.count == 2, ends.allSatisfy({ $0.type == .soa && SOAData($0.data) != nil })
        else { throw ZoneFault("a step of the journal has no SOA records") }
        return ZoneDifference(
            from: ends[0], to: ends[1], removed: try reader.records(), added: try reader.records())
    }
}
