import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import ZoneFile

// server ZONE PORT STATE: serves a zone file on 127.0.0.1 with one worker until it is ended.
let arguments = CommandLine.arguments
guard arguments.count == 4, let port = UInt16(arguments[2]) else {
    fatalError("usage: server ZONE PORT STATE")
}
let server = try NameServer(
    configuration: NameServerConfiguration(
        listen: [(.v4(0x7F00_0001), port)], stateDirectory: arguments[3], workers: 1),
    zone: try readZone(at: arguments[1]), logger: Logger(label: "benchmark"))
server.start()
while true { Thread.sleep(forTimeInterval: 60) }
