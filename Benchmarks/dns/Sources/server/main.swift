import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import ZoneFile

// server ZONE PORT STATE [sign]: serves a zone file on 127.0.0.1 with one worker until it is ended.
let arguments = CommandLine.arguments
guard (4...5).contains(arguments.count), let port = UInt16(arguments[2]) else {
    fatalError("usage: server ZONE PORT STATE [sign]")
}
var configuration = NameServerConfiguration(
    listen: [(.v4(0x7F00_0001), port)], stateDirectory: arguments[3], workers: 1)
if arguments.count == 5 { configuration.signing = .init(directory: arguments[3] + "/keys") }
configuration.peers = TransferPeers(
    peers: [.init(network: Network("127.0.0.1/32")!, key: nil)], keys: [])
let server = try NameServer(
    configuration: configuration, zone: try readZone(at: arguments[1]),
    logger: Logger(label: "benchmark"))
server.start()
while true { Thread.sleep(forTimeInterval: 60) }
