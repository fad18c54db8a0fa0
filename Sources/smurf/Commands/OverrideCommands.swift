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
        discussion: """
              smurf hold s03 --for 2h --reason 'new disk'    'smurf drain' is the same

            It leaves DNS at once, works off what caches and connections still bring, and idles until the \
            time is over or 'smurf release'.
            """,
        aliases: ["drain"])

    @Argument(help: "The smurf's id.") var smurf: String
    @OptionGroup var options: OverrideOptions

    func run() async throws { try await options.send(.hold, smurf: smurf) }
}

/// `smurf pin`: the role it has, whatever demand says.
struct PinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Keeps a smurf in its role for a while.",
        discussion: """
              smurf pin s03 --for 1h --reason 'watching its disk'    the role it has
              smurf pin s03 web --reason 'press release'             this role: as 'smurf move'

            'smurf release s03' ends it. For good, write 'pin' into the policy.
            """)

    @Argument(help: "The smurf's id.") var smurf: String
    @Argument(help: "The role; by default the one it has.") var role: String?
    @OptionGroup var options: OverrideOptions

    func run() async throws { try await options.send(.pin, smurf: smurf, role: role ?? "") }
}

/// `smurf cordon`: stays where it is, takes nothing new.
struct CordonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cordon",
        abstract: "Leaves a smurf where it is for a while, and gives it no other role.",
        discussion: """
              smurf cordon s03 --for 2h --reason 'odd log lines'

            It goes on serving the role it has; an idle one stays idle. It is beside 'hold': a hold drains \
            a cordoned smurf too, and its end leaves the cordon.
            """)

    @Argument(help: "The smurf's id.") var smurf: String
    @OptionGroup var options: OverrideOptions

    func run() async throws { try await options.send(.cordon, smurf: smurf) }
}

/// `smurf uncordon`: the end of a cordon before its time.
struct UncordonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uncordon", abstract: "Ends a cordon: the smurf may take roles again.")

    @Argument(help: "The smurf's id.") var smurf: String
    @OptionGroup var ending: EndingOptions

    func run() async throws { try await ending.send(.uncordon, smurf: smurf) }
}

/// What every end of an operator's word says.
struct EndingOptions: ParsableArguments {
    @OptionGroup var control: ControlConnection
    @Option(help: "Why; kept in the history.") var reason: String?

    func send(_ action: Smurffarm_V1_OverrideRequest.Action, smurf: String) async throws {
        if let reason { try OverrideOptions.check(reason: reason) }
        let request = Smurffarm_V1_OverrideRequest.with {
            $0.action = action
            $0.smurf = smurf
            $0.reason = reason ?? ""
            $0.operator = NSUserName()
        }
        print(try await control.ask { try await $0.override(request).said })
    }
}

/// `smurf release`: the end of a move, pin or hold before its time.
struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Ends a move, pin or hold: the smurf is the scheduler's again."
    )

    @Argument(help: "The smurf's id.") var smurf: String
    @OptionGroup var ending: EndingOptions

    func run() async throws { try await ending.send(.release, smurf: smurf) }
}
