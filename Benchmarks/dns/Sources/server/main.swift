import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import ZoneFile

// server ZONE PORT STATE [sign] [tap] [quiet|changing]: serves a zone file on 127.0.0.1 with one worker until it is ended.
// With `quiet` there are 1,000 machines beside it; with `changing` who of them is in a role changes 50 times a second,
// and each change is published by itself. With `tap` one query in a thousand is kept for a log, and taken out by the main
// thread.
let arguments = CommandLine.arguments
let words = Set(arguments.dropFirst(4))
guard arguments.count >= 4, let port = UInt16(arguments[2]),
    words.isSubset(of: ["sign", "tap", "quiet", "changing"])
else { fatalError("usage: server ZONE PORT STATE [sign] [tap] [quiet|changing]") }
var configuration = NameServerConfiguration(
    listen: [(.v4(0x7F00_0001), port)], stateDirectory: arguments[3], workers: 1,
    coalescing: .zero)
if words.contains("tap") { configuration.tapInterval = 1000 }
if words.contains("sign") { configuration.signing = .init(directory: arguments[3] + "/keys") }
configuration.peers = TransferPeers(
    peers: [.init(network: Network("127.0.0.1/32")!, key: nil)], keys: [])
let server = try NameServer(
    configuration: configuration, zone: try readZone(at: arguments[1]),
    logger: Logger(label: "benchmark"))
server.start()

func membership(_ version: Int) -> Membership {
    let all = (0..<1000).map {
        Membership.Host(id: SmurfID("h\($0)")!, addresses: [.v4(0x0A80_0000 + UInt32($0))])
    }
    let serving = (0..<8).map { (version + $0) % 1000 }.sorted().map { all[$0].id }
    return Membership(
        version: UInt64(version), hosts: all,
        records: [.init(owner: "out", kind: .address, members: serving, ttl: 30)])
}

if words.contains("quiet") || words.contains("changing") { try server.publish(membership(0)) }
var version = 0
while words.contains("tap") {
    for tap in server.queryTaps { while tap.next() != nil { tap.note(told: 1, untold: 0) } }
    Thread.sleep(forTimeInterval: 0.02)
}
while true {
    Thread.sleep(forTimeInterval: words.contains("changing") ? 0.02 : 60)
    guard words.contains("changing") else { continue }
    version += 1
    try server.publish(membership(version))
}
