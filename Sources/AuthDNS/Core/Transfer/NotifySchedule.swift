/// When to tell which secondary that the zone has changed (RFC 1996): at once, again and ever more rarely until it
/// has answered, and once more when the zone changed again meanwhile. Pure: time comes in, messages are made by
/// whoever sends them.
public struct NotifySchedule: Sendable {
    /// Milliseconds from each try to the next; behind the last the secondary is left to its refresh timer.
    static let pauses = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 60_000, 60_000, 60_000]

    private struct Target {
        /// What it is to be told; nil: it knows.
        var wanted: UInt32?
        /// What the message under way said.
        var told: UInt32 = 0
        var tries = 0
        var nextAt = 0
        /// Of the message under way.
        var id: UInt16?
    }

    private var targets: [Target]

    /// - Parameter count: how many secondaries there are.
    public init(count: Int) { targets = Array(repeating: Target(), count: count) }

    /// The zone has a new version.
    /// - Parameter now: milliseconds of any steady clock.
    public mutating func changed(to serial: UInt32, now: Int) {
        for index in targets.indices {
            targets[index].wanted = serial
            // What is under way will do until it is answered or due again.
            if targets[index].id == nil { (targets[index].tries, targets[index].nextAt) = (0, now) }
        }
    }

    /// Which are to be told now.
    /// - Parameter newID: draws a message's id.
    public mutating func due(now: Int, newID: () -> UInt16) -> [(target: Int, id: UInt16)] {
        var messages: [(target: Int, id: UInt16)] = []
        for index in targets.indices {
            guard let wanted = targets[index].wanted, targets[index].nextAt <= now else { continue }
            guard targets[index].tries < NotifySchedule.pauses.count else {
                targets[index] = Target()
                continue
            }
            let id = newID()
            targets[index].nextAt = now + NotifySchedule.pauses[targets[index].tries]
            targets[index].tries += 1
            targets[index].id = id
            targets[index].told = wanted
            messages.append((index, id))
        }
        return messages
    }

    /// An answer has come. One to no message of ours changes nothing.
    public mutating func answered(target: Int, id: UInt16, now: Int) {
        guard targets.indices.contains(target), targets[target].id == id else { return }
        let isOld = targets[target].wanted != targets[target].told
        let wanted = targets[target].wanted
        targets[target] = Target()
        if isOld {
            targets[target].wanted = wanted
            targets[target].nextAt = now
        }
    }

    /// When `due` should be asked next; nil: when something has changed.
    public var nextAt: Int? { targets.filter { $0.wanted != nil }.map(\.nextAt).min() }

    /// Secondaries that have not answered yet.
    public var waiting: Int { targets.filter { $0.wanted != nil }.count }
}

/// The messages of NOTIFY (RFC 1996 §3).
public enum NotifyMessage {
    /// - Parameter soa: of the new version; a hint for the secondary, no more.
    public static func request(id: UInt16, soa: ResourceRecord) -> [UInt8] {
        var message: [UInt8] = [UInt8(id >> 8), UInt8(id & 255), 0x24, 0, 0, 1, 0, 1, 0, 0, 0, 0]
        message += soa.owner.wire
        message.append(6, octets: 2)
        message.append(1, octets: 2)
        message += [0xC0, 12]
        message.append(6, octets: 2)
        message.append(1, octets: 2)
        message.append(UInt64(soa.ttl), octets: 4)
        message.append(UInt64(soa.data.count), octets: 2)
        return message + soa.data
    }

    /// The id of a message that answers a NOTIFY; nil when it is something else.
    public static func answeredID(_ message: [UInt8]) -> UInt16? {
        guard message.count >= 12, message[2] & 0xF8 == 0xA0 else { return nil }
        return UInt16(message[0]) << 8 | UInt16(message[1])
    }
}
