import Foundation
import Synchronization
import TestSupport

/// A resolver that asks one name server all the time for its serial and for the members of a role, and remembers whatever
/// it should not have seen. While it is excused (the server was killed or stopped) silence is no fault; going back always is.
final class DNSWatch: Sendable {
    private struct Seen {
        var serial: UInt32?
        var asked = 0
        var excused = false
        var faults: [String] = []
    }

    private let seen = Mutex(Seen())
    private let isOver = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)

    init(port: UInt16, name: String, zone: String) {
        Thread.detachNewThread { [self] in
            var id: UInt16 = 0
            while !isOver.load(ordering: .relaxed) {
                usleep(4_000)
                id &+= 1
                // A socket of its own for each question: no late answer is taken for another's.
                guard let client = LoopbackClient(port: port, stream: false) else { continue }
                let asksSerial = id % 2 == 0
                client.send(
                    asksSerial ? Question.bytes(zone, 6, id: id) : Question.bytes(name, 1, id: id))
                note(client.receive(), asksSerial, id)
            }
            ended.signal()
        }
    }

    private func note(_ reply: [UInt8]?, _ asksSerial: Bool, _ id: UInt16) {
        seen.withLock { seen in
            seen.asked += 1
            guard let reply, reply.count > 12 else {
                if !seen.excused { seen.faults.append("question \(seen.asked) was not answered") }
                return
            }
            guard reply[3] & 15 == 0, Int(reply[6]) << 8 | Int(reply[7]) > 0 else {
                seen.faults.append("question \(seen.asked): code \(reply[3] & 15) or no answer")
                return
            }
            guard asksSerial, let serial = DNSWatch.serial(reply) else { return }
            if let last = seen.serial, serial != last, serial &- last >= 1 << 31 {
                seen.faults.append("the serial went back from \(last) to \(serial)")
            }
            seen.serial = serial
        }
    }

    /// The serial in an answer whose first record is the SOA record.
    private static func serial(_ reply: [UInt8]) -> UInt32? {
        var place = 12
        while place < reply.count, reply[place] != 0 { place += Int(reply[place]) + 1 }
        // Behind the question: a pointer, type, class, TTL and length.
        place += 5 + 10
        guard place + 2 <= reply.count else { return nil }
        let end = place + 2 + (Int(reply[place]) << 8 | Int(reply[place + 1]))
        guard end <= reply.count, end >= 20 else { return nil }
        return reply[(end - 20)..<(end - 16)].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Whether silence is to be expected from now on.
    func excuse(_ isExcused: Bool) { seen.withLock { $0.excused = isExcused } }

    var serial: UInt32? { seen.withLock { $0.serial } }
    var asked: Int { seen.withLock { $0.asked } }
    var faults: [String] { seen.withLock { $0.faults } }

    func stop() {
        isOver.store(true, ordering: .relaxed)
        ended.wait()
    }
}
