import ArgumentParser
import AuthDNSCore
import Farm
import FarmProtocol

/// `smurf zone reverse`: the reverse zone of a network, for whoever serves it.
struct ZoneReverseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reverse",
        abstract: "Prints the reverse zone of a network, with a PTR record for each machine in it.",
        discussion: """
            Receivers want the name of an address to lead back to it. The zone file that is printed names every \
            machine by its stable host name, whatever its role; print it anew when machines come or go, or let this \
            farm's name servers answer it ('smurf serve --reverse NETWORK'). For part of a \
            /24 (RFC 2317) the lines that belong in the zone above, which the network's owner has, stand in front as \
            comments.

              smurf zone reverse 192.0.2.0/24
              smurf zone reverse 198.51.100.64/26 > 64-26.zone
              smurf zone reverse 2001:db8:1::/64
            """)

    @Argument(
        help: "The network, such as 192.0.2.0/24.", transform: ZoneReverseCommand.network)
    var network: Network
    @OptionGroup var control: ControlConnection

    /// A network as an argument; it must have a reverse zone of its own.
    static func network(_ text: String) throws -> Network {
        guard let network = Network(text) else {
            throw ValidationError("'\(text)' is not a network such as 192.0.2.0/24")
        }
        do throws(ZoneFault) {
            _ = try ReverseZone(of: network, hosts: [], zone: "")
            return network
        } catch {
            throw ValidationError(error.description)
        }
    }

    func run() async throws {
        let (board, keys) = try await control.ask { client in
            let board = try await ControlConnection.board(of: client)
            return (board, try await client.keys(.init()))
        }
        let hosts = board.smurfs.map { line in
            (name: line.smurf, addresses: line.addresses.compactMap { IPAddress($0) })
        }
        do throws(ZoneFault) {
            let zone = try ReverseZone(of: network, hosts: hosts, zone: board.zone)
            print(ZoneReverseCommand.text(zone, keys.nameServers).joined(separator: "\n"))
        } catch {
            throw Report.failure(error.description, status: Report.badInput)
        }
    }

    /// A zone file, with the zone above in comments.
    private static func text(_ zone: ReverseZone, _ servers: [String]) -> [String] {
        let servers = servers.map { $0.hasSuffix(".") ? $0 : $0 + "." }
        var lines: [String] = []
        if !zone.parentLines.isEmpty {
            lines.append("; For the zone above:")
            lines += servers.map { ";   \(zone.origin) IN NS \($0)" }
            lines += zone.parentLines.map { ";   " + $0 }
        }
        lines += ["$ORIGIN \(zone.origin)", "$TTL 3600"]
        if let first = servers.first {
            lines.append("@ IN SOA \(first) hostmaster.\(first) 1 14400 3600 604800 300")
        }
        lines += servers.map { "@ IN NS \($0)" }
        lines += zone.pointers.map { "\($0.owner) IN PTR \($0.target)" }
        return lines
    }
}
