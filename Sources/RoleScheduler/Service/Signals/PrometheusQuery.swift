import Foundation
import NIOCore
import NIOPosix

/// One instant query of a Prometheus server. It must give one value: which of several series would count is the
/// query's to say. HTTP/1.0, so that the end of the connection is the end of the reply; no TLS.
struct PrometheusQuery: Sendable {
    private let host: String
    private let port: Int
    /// Path and query of the request.
    private let target: String
    /// Longest reply that is read.
    private static let most = 1 << 20

    /// - Parameter server: "http://HOST:PORT", with a path when the server is behind one.
    init?(server: String, query: String) {
        guard let parts = URLComponents(string: server), parts.scheme == "http",
            let host = parts.host, !host.isEmpty, parts.user == nil, parts.query == nil
        else { return nil }
        var asked = URLComponents()
        let base = parts.path.hasSuffix("/") ? String(parts.path.dropLast()) : parts.path
        asked.path = base + "/api/v1/query"
        asked.queryItems = [URLQueryItem(name: "query", value: query)]
        // A plus stays a plus in a query, and would be read as a blank.
        guard let target = asked.string?.replacing("+", with: "%2B") else { return nil }
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.target = target
        port = parts.port ?? 9090
    }

    func read() async -> SignalReading {
        do {
            return PrometheusQuery.reading(of: try await ask())
        } catch {
            return .trouble("cannot ask \(host) port \(port): \(error)")
        }
    }

    private func ask() async throws -> Data {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            let request =
                "GET \(target) HTTP/1.0\r\nHost: \(host):\(port)\r\nAccept: application/json\r\n"
                + "Connection: close\r\n\r\n"
            try await outbound.write(ByteBuffer(string: request))
            var reply = Data()
            for try await piece in inbound {
                reply.append(contentsOf: piece.readableBytesView)
                if reply.count > PrometheusQuery.most { break }
            }
            return reply
        }
    }

    private struct Reply: Decodable {
        struct Body: Decodable {
            var resultType: String
            var result: Result
        }
        enum Result: Decodable {
            case scalar(Sample)
            case vector([Series])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let series = try? container.decode([Series].self) {
                    self = .vector(series)
                } else {
                    self = .scalar(try container.decode(Sample.self))
                }
            }
        }
        struct Series: Decodable { var value: Sample }
        /// [moment, "value"]
        struct Sample: Decodable {
            var value: String

            init(from decoder: any Decoder) throws {
                var container = try decoder.unkeyedContainer()
                _ = try container.decode(Double.self)
                value = try container.decode(String.self)
            }
        }
        var status: String
        var error: String?
        var data: Body?
    }

    /// - Parameter reply: status line, header and body.
    static func reading(of reply: Data) -> SignalReading {
        guard let end = reply.firstRange(of: Data("\r\n\r\n".utf8)),
            let line = String(validating: reply.prefix { $0 != 0x0D }, as: UTF8.self),
            line.hasPrefix("HTTP/1.")
        else { return .trouble("the server gave no HTTP reply") }
        let body = reply[end.upperBound...]
        guard let decoded = try? JSONDecoder().decode(Reply.self, from: Data(body)) else {
            return .trouble("the server said '\(PolicyProblems.printable(line.prefix(80)))'")
        }
        guard decoded.status == "success", let data = decoded.data else {
            let why = decoded.error ?? line
            return .trouble("the server refused: \(PolicyProblems.printable(why.prefix(200)))")
        }
        switch data.result {
        case .scalar(let sample): return .checked(sample.value)
        case .vector(let series):
            guard let only = series.first else { return .trouble("the query gives no data") }
            guard series.count == 1 else {
                return .trouble("the query gives \(series.count) series: sum() or max() them")
            }
            return .checked(only.value.value)
        }
    }
}
