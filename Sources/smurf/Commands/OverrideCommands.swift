import ArgumentParser
import FarmProtocol
import Foundation
import RoleScheduler
import SwiftProtobuf

/// What every override says: for how long, why, and by whom. All of it lands in the history.
struct OverrideOptions: ParsableArguments {
    @OptionGroup var control: ControlConnection
    @Option(name: .customLong("for"), help: "How long: 90s, 30m, 1h, 2d.")
    var duration: HumanDuration = HumanDuration(seconds: 3600)
    @Option(help: "Why; kept in the history.") var reason: String

    func validate() throws {
        guard duration.seconds > 0 else { throw ValidationError("--for needs a length of time") }
    }

    func send(
        _ action: Smurffarm_V1_OverrideRequest.Action, smurf: String, role: String = ""
    ) async throws {
        try OverrideOptions.check(reason: reason)
        let request = Smurffarm_V1_OverrideRequest.with {
            $0.action = action
            $0.smurf = smurf
            $0.role = role
            $0.forSeconds = duration.seconds
            $0.reason = reason
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.override(request).said })
    }
}

extension OverrideOptions {
    /// Before anything is sent; the control node checks it again.
    static func check(reason: String) throws {
        do throws(OverrideError) {
            _ = try OperatorReason(reason)
        } catch {
            throw Report.failure("--reason: \(error)", status: Report.badInput)
        }
    }
}

/// `smurf move`: an operator's word against the scheduler's, with an end.
struct MoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Puts a smurf into a role for a while.",
        discussion: "  smurf move s03 web --for 1h --reason 'press release'")

    @Argument(help: "The smurf's id.") var smurf: String
    @Argument(help: "The role.") var role: String
    @OptionGroup var options: OverrideOptions

    func run() async throws { try await options.send(.move, smurf: smurf, role: role) }
}

/// `smurf hold`: out of every role, after a drain.
struct HoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold", abstract: "Drains a smurf and keeps it out of every role for a while.",
        discussion: "  smurf hold s03 --for 2h --reason 'new disk'")

    @Argument(help: "The smurf's id.") var smurf: String
    @OptionGroup var options: OverrideOptions

    func run() async throws { try await options.send(.hold, smurf: smurf) }
}

/// `smurf release`: the end of a move or hold before its time.
struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Ends a move or hold: the smurf is the scheduler's again."
    )

    @Argument(help: "The smurf's id.") var smurf: String
    @OptionGroup var control: ControlConnection
    @Option(help: "Why; kept in the history.") var reason: String?

    func run() async throws {
        if let reason { try OverrideOptions.check(reason: reason) }
        let request = Smurffarm_V1_OverrideRequest.with {
            $0.action = .release
            $0.smurf = smurf
            $0.reason = reason ?? ""
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.override(request).said })
    }
}
