/// Serial number arithmetic (RFC 1982): numbers on a circle of 2^32, where "greater" means "at most
/// half way ahead". Here because the scheduler numbers what the name servers of a farm publish.
public enum Serial {
    /// Whether `serial` is ahead of `other`.
    public static func isNewer(_ serial: UInt32, than other: UInt32) -> Bool {
        serial != other && serial &- other < 1 << 31
    }

    /// The newer of two.
    public static func newest(_ serial: UInt32, _ other: UInt32) -> UInt32 {
        isNewer(other, than: serial) ? other : serial
    }

    /// The serial of the next image: the unix time when that is ahead, else one more than the last.
    public static func next(after last: UInt32, unixTime: UInt32) -> UInt32 {
        isNewer(unixTime, than: last) ? unixTime : last &+ 1
    }
}
