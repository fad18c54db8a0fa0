import ArgumentParser
import FarmProtocol
import Foundation
import SwiftProtobuf

/// `smurf policy show`: the policy that a running control node follows, as it was written.
struct PolicyShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints the policy that a running control node follows, as it was written.",
        discussion: """
              smurf policy show > now.yml      the text; where it comes from is said on standard error

            A node that is alone follows its file. Several control nodes follow the policy that was applied to the \
            farm last ('smurf policy apply'), and their own files while there is none, or it was released again ('smurf \
            policy release').
            """)
    @OptionGroup var control: ControlConnection

    func run() async throws {
        let view = try await control.ask { try await $0.policy(.init()) }
        Report.note(PolicyShowCommand.origin(of: view))
        FileHandle.standardOutput.write(view.current)
    }

    /// Where what is followed comes from, in a sentence.
    static func origin(of view: Smurffarm_V1_PolicyView) -> String {
        guard view.hasFarm else { return "followed is the file \(view.path) (\(view.digest))" }
        let farm = view.farm
        let time = Date(timeIntervalSince1970: Double(farm.unixTime))
            .formatted(.iso8601)
        let why = farm.reason.isEmpty ? "" : ": \(farm.reason)"
        var text =
            "followed is the farm's policy \(farm.digest), applied by \(farm.operator) on \(farm.node) "
            + "at \(time)\(why)"
        if !farm.trouble.isEmpty {
            text += "\nnot by this node, which cannot read it: \(farm.trouble)"
        }
        if farm.fileDiffers {
            text += "\nthis node's file \(view.path) says something else and is not followed"
        }
        return text
    }
}
