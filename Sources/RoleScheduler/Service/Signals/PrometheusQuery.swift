import Foundation
import NIOCore
import NIOPosix

/// One instant query of a Prometheus server, and how old its number is. It must give one value: which of several series
/// would count is the query's to say. The server gives a number for five minutes after it was last measured, with the
/// time of the question beside it; so its age is asked for too, on the server's own clock. HTTP/1.0, so that the end of the connection is the end of the reply; no TLS.
struct PrometheusQuery: Sendable {
    private let host: String
    private let port: Int
    /// Path and query of the requests for the number and for its age.
    private let target: String
    private let ageTarget: String
    /// Whether the age is asked for as the policy says, so that it must be known.
    private let isAgeAsked: Bool
    /// Longest reply that is read.
    private static let most = 1 << 20

    /// - Parameters:
    ///   - server: "http://HOST:PORT", with a path when the server is behind one.
    ///   - age: an expression for the age of the number in seconds; nil: that of the sample when `query` is the name of
    ///     one, with or without labels. What is computed from samples is as old as the question.
    init?(server: String, query: String, age: String? = nil) {
        guard let parts = URLComponents(string: server), parts.scheme == "http",
            let host = parts.host, !host.isEmpty, parts.user == nil, parts.query == nil
        else { return nil }
        let path =
            String(parts.path.hasSuffix("/") ? parts.path.dropLast() : parts.path[...])
            + "/api/v1/query"
        guard let target = PrometheusQuery.target(path, query),
            let ageTarget = PrometheusQuery.target(path, age ?? "time() - timestamp(\(query))")
        else { return nil }
        self.ageTarget = ageTarget
        isAgeAsked = age != nil
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.target = target
        port = parts.port ?? 9090
    }

    private static func target(_ path: String, _ query: String) -> String? {
        var asked = URLComponents()
        asked.path = path
        asked.queryItems = [URLQueryItem(name: "query", value: query)]
        // A plus stays a plus in a query, and would be read as a blank.
        return asked.string?.replacing("+", with: "%2B")
    }

    func read() async -> SignalReading {
        do {
            let reading = PrometheusQuery.reading(of: try await ask(target))
            guard case .value(let value, _) = reading else { return reading }
            return aged(value, by: PrometheusQuery.reading(of: try await ask(ageTarget)))
        } catch {
            return .trouble("cannot ask \(host) port \(port): \(error)")
        }
    }

    private func aged(_ value: Double, by age: SignalReading) -> SignalReading {
        switch age {
        case .value(let seconds, _): .value(value, age: seconds)
        case .trouble(let why):
            // A query that gives no vector has no timestamps.
            isAgeAsked ? .trouble("its age: \(why)") : .value(value, age: 0)
        }
    }

    private func ask(_ target: String) async throws -> Data {
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
