import Delivery
import Farm
import Foundation

/// One thread's way to follow unsubscribe links: a connection to a web server that is kept while there is
/// work for it.
final class ClickWorker {
    /// Seconds that one step may take.
    private static let patience = 15
    private let directory: SinkDirectory
    private let port: UInt16?
    private var connection: SinkStream?

    /// - Parameter port: where all links are followed to, without TLS; nil = as they say.
    init(_ directory: SinkDirectory, port: UInt16?) {
        self.directory = directory
        self.port = port
    }

    /// Follows a link at the addresses of its host, one after the other until one has an answer that is
    /// final.
    /// - Parameter unsubscribes: POST the one-click form (RFC 8058 §3.2) instead of a GET.
    func follow(_ link: String, unsubscribes: Bool) -> ReactionResult {
        guard let parts = URLComponents(string: link), let scheme = parts.scheme?.lowercased(),
            scheme == "http" || scheme == "https", let host = parts.host, !host.isEmpty,
            let port = self.port ?? UInt16(exactly: parts.port ?? 80)
        else { return .hopeless("'\(link)' is no web link") }
        if scheme == "https", self.port == nil {
            return .hopeless("'\(link)' needs TLS: give --web-port to follow it without")
        }
        let request = ClickWorker.request(parts, host, unsubscribes: unsubscribes)
        let addresses: [IPAddress]
        do throws(ResolverError) {
            addresses = try directory.addresses(of: host)
        } catch {
            if case .noSuchName = error { return .hopeless(error.description) }
            return .later(error.description, nil)
        }
        var reasons: [String] = []
        var pause: Double?
        for address in addresses.prefix(8) {
            let reply: WebReply
            do throws(SinkError) {
                reply = try ask(request, address, port)
            } catch {
                reasons.append(error.description)
                continue
            }
            let said = "\(address): status \(reply.status)"
            switch reply.status {
            case 200..<300: return .done(address)
            case 408, 429, 500..<600:
                reasons.append(said)
                pause = min(pause ?? .infinity, reply.retryAfter ?? .infinity)
            default: return .refused(said)
            }
        }
        return .later(reasons.joined(separator: "; "), pause.flatMap { $0.isFinite ? $0 : nil })
    }

    /// Closes the connection.
    func rest() { connection = nil }

    /// A connection that was kept may be gone by now; then a new one is tried once. Both requests may be
    /// repeated safely.
    private func ask(
        _ request: [UInt8], _ address: IPAddress, _ port: UInt16
    ) throws(SinkError) -> WebReply {
        if let kept = connection, kept.address == address, kept.port == port {
            connection = nil
            if case .reply(let reply) = exchange(request, kept) { return reply }
        }
        connection = nil
        let stream = try SinkStream.connect(address, port, patience: ClickWorker.patience)
        switch exchange(request, stream) {
        case .reply(let reply): return reply
        case .garbage(let why): throw SinkError(description: "\(address): \(why)")
        case .needMore: throw SinkError(description: "\(address): no answer")
        }
    }

    private func exchange(_ request: [UInt8], _ stream: SinkStream) -> WebReply.Parsed {
        guard stream.write(request) else { return .garbage("the connection was lost") }
        var said: [UInt8] = []
        while true {
            let bytes = stream.read()
            said += bytes ?? []
            let parsed = WebReply.read(said, isEnd: bytes == nil)
            if case .needMore = parsed { continue }
            if case .reply(let reply) = parsed, reply.keepsOpen, bytes != nil {
                connection = stream
            }
            return parsed
        }
    }

    private static func request(
        _ parts: URLComponents, _ host: String, unsubscribes: Bool
    ) -> [UInt8] {
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        let query = parts.percentEncodedQuery.map { "?" + $0 } ?? ""
        let form = unsubscribes ? "List-Unsubscribe=One-Click" : ""
        var lines = [
            "\(unsubscribes ? "POST" : "GET") \(path)\(query) HTTP/1.1",
            "Host: \(host)\(parts.port.map { ":\($0)" } ?? "")",
            "User-Agent: \(unsubscribes ? "sink-reader" : "sink-scanner")",
        ]
        if unsubscribes {
            lines += [
                "Content-Type: application/x-www-form-urlencoded",
                "Content-Length: \(form.utf8.count)",
            ]
        }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + form).utf8)
    }
}
