public import AuthDNS
import DnstapProtocol
import Farm
import Foundation
public import Logging
import SwiftProtobuf
import Synchronization

/// Tells a collector on a unix socket of the queries that a name server keeps for it (dnstap). One thread; a collector
/// that is not there, goes or does not read costs log entries, never answers.
public final class DnstapSender: Sendable {
    /// Between two looks for queries, and between two tries to connect.
    private static let pause = 0.02
    private static let retry = Duration.seconds(1)
    /// Octets that leave together.
    private static let batch = 1 << 17

    private let path: String
    private let taps: [QueryTap]
    private let identity: [UInt8]
    private let version: [UInt8]
    private let logger: Logger
    private let isStopping = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)

    /// Begins to send.
    /// - Parameters:
    ///   - path: of the collector's socket, which need not be there yet.
    ///   - identity: what the server is called there; empty for nothing.
    public init(
        of server: NameServer, to path: String, identity: String, version: String, logger: Logger
    ) {
        self.path = path
        taps = server.queryTaps
        self.identity = Array(identity.utf8)
        self.version = Array(version.utf8)
        self.logger = logger
        Thread.detachNewThread { [self] in
            run()
            ended.signal()
        }
    }

    /// Sends what is there, says goodbye to the collector, and ends. Blocks for at most some seconds.
    public func stop() {
        isStopping.store(true, ordering: .relaxed)
        ended.wait()
        ended.signal()
    }

    private func run() {
        var connection = Connection(path: path, logger: logger)
        while true {
            let isLast = isStopping.load(ordering: .relaxed)
            connection.tryAgain(after: DnstapSender.retry)
            var isIdle = true
            for tap in taps {
                let (frames, count) = frames(of: tap)
                guard count > 0 else { continue }
                isIdle = false
                let isTold = connection.send(frames)
                tap.note(told: isTold ? count : 0, untold: isTold ? 0 : count)
            }
            guard isIdle else { continue }
            if isLast { break }
            Thread.sleep(forTimeInterval: DnstapSender.pause)
        }
        connection.finish()
    }

    private func frames(of tap: QueryTap) -> (octets: [UInt8], count: Int) {
        var (octets, count) = ([UInt8](), 0)
        while octets.count < DnstapSender.batch, let query = tap.next() {
            if let message = try? message(of: query, by: tap).serializedBytes() as [UInt8] {
                octets += FrameStream.frame(message)
            }
            count += 1
        }
        return (octets, count)
    }

    private func message(of query: TappedQuery, by tap: QueryTap) -> Dnstap_Dnstap {
        .with {
            $0.type = .message
            if !identity.isEmpty { $0.identity = Data(identity) }
            if !version.isEmpty { $0.version = Data(version) }
            $0.message.type = query.reply.isEmpty ? .authQuery : .authResponse
            $0.message.socketProtocol =
                switch tap.transport {
                case .udp: .udp
                case .tcp: .tcp
                case .tls: .dot
                }
            if let client = query.client {
                $0.message.socketFamily = client.octets.count == 4 ? .inet : .inet6
                $0.message.queryAddress = Data(client.octets)
                $0.message.queryPort = UInt32(query.port)
            }
            if let address = tap.address { $0.message.responseAddress = Data(address.octets) }
            if let port = tap.port { $0.message.responsePort = UInt32(port) }
            $0.message.queryTimeSec = query.seconds
            $0.message.queryTimeNsec = query.nanoseconds
            if !query.query.isEmpty { $0.message.queryMessage = Data(query.query) }
            if !query.reply.isEmpty {
                $0.message.responseTimeSec = query.seconds
                $0.message.responseTimeNsec = query.nanoseconds
                $0.message.responseMessage = Data(query.reply)
            }
        }
    }

    /// The way to the collector, there or not.
    private struct Connection {
        let path: String
        let logger: Logger
        private var stream: FrameStream?
        private var triedAt: ContinuousClock.Instant?
        private var isMissed = false

        init(path: String, logger: Logger) {
            self.path = path
            self.logger = logger
        }

        mutating func tryAgain(after pause: Duration) {
            guard stream == nil, triedAt.map({ .now - $0 >= pause }) ?? true else { return }
            triedAt = .now
            do throws(FrameStream.Fault) {
                stream = try FrameStream(to: path)
                logger.notice("queries are told to the dnstap collector at \(path)")
                isMissed = false
            } catch {
                if !isMissed {
                    logger.warning(
                        "no dnstap collector at \(path), queries are not told: \(error.description)"
                    )
                }
                isMissed = true
            }
        }

        /// - Returns: whether the collector has it.
        mutating func send(_ frames: [UInt8]) -> Bool {
            guard let old = stream else { return false }
            if old.send(frames) { return true }
            logger.warning("the dnstap collector at \(path) is gone or does not read")
            (stream, isMissed, triedAt) = (nil, true, nil)
            return false
        }

        func finish() { stream?.finish() }
    }
}
