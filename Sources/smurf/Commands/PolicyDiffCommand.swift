import ArgumentParser
import FarmProtocol
import Foundation
import RoleScheduler
import RoleSchedulerCore
import SwiftProtobuf

/// `smurf policy diff`: what two policies say differently, whatever they are written like.
struct PolicyDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Says what two policies mean differently, with every default filled in.",
        discussion: """
              smurf policy diff farm.yml new.yml    two files
              smurf policy diff new.yml             what a running control node follows, and a file

            Order, comments and defaults that are spelled out are no difference. '+' is new, '-' is gone.
            """)
    @Argument(
        help: ArgumentHelp(
            "The policy file that is followed, if not a control node's.", valueName: "old"))
    var first: String
    @Argument(help: ArgumentHelp("The other policy file.", valueName: "new")) var second: String?
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var control: ControlConnection

    private func followed() async throws -> Policy {
        let view = try await control.ask { try await $0.policy(.init()) }
        Report.note(PolicyShowCommand.origin(of: view))
        let text = String(decoding: view.current, as: UTF8.self)
        do throws(PolicyErrors) {
            return try parsePolicy(text, file: "followed").policy
        } catch {
            throw Report.failure(error.description, status: Report.badInput)
        }
    }

    func run() async throws {
        let new = try FarmSources.policy(at: second ?? first)
        let old =
            if second == nil { try await followed() } else { try FarmSources.policy(at: first) }
        let changes = PolicyDifference.all(from: old, to: new)
        if json {
            let objects = changes.map { change in
                var object = ["key": change.key]
                object["old"] = change.old
                object["new"] = change.new
                return object
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(objects), as: UTF8.self))
        } else {
            print(changes.isEmpty ? "no difference" : changes.map(\.text).joined(separator: "\n"))
        }
    }
}
