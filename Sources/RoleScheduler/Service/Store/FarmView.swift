public import Farm

/// What all name servers of a farm answer by: the membership, the zone's serial that goes with it, and the keys that they
/// sign with.
public struct FarmView: Hashable, Sendable, Codable {
    public var membership: Membership
    /// nil: the name server numbers its versions itself, because it is alone.
    public var serial: UInt32?
    /// nil: no name server has shared any yet.
    public var keys: SealedKeys?

    public init(membership: Membership, serial: UInt32? = nil, keys: SealedKeys? = nil) {
        self.keys = keys
        self.membership = membership
        self.serial = serial
    }

    /// Whether this is the later of two, by the zone's serial where both have one.
    func isOlder(than other: FarmView) -> Bool {
        guard let serial, let others = other.serial else { return false }
        return Serial.isNewer(others, than: serial)
    }
}
