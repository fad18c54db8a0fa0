import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import ZoneFile

// changes ZONE STATE HOSTS ROUNDS: how long after a change of membership a signed zone answers it, seen by a client
// that asks by UDP every tenth of a millisecond. Changes come after quiet, so that none waits for another. Prints milliseconds:
// median, 99th percentile, greatest.
let arguments = CommandLine.arguments
guard arguments.count == 5, let hosts = Int(arguments[3]), let rounds = Int(arguments[4]) else {
    fatalError("usage: changes ZONE STATE HOSTS ROUNDS")
}
var configuration = NameServerConfiguration(
    listen: [(.v4(0x7F00_0001), 0)], stateDirectory: arguments[2], workers: 1, coalescing: .zero)
configuration.signing = .init(directory: arguments[2] + "/keys")
let server = try NameServer(
    configuration: configuration, zone: try readZone(at: arguments[1]),
    logger: Logger(label: "benchmark"))
server.start()

/// Eight serve, and which they are moves on by one each time.
func membership(_ version: Int) -> Membership {
    let all = (0..<hosts).map {
        Membership.Host(id: SmurfID("h\($0)")!, addresses: [.v4(0x0A80_0000 + UInt32($0))])
    }
    let serving = (0..<8).map { (version + $0) % hosts }.sorted().map { all[$0].id }
    return Membership(
        version: UInt64(version), hosts: all,
        records: [
            .init(owner: "out", kind: .address, members: serving, ttl: 30),
            .init(owner: "back", kind: .mailExchange(preference: 10), members: serving, ttl: 30),
        ], senders: serving.indices.map { all[(version + $0) % hosts].addresses[0] },
        senderOwners: ["back"])
}

/// Asks for the SOA record of the zone, whose serial tells the version of the answer.
struct Client {
    let socket: Int32
    let query: [UInt8]

    init(port: UInt16, apex: DomainName) {
        query = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] + apex.wire + [0, 6, 0, 1]
        let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let done = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(done == 0)
        self.socket = socket
    }

    func serial() -> UInt32 {
        var reply = [UInt8](repeating: 0, count: 512)
        send(socket, query, query.count, 0)
        let length = recv(socket, &reply, reply.count, 0)
        precondition(length > 40)
        let numbers = reply[(length - 20)..<(length - 16)]
        return numbers.reduce(0) { $0 << 8 | UInt32($1) }
    }
}

try server.publish(membership(0))
let client = Client(port: server.endpoints[0].port, apex: server.image.apex)
var times: [Double] = []
for version in 1...rounds {
    let next = membership(version)
    let before = client.serial()
    precondition(before == server.serial)
    let saved = DispatchSemaphore(value: 0)
    let start = ContinuousClock.now
    Thread.detachNewThread {
        do { try server.publish(next) } catch { fatalError("\(error)") }
        saved.signal()
    }
    // Two cores have to do for the asker, the answerer and the one who makes the change.
    while client.serial() == before { usleep(100) }
    let time = start.duration(to: .now)
    saved.wait()
    times.append(
        Double(time.components.seconds) * 1000 + Double(time.components.attoseconds) / 1e15)
    Thread.sleep(forTimeInterval: 0.01)
}
times.sort()
let last = times[times.count - 1]
print(times[times.count / 2], times[min(times.count - 1, times.count * 99 / 100)], last)
server.stop()
