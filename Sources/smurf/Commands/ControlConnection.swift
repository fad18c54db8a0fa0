import ArgumentParser
import FarmProtocol
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2

/// The way from an operator's command to the control node: a unix socket in its data directory, which
/// only its owner may open.
struct ControlConnection: ParsableArguments {
    typealias Client = Smurffarm_V1_Control.Client<HTTP2ClientTransport.Posix>

    @Option(
        name: .customLong("control"),
        help: ArgumentHelp(
            "The control node's socket (or SMURF_CONTROL).", valueName: "path"))
    var socket: String = ControlConnection.usualSocket

    static var usualSocket: String {
        ProcessInfo.processInfo.environment["SMURF_CONTROL"] ?? "smurf-data/control.sock"
    }

    /// Who does what, once.
    static func board(of client: Client) async throws -> Smurffarm_V1_BoardView {
        try await client.board(Smurffarm_V1_BoardRequest()) { response in
            for try await view in response.messages { return view }
            return Smurffarm_V1_BoardView()
        }
    }

    /// Connects, runs `body` and disconnects. What the node refuses becomes one line on standard
    /// error and exit status 2 for bad input, 1 otherwise.
    func ask<Result: Sendable>(
        _ body: @Sendable (Client) async throws -> Result
    ) async throws -> Result {
        guard FileManager.default.fileExists(atPath: socket) else {
            throw Report.failure(
                "no control node at '\(socket)'; start one with 'smurf serve', "
                    + "or name its socket with --control")
        }
        do {
            let transport = try HTTP2ClientTransport.Posix(
                target: .unixDomainSocket(path: socket, authority: "localhost"),
                transportSecurity: .plaintext)
            return try await withGRPCClient(transport: transport) { client in
                try await body(Client(wrapping: client))
            }
        } catch let error as RPCError {
            throw ControlConnection.report(error, socket: socket)
        }
    }

    private static func report(_ error: RPCError, socket: String) -> ExitCode {
        switch error.code {
        case .invalidArgument, .notFound, .alreadyExists, .failedPrecondition:
            return Report.failure(error.message, status: Report.badInput)
        case .unavailable:
            return Report.failure("the control node at '\(socket)' does not answer")
        default:
            return Report.failure(error.message)
        }
    }
}
