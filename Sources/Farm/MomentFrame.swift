/// What moments are written and read against. A moment means nothing to another process, so it is coded as its distance
/// from the moment of writing. When it is read, what was past is as old as it was then, whatever has gone by since: timers
/// get longer by a change of process and never shorter. What was yet to come (the end of an operator's word) comes nearer
/// by the time that has passed on the wall clock.
public struct MomentFrame: Sendable {
    /// Of writing, or of reading.
    public var now: Moment
    /// Between writing and reading, by the wall clock; not negative.
    public var elapsed: Duration

    /// - Parameter elapsed: only of interest to who reads.
    public init(now: Moment, elapsed: Duration = .zero) {
        self.now = now
        self.elapsed = max(elapsed, .zero)
    }

    /// Where coders are told of the frame.
    public static let key = CodingUserInfoKey(rawValue: "moments")

    fileprivate static func of(_ info: [CodingUserInfoKey: Any]) -> MomentFrame? {
        key.flatMap { info[$0] as? MomentFrame }
    }
}

/// Coded in nanoseconds before (negative) or after the moment of writing, with a `MomentFrame` in `userInfo`.
extension Moment: Codable {
    public init(from decoder: any Decoder) throws {
        guard let frame = MomentFrame.of(decoder.userInfo) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "no frame for moments"))
        }
        let distance = Duration.nanoseconds(
            try decoder.singleValueContainer().decode(Int64.self))
        self = frame.now.advanced(
            by: distance <= .zero ? distance : max(distance - frame.elapsed, .zero))
    }

    public func encode(to encoder: any Encoder) throws {
        guard let frame = MomentFrame.of(encoder.userInfo) else {
            throw EncodingError.invalidValue(
                self,
                .init(codingPath: encoder.codingPath, debugDescription: "no frame for moments"))
        }
        var container = encoder.singleValueContainer()
        try container.encode(since(frame.now).clampedNanoseconds)
    }
}
