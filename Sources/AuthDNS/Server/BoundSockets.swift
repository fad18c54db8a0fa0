import AuthDNSCore
public import Farm

/// The sockets a name server answers on, bound before anything else is done: binding port 53 may need rights that
/// the server itself shall not have. For each address there is one listener and a datagram socket per thread. They
/// live as long as this value.
public final class BoundSockets: Sendable {
    let all: [BoundSocket]

    /// Binds every address, in the order given.
    /// - Parameter configuration: its `listen` and `workers` are read.
    /// - Throws: naming the address that cannot be had; nothing stays bound then.
    public convenience init(_ configuration: NameServerConfiguration) throws(NameServerError) {
        var sockets: [BoundSocket] = []
        for (address, port) in configuration.listen {
            sockets += try BoundSockets.bind(address, port, workers: configuration.workers)
        }
        self.init(sockets)
    }

    init(_ sockets: [BoundSocket]) { all = sockets }

    /// Addresses and ports, as bound.
    public var endpoints: [(address: IPAddress, port: UInt16)] {
        all.filter { $0.kind == .stream }.map { ($0.address, $0.socket.port) }
    }

    /// One listener and its datagram sockets, on one port. A free port for TCP may be taken for UDP: then
    /// another is tried.
    static func bind(
        _ address: IPAddress, _ port: UInt16, workers: Int
    ) throws(NameServerError) -> [BoundSocket] {
        var attempts = port == 0 ? 20 : 1
        while true {
            attempts -= 1
            let stream = BoundSocket(.stream, address, try Socket(.stream, address, port))
            do throws(NameServerError) {
                var sockets = [stream]
                for _ in 0..<workers {
                    let socket = try Socket(.datagram, address, stream.socket.port)
                    sockets.append(BoundSocket(.datagram, address, socket))
                }
                return sockets
            } catch {
                if attempts == 0 { throw error }
            }
        }
    }
}

/// One socket and what it was bound to.
final class BoundSocket: Sendable {
    let kind: Socket.Kind
    let address: IPAddress
    let socket: Socket

    init(_ kind: Socket.Kind, _ address: IPAddress, _ socket: consuming Socket) {
        self.kind = kind
        self.address = address
        self.socket = socket
    }
}
