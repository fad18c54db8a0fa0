import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import ZoneFile

// changes ZONE STATE HOSTS ROUNDS: how long after a change of membership a signed zone answers it. Changes come after
// quiet, so that none waits for another. Prints milliseconds: median, 99th percentile, greatest.
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

try server.publish(membership(0))
var times: [Double] = []
for version in 1...rounds {
    let next = membership(version)
    let start = ContinuousClock.now
    // Answered from the moment that this returns.
    try server.publish(next)
    let time = start.duration(to: .now)
    times.append(
        Double(time.components.seconds) * 1000 + Double(time.components.attoseconds) / 1e15)
    Thread.sleep(forTimeInterval: 0.01)
}
times.sort()
let last = times[times.count - 1]
print(times[times.count / 2], times[min(times.count - 1, times.count * 99 / 100)], last)
server.stop()
