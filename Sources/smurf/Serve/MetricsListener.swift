import AuthDNS
import Farm
import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import RoleScheduler

/// Where a Prometheus server reads what the name server has counted, and how a node stands among several: `GET /metrics`, plain HTTP, nothing else.
struct MetricsListener: Sendable {
    let endpoint: Endpoint
    let nameServer: NameServer
    let scheduler: RoleSchedulerService

    /// Answers until the task is cancelled.
    /// - Throws: when the address cannot be had.
    func run() async throws {
        let router = Router()
        let (nameServer, scheduler) = (nameServer, scheduler)
        router.get("metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(
                    byteBuffer: ByteBuffer(string: await ClusterGauges.text(nameServer, scheduler)))
            )
        }
        // Hummingbird's own lines at start and stop are of no use to operators.
        var quiet = Logger(label: "metrics")
        quiet.logLevel = .critical
        let application = Application(
            router: router, server: .http1(configuration: .init(idleTimeout: .seconds(60))),
            configuration: .init(
                address: .hostname(endpoint.address.description, port: Int(endpoint.port)),
                serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(64)),
            logger: quiet)
        do {
            try await application.run()
        } catch {
            throw ControlNodeError(description: "cannot listen for --metrics \(endpoint): \(error)")
        }
    }
}
