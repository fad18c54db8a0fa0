import Farm
import Glibc

@testable import AuthDNS

/// Any octets as a TCP stream, in pieces of any size: the messages that come out are those that a plain reading of
/// the two octets of length finds. The first octet of an input is the size of the pieces.
enum FramingCheck {
    static func run(_ bytes: [UInt8]) {
        var choices = Choices(bytes)
        let piece = choices.next() + 1
        let stream = Array(choices.remainder.prefix(60_000))
        var ends: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { fatalError("no sockets") }
        defer { for end in ends { close(end) } }
        var connection = StreamConnection(client: .v4(0x7F00_0001), port: 53, now: 0)
        var found: [[UInt8]] = []
        var at = 0
        while at < stream.count, !connection.conversation.isMalformed {
            let count = min(piece * 16, stream.count - at)
            let sent = stream[at..<(at + count)].withUnsafeBytes {
                write(ends[0], $0.baseAddress, $0.count)
            }
            precondition(sent == count)
            at += count
            precondition(connection.receive(from: ends[1]))
            while let query = connection.conversation.nextQuery() { found.append(query) }
        }
        let (expected, isMalformed) = read(Array(stream[..<at]))
        precondition(found == expected && connection.conversation.isMalformed == isMalformed)
    }

    private static func read(_ stream: [UInt8]) -> (messages: [[UInt8]], isMalformed: Bool) {
        var rest = stream[...]
        var messages: [[UInt8]] = []
        while rest.count >= 2 {
            let length = Int(rest[rest.startIndex]) * 256 + Int(rest[rest.startIndex + 1])
            if length < 12 || length > 4_096 { return (messages, true) }
            guard rest.count >= length + 2 else { break }
            messages.append(Array(rest.dropFirst(2).prefix(length)))
            rest = rest.dropFirst(length + 2)
        }
        return (messages, false)
    }
}
