import AuthDNSCore
import Farm
import Glibc

/// Sockets that go from one process to the next: both have them open then, so that no query finds a closed port.
/// First "sockets" is asked for, then each comes with a text that says what it is, then "end".
extension BoundSockets {
    private static let patience = 10

    /// Passes every socket to a process that asked for them.
    /// - Throws: when it is gone.
    public func pass(over channel: HandoverChannel) throws(NameServerError) {
        for bound in all {
            let kind = bound.kind == .stream ? "stream" : "datagram"
            try channel.send(
                "\(kind) \(bound.address) \(bound.socket.port)", with: bound.socket.descriptor)
        }
        try channel.send("end")
    }

    /// Takes the sockets of a running server over; addresses of `configuration` that it does not have are bound.
    /// There are as many datagram sockets as it had: with fewer, what waits in the others would be lost.
    /// - Throws: when the running server does not speak of sockets, or an address cannot be had.
    public convenience init(
        _ configuration: NameServerConfiguration, passedOver channel: HandoverChannel
    ) throws(NameServerError) {
        try channel.send("sockets")
        var passed: [BoundSocket] = []
        while true {
            guard let message = channel.receive(within: BoundSockets.patience) else {
                throw NameServerError("the running server does not hand its sockets over")
            }
            if message.text == "end" { break }
            let words = message.text.split(separator: " ")
            guard let descriptor = message.passed, words.count == 3,
                let address = IPAddress(String(words[1]))
            else { throw NameServerError("the running server speaks otherwise than this one") }
            passed.append(
                BoundSocket(
                    words[0] == "stream" ? .stream : .datagram, address,
                    Socket(adopting: descriptor)))
        }
        var sockets: [BoundSocket] = []
        for (address, port) in configuration.listen {
            let known = passed.filter { $0.address == address && $0.socket.port == port }
            sockets +=
                known.isEmpty
                ? try BoundSockets.bind(address, port, workers: configuration.workers) : known
        }
        self.init(sockets)
    }
}
